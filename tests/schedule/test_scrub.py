"""Files here that are read through again: what is due, what is mended, and what never is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.support.fake_ledger import DAY_US, SECOND_US, FakeClock, opened, settings
from tests.support.far_side import flip_one_byte
from vampd.background import copies, scrub
from vampd.errors import VampdError
from vampd.io.beneath import open_quietly
from vampd.io.disk import claim_root
from vampd.ledger import deliveries, local_copies, nights, roots, verifications
from vampd.ledger.connection import Ledger
from vampd.ledger.local_copies import Side, Verdict
from vampd.schedule.executor import Outcome
from vampd.settings.sections import Config
from vampd.states import Kind, NightStatus

DATE = "20251106"
RAW = "vcam1/vampires_05:00:00.000000000.fits"
OUTPUTS = ("vgen2/a.fits.fz", "vgen2/b.fits.fz")
DAYS_S = DAY_US / SECOND_US


class Place(Struct, frozen=True, kw_only=True):
    """A safe night with two outputs, here and at its destination, and a raw file."""

    folder: Path
    ledger: Ledger
    clock: FakeClock
    config: Config
    number: int

    @property
    def night(self) -> Path:
        return self.folder / "archive" / DATE

    @property
    def far(self) -> Path:
        return self.folder / "far" / DATE

    def cycle(self) -> list[tuple[str, str]]:
        """Let a month go by and all be read; what is on record of each file that is not right."""
        self.clock.pass_seconds(31 * DAYS_S)
        for _ in range(5):
            if not self.piece():
                break
        rows = self.ledger.rows("select path, verdict from local_copy where verdict != 'right'")
        return sorted((row["path"], row["verdict"]) for row in rows)

    def piece(self) -> bool:
        job = scrub.JOB.due(self.ledger, self.config)
        if job is None:
            return False
        self.end(job)
        return True

    def end(self, job: scrub.ScrubJob) -> None:
        try:
            outcome: Outcome[Any] = Outcome(key=1, result=scrub.JOB.work(job))
        except VampdError as error:
            outcome = Outcome(key=1, error_class=error.error_class, error=str(error))
        scrub.JOB.record(self.ledger, self.config, job, outcome)

    def set_aside(self) -> list[Path]:
        found = (self.night / ".vampd" / "damaged").rglob("*")
        return sorted(path for path in found if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    config = settings(tmp_path)
    clock = FakeClock()
    folder = tmp_path / "archive" / DATE
    for name in ("vgen2", "vcam1", ".vampd"):
        (folder / name).mkdir(parents=True)
    with closing(opened(tmp_path / "state", clock)) as ledger:
        marker = claim_root(folder.parent)
        assert marker is not None
        roots.record(ledger, str(folder.parent), marker)
        night = nights.sight_night(ledger, Kind.ARCHIVE, DATE, folder)
        for path in OUTPUTS:
            content = path.encode() * 100
            digest = hashlib.sha256(content).hexdigest()
            deliveries.list_file(ledger, night.id, path, len(content), digest)
            for where in (folder, tmp_path / "far" / DATE):
                (where / path).parent.mkdir(parents=True, exist_ok=True)
                (where / path).write_bytes(content)
        _add_raw(ledger, night.id, folder)
        safe = {"status": NightStatus.SAFE, "safe_us": clock.now_us(), "closed_us": clock.now_us()}
        ledger.update("night", night.id, **safe)
        yield Place(folder=tmp_path, ledger=ledger, clock=clock, config=config, number=night.id)


def _add_raw(ledger: Ledger, night: int, folder: Path) -> None:
    (folder / RAW).write_bytes(b"photons" * 100)
    found = (folder / RAW).stat()
    ledger.insert(
        "raw_file",
        night=night,
        path=RAW,
        role="cube",
        camera=1,
        stem="x",
        inode=found.st_ino,
        size_bytes=found.st_size,
        modified_ns=found.st_mtime_ns,
        state="whole",
        sha256=hashlib.sha256(b"photons" * 100).hexdigest(),
        seen_us=ledger.now_us(),
        **ledger.stamp("seen"),
    )


def test_nothing_is_read_before_its_age_and_all_is_when_it_has_come(place: Place) -> None:
    before = place.piece()
    wrong = place.cycle()

    assert not before
    assert wrong == []
    assert place.ledger.value("select count(*) from local_copy") == 3
    assert local_copies.oldest_proofs(place.ledger)[Side.HERE] == place.ledger.now_us()
    assert not place.piece()


def test_a_damaged_output_is_mended_from_its_far_copy_and_kept_aside(place: Place) -> None:
    right = (place.night / OUTPUTS[0]).read_bytes()
    flip_one_byte(place.night / OUTPUTS[0])
    rotten = (place.night / OUTPUTS[0]).read_bytes()

    assert place.cycle() == [(OUTPUTS[0], Verdict.MENDED)]

    assert (place.night / OUTPUTS[0]).read_bytes() == right
    assert [path.read_bytes() for path in place.set_aside()] == [rotten]
    assert not list((place.night / ".vampd" / "scratch").iterdir())
    assert local_copies.wrong_copies(place.ledger) == []
    assert nights.get_night(place.ledger, place.number).status is NightStatus.SAFE
    assert place.cycle() == []


def test_a_damaged_raw_file_is_told_and_not_touched(place: Place) -> None:
    flip_one_byte(place.night / RAW)
    rotten = (place.night / RAW).read_bytes()

    assert place.cycle() == [(RAW, Verdict.DAMAGED)]

    assert (place.night / RAW).read_bytes() == rotten
    (wrong,) = local_copies.wrong_copies(place.ledger)
    assert (wrong.path, wrong.is_raw) == (RAW, True)
    assert place.set_aside() == []


def test_nothing_is_mended_from_a_far_copy_that_is_not_right_and_the_night_is_not_safe(
    place: Place,
) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    flip_one_byte(place.far / OUTPUTS[0])
    both = [(where / OUTPUTS[0]).read_bytes() for where in (place.night, place.far)]

    assert place.cycle() == [(OUTPUTS[0], Verdict.DAMAGED)]
    job = copies.JOB.due(place.ledger, place.config)
    assert job is not None
    found: Outcome[Any] = Outcome(key=1, result=copies.JOB.work(job))
    copies.JOB.record(place.ledger, place.config, job, found)

    assert [(where / OUTPUTS[0]).read_bytes() for where in (place.night, place.far)] == both
    assert place.set_aside() == []
    assert nights.get_night(place.ledger, place.number).status is not NightStatus.SAFE


def test_what_is_unreachable_today_is_mended_tomorrow(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    (place.folder / "far").rename(place.folder / "away")
    first = place.cycle()
    (place.folder / "away").rename(place.folder / "far")
    place.clock.pass_seconds(DAYS_S + 1)

    again = place.piece()

    assert first == [(OUTPUTS[0], Verdict.DAMAGED)]
    assert again
    assert local_copies.wrong_copies(place.ledger) == []


def test_what_somebody_took_away_is_told_and_not_brought_back(place: Place) -> None:
    (place.night / OUTPUTS[0]).unlink()

    assert place.cycle() == [(OUTPUTS[0], Verdict.MISSING)]

    assert not (place.night / OUTPUTS[0]).exists()


def test_a_mending_that_was_ended_amid_is_ended_by_the_next(place: Place) -> None:
    path = place.night / OUTPUTS[0]
    right = path.read_bytes()
    aside = place.night / ".vampd" / "damaged" / f"{OUTPUTS[0]}.being-mended-1"
    aside.parent.mkdir(parents=True)
    path.rename(aside)

    assert place.cycle() == [(OUTPUTS[0], Verdict.MENDED)]

    assert path.read_bytes() == right
    assert [each.name for each in place.set_aside()] == ["a.fits.fz.damaged-1"]


def test_a_file_made_anew_while_it_is_read_is_never_set_aside(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    place.clock.pass_seconds(31 * DAYS_S)
    job = scrub.JOB.due(place.ledger, place.config)
    assert job is not None
    deliveries.list_file(place.ledger, place.number, OUTPUTS[0], 1, "0" * 64)
    anew = (place.night / OUTPUTS[0]).read_bytes()

    place.end(job)

    assert (place.night / OUTPUTS[0]).read_bytes() == anew
    assert place.set_aside() == []
    assert local_copies.wrong_copies(place.ledger) == []


def test_nothing_is_read_while_a_camera_writes_nor_more_than_a_day_may_have(place: Place) -> None:
    tight = replace(
        place.config, scrub=replace(place.config.scrub, gb_per_day=1e-9, after_days=0.0001)
    )
    place.clock.pass_seconds(31 * DAYS_S)
    other = nights.sight_night(place.ledger, Kind.ARCHIVE, "20251107", place.folder / "x")
    place.ledger.update("night", other.id, last_change_us=place.ledger.now_us())
    writing = scrub.JOB.due(place.ledger, tight)
    place.clock.pass_seconds(31 * 60)

    job = scrub.JOB.due(place.ledger, tight)

    assert writing is None
    assert job is not None
    scrub.JOB.record(place.ledger, tight, job, Outcome(key=1, result=scrub.JOB.work(job)))
    place.clock.pass_seconds(DAYS_S - 1)
    assert scrub.JOB.due(place.ledger, tight) is None
    place.clock.pass_seconds(2)
    assert scrub.JOB.due(place.ledger, tight) is not None


def test_far_copies_are_read_by_age_while_it_is_quiet_and_at_once_when_asked_for(
    place: Place,
) -> None:
    assert place.config.delivery.archive is not None
    archive = replace(place.config.delivery.archive, reverify_days=1.0)
    config = replace(place.config, delivery=replace(place.config.delivery, archive=archive))
    place.clock.pass_seconds(2 * DAYS_S)
    other = nights.sight_night(place.ledger, Kind.ARCHIVE, "20251107", place.folder / "x")
    place.ledger.update("night", other.id, last_change_us=place.ledger.now_us())

    by_age = copies.JOB.due(place.ledger, config)
    verifications.ask(place.ledger, place.number)

    assert by_age is None
    assert copies.JOB.due(place.ledger, config) is not None


def test_a_night_whose_folder_was_moved_away_lets_others_have_their_turn(place: Place) -> None:
    other = place.folder / "archive" / "20251107"
    (other / "vgen2").mkdir(parents=True)
    second = nights.sight_night(place.ledger, Kind.ARCHIVE, other.name, other)
    content = b"right" * 100
    (other / "vgen2" / "c").write_bytes(content)
    deliveries.list_file(
        place.ledger, second.id, "vgen2/c", len(content), hashlib.sha256(content).hexdigest()
    )
    closed_us = place.ledger.now_us() + 1
    place.ledger.update("night", second.id, status="safe", safe_us=closed_us, closed_us=closed_us)
    place.night.rename(place.folder / "moved")

    place.cycle()

    read = place.ledger.rows("select night, verdict from local_copy")
    assert [tuple(row) for row in read] == [(second.id, Verdict.RIGHT)]
    assert not place.piece()
    place.clock.pass_seconds(1.1 * DAYS_S)
    (place.folder / "moved").rename(place.night)
    assert place.piece()  # it has its turn again a day later


@pytest.mark.parametrize("order", [OUTPUTS, OUTPUTS[::-1]])
def test_a_file_that_may_not_be_read_costs_no_other_its_turn(
    place: Place, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = open_quietly

    def refusing(where: Any) -> int:
        if str(where).endswith(order[0]):
            raise PermissionError(13, "Permission denied")
        return really(where)

    monkeypatch.setattr(scrub, "open_quietly", refusing)
    flip_one_byte(place.night / order[1])

    assert place.cycle() == [(order[1], Verdict.MENDED)]

    read = [path for (path,) in place.ledger.rows("select path from local_copy")]
    assert sorted(read) == sorted([order[1], RAW])


def test_what_was_mended_and_then_taken_away_stays_away(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    assert place.cycle() == [(OUTPUTS[0], Verdict.MENDED)]
    (place.night / OUTPUTS[0]).unlink()

    for _ in range(2):
        assert place.cycle() == [(OUTPUTS[0], Verdict.MISSING)]

    assert not (place.night / OUTPUTS[0]).exists()


def test_the_oldest_proof_of_a_damaged_file_is_when_it_was_read(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    (place.far / OUTPUTS[0]).unlink()

    assert place.cycle() == [(OUTPUTS[0], Verdict.DAMAGED)]

    assert local_copies.oldest_proofs(place.ledger)[Side.HERE] == place.ledger.now_us()


def test_what_gave_its_space_back_is_told_as_damaged_no_more(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])
    (place.far / OUTPUTS[0]).unlink()
    place.cycle()
    before = [wrong.path for wrong in local_copies.wrong_copies(place.ledger)]

    reclaim = place.ledger.insert(
        "reclaim",
        run=1,
        night=place.number,
        space="outputs",
        final=1,
        state="done",
        begun_us=1,
        begun_passed_us=1,
        **place.ledger.stamp("order"),
    )
    place.ledger.insert(
        "trash",
        reclaim=reclaim,
        night=place.number,
        space="outputs",
        path=OUTPUTS[0],
        place="x",
        inode=1,
        size_bytes=1,
        modified_ns=1,
        state="unlinked",
        **place.ledger.stamp("its time had come"),
    )

    assert before == [OUTPUTS[0]]
    assert local_copies.wrong_copies(place.ledger) == []


def test_what_is_found_stands_in_the_events_with_its_file(place: Place) -> None:
    flip_one_byte(place.night / OUTPUTS[0])

    place.cycle()

    query = "select about, became from event where subject = 'local_copy'"
    assert [tuple(row) for row in place.ledger.rows(query)] == [(OUTPUTS[0], "mended")]


def test_a_piece_is_no_larger_than_a_days_worth(place: Place) -> None:
    slow = replace(place.config, scrub=replace(place.config.scrub, gb_per_day=1.5e-6))
    place.clock.pass_seconds(31 * DAYS_S)

    job = scrub.JOB.due(place.ledger, slow)

    assert job is not None
    assert [file.path for file in job.files] == [RAW]  # 700 bytes; the next has 1500


def test_a_rest_that_began_while_the_date_was_ahead_is_none(place: Place) -> None:
    place.clock.pass_seconds(400 * DAYS_S)
    local_copies.rest(place.ledger, place.number)
    place.clock.pass_seconds(-369 * DAYS_S)

    found = local_copies.oldest_night(place.ledger, 30 * DAY_US)

    assert found is not None
