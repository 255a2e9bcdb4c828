"""A lost ledger comes back from the nights' folders; what is not proved again is not believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.support.daemon_site import (
    DATE,
    FIRST_NUMBER,
    DaemonSite,
    make_site,
    products,
    raw_digests,
)
from vampd import __version__
from vampd.background import night_records as background_job
from vampd.causes import Cause
from vampd.errors import IntegrityError, OperatorError
from vampd.io.clock import SystemClock
from vampd.io.number_papers import PAPER
from vampd.ledger import dumps, nights
from vampd.ledger.connection import Ledger, open_ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.schedule.executor import Outcome
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import CubeFault, Fault, Scene, both, polarimetry
from vampd.stages import story
from vampd.stages.story import StoryJob
from vampd.states import HoldCode

_KINDS = ("archive", "engineering")
_SCENES = (
    polarimetry("states", 60, cube_frames=both(40)),
    Scene(
        name="torn",
        triggers=9,
        cube_frames=both(9),
        faults=(CubeFault(fault=Fault.TORN_ROW, camera=1, ordinal=0),),
    ),
    Scene(
        name="bad",
        triggers=9,
        cube_frames=both(9),
        faults=(CubeFault(fault=Fault.NO_EXPTIME, camera=2, ordinal=0),),
    ),
)

_ANY: Any = None  # no setting matters

#: What a ledger must say of a night again, however it was made.
_FACTS = {
    "frame_id": "number, batch, content_key, state",
    "output": "batch, ordinal, name, frame_id, content_key, frames, sha256, timing_sha256",
    "raw_file": "path, state, reason, sha256, inode, size_bytes, modified_ns, batch",
    "segment": "output, position, raw_file, first, step, count, reason",
    "cube": "raw_file, timing, frames, acquired, cards, rejected",
    "task": "stage, unit, state",
    "deliverable": "path, sha256, verdict",
    "far_copy": "place, path, sha256",
}


class Carried(Struct, frozen=True, kw_only=True):
    """A site of which both nights are safe, and what came out."""

    site: DaemonSite
    products: dict[str, dict[str, str]]
    facts: dict[str, list[tuple[Any, ...]]]


@contextmanager
def _opened(state: Path) -> Iterator[Ledger]:
    with closing(open_ledger(state, version=__version__, clock=SystemClock())) as ledger:
        yield ledger


def _facts(state: Path) -> dict[str, list[tuple[Any, ...]]]:
    with _opened(state) as ledger:
        return {
            table: [
                tuple(row) for row in ledger.rows(f"select {columns} from {table} order by 1, 2, 3")
            ]
            for table, columns in _FACTS.items()
        }


def _write_papers(state: Path) -> None:
    """Let the papers tell all that happened, as a daemon does a minute later."""
    with _opened(state) as ledger:
        ledger.execute("update paper set written_us = 0, dumped_us = 0")
        while (job := background_job.due(ledger, _ANY)) is not None:
            background_job.work(job)
            background_job.record(ledger, _ANY, job, Outcome(key=1))


def _lose_ledger(site: DaemonSite) -> None:
    for path in site.state.glob("ledger*"):
        path.unlink()


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    site = make_site(tmp_path_factory.mktemp("lost"))
    for kind in _KINDS:
        SimulatedNight(_SCENES, date=DATE).write(site.root(kind))
    site.run()
    _write_papers(site.state)
    return Carried(
        site=site,
        products={kind: products(site, kind) for kind in _KINDS},
        facts=_facts(site.state),
    )


@pytest.fixture
def site(carried: Carried, tmp_path: Path) -> Iterator[DaemonSite]:
    """The carried site, at its place but with papers and ledger that a test may spoil."""
    kept = {}
    for kind in _KINDS:
        folder = carried.site.night(kind) / ".vampd"
        kept[folder] = shutil.copytree(folder, tmp_path / kind)
    state = shutil.copytree(carried.site.state, tmp_path / "state")
    yield carried.site
    for folder, copy in {**kept, carried.site.state: state}.items():
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
        shutil.copytree(copy, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))


def _replayed(ledger: Ledger) -> dict[tuple[str, int], str]:
    present: dict[tuple[str, int], str] = {}
    for event in ledger.rows("select * from event where night is not null order by id"):
        subject = (event["subject"], event["subject_id"])
        assert event["was"] == present.get(subject), dict(event)
        present[subject] = event["became"]
        if event["became"] == "forgotten":
            del present[subject]
    return present


def test_a_lost_ledger_comes_back_and_the_nights_become_safe_again(
    carried: Carried, site: DaemonSite
) -> None:
    _lose_ledger(site)

    done = site.call("admin", "rebuild-db")
    before = {kind: site.status(kind) for kind in _KINDS}
    site.run()

    assert done.returncode == 0, done.stderr
    assert before == dict.fromkeys(_KINDS, "ready")
    assert {kind: site.status(kind) for kind in _KINDS} == dict.fromkeys(_KINDS, "safe")
    assert {kind: products(site, kind) for kind in _KINDS} == carried.products
    assert _facts(site.state) == carried.facts


def test_nothing_is_verified_before_it_was_read_again(site: DaemonSite) -> None:
    _lose_ledger(site)

    site.call("admin", "rebuild-db")

    dump = (site.night() / story.LEDGER_DUMP).read_bytes()
    rows = dumps.read_dump(dump, "dump")[1]
    assert {row["verdict"] for table, row in rows if table == "deliverable"} == {"verified"}
    with _opened(site.state) as ledger:
        believed = (
            "select count(*) from deliverable where verified_us is not null or verdict is not null"
        )
        assert ledger.value("select count(*) from deliverable") > 0
        assert ledger.value(believed) == 0
        assert ledger.value("select count(*) from night where safe_us is not null") == 0
        assert ledger.value("select count(*) from output where state != 'built'") == 0
        assert ledger.value("select count(*) from rebuild_proof") == 0


def test_history_comes_back_and_replays_to_the_present(site: DaemonSite) -> None:
    _lose_ledger(site)
    journal = (site.night() / story.JOURNAL).read_text().splitlines()

    site.call("admin", "rebuild-db")

    with _opened(site.state) as ledger:
        number = ledger.value("select id from night where kind = 'archive'")
        told = ledger.rows("select * from event where night = ? order by id", [number])
        replayed = _replayed(ledger)
        assert [row["at_us"] for row in told[: len(journal)]] == [
            json.loads(line)["at_us"] for line in journal
        ]
        for table in ("night", "raw_file", "output", "task"):
            column = "status" if table == "night" else "state"
            for row in ledger.rows(f"select id, {column} from {table}"):
                assert replayed[table, row[0]] == row[1], (table, row[0])


def test_damage_that_keeps_the_size_is_found_with_digests(site: DaemonSite) -> None:
    _lose_ledger(site)
    damaged = max((site.night() / "vgen2").glob("*.fits.fz"))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-3000] + bytes([content[-3000] ^ 1]) + content[-2999:])

    by_size = json.loads(site.call("admin", "rebuild-db", "--dry-run", "--json").stdout)
    by_digest = json.loads(
        site.call("admin", "rebuild-db", "--dry-run", "--digests", "--json").stdout
    )
    damaged.write_bytes(content)

    assert by_size["nights"][0]["notes"] == []
    assert damaged.name in by_digest["nights"][0]["notes"][0]


def test_a_ledger_that_is_there_is_not_touched(site: DaemonSite, tmp_path: Path) -> None:
    before = (site.state / "ledger.sqlite3").read_bytes()
    (tmp_path / "other").mkdir()

    refused = site.call("admin", "rebuild-db")
    beside = site.call("admin", "rebuild-db", "--into", str(tmp_path / "other"))

    assert refused.returncode == 1
    assert "ledger.sqlite3 is there" in refused.stderr
    assert (site.state / "ledger.sqlite3").read_bytes() == before
    assert beside.returncode == 0, beside.stderr
    assert (tmp_path / "other" / "ledger.sqlite3").exists()
    assert not list(site.state.glob("ledger-made-again*"))


def test_a_daemon_does_not_begin_anew_where_a_ledger_was_lost(site: DaemonSite) -> None:
    _lose_ledger(site)

    done = site.call("admin", "run", "--until-idle")

    assert done.returncode == 78
    assert "vampd admin rebuild-db" in done.stderr
    assert not list(site.state.glob("ledger*"))


def test_a_dry_run_makes_no_ledger(site: DaemonSite) -> None:
    _lose_ledger(site)

    done = site.call("admin", "rebuild-db", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert not list(site.state.glob("ledger*"))


def test_of_its_frame_ids_alone_a_night_is_made_anew_with_the_same_ones(
    carried: Carried, site: DaemonSite
) -> None:
    _lose_ledger(site)
    (site.night() / story.LEDGER_DUMP).unlink()

    done = site.call("admin", "rebuild-db")
    before = site.status()
    site.run()

    assert done.returncode == 0, done.stderr
    assert (before, site.status()) == ("collecting", "safe")
    assert products(site) == carried.products["archive"]
    assert _facts(site.state)["frame_id"] == carried.facts["frame_id"]


def test_a_night_of_which_only_frame_ids_and_no_raw_files_are_left_is_held(
    site: DaemonSite, tmp_path: Path
) -> None:
    _lose_ledger(site)
    (site.night() / story.LEDGER_DUMP).unlink()
    for camera in ("vcam1", "vcam2"):
        (site.night() / camera).rename(tmp_path / camera)

    site.call("admin", "rebuild-db")
    status = site.status()
    for camera in ("vcam1", "vcam2"):
        (tmp_path / camera).rename(site.night() / camera)

    assert status == "held"


def test_without_its_papers_a_numbered_night_is_held_and_its_numbers_are_used(
    site: DaemonSite,
) -> None:
    _lose_ledger(site)
    (site.night() / story.LEDGER_DUMP).unlink()
    (site.night() / PAPER).unlink()
    (site.night() / ".vampd/night.log").unlink()
    numbers = len(list((site.night() / "vgen2").glob("VMPA*.fits.fz")))

    site.call("admin", "rebuild-db")

    with _opened(site.state) as ledger:
        states = ledger.rows("select number, state from frame_id order by number")
        assert [row["number"] for row in states] == list(
            range(FIRST_NUMBER, FIRST_NUMBER + numbers)
        )
        assert {row["state"] for row in states} == {"void"}
    assert site.status() == "held"


def test_damaged_papers_are_named_and_no_ledger_is_made(site: DaemonSite) -> None:
    _lose_ledger(site)
    dump = site.night() / story.LEDGER_DUMP
    content = dump.read_bytes()
    dump.write_bytes(content[: len(content) // 2])

    done = site.call("admin", "rebuild-db")

    assert done.returncode == 1
    assert str(dump) in done.stderr
    assert not list(site.state.glob("ledger*"))


def test_an_absent_root_is_not_an_empty_one(tmp_path: Path) -> None:
    site = make_site(tmp_path)

    done = site.call("admin", "rebuild-db")

    assert done.returncode == 1
    assert "disk" in done.stderr


def test_on_a_new_disk_raw_files_are_recognised_and_what_is_gone_is_built_again(
    carried: Carried, site: DaemonSite, tmp_path: Path
) -> None:
    _lose_ledger(site)
    gone = max((site.night() / "vgen2").glob("*.fits.fz"))
    gone.unlink()
    next(site.night().glob("manifest_*.csv")).unlink()
    old = tmp_path / "old disk"
    for camera in ("vcam1", "vcam2"):
        (site.night() / camera).rename(old.with_name(f"old {camera}"))
        (site.night() / camera).mkdir()
        for path in old.with_name(f"old {camera}").iterdir():
            (site.night() / camera / path.name).write_bytes(path.read_bytes())

    done = site.call("admin", "rebuild-db", "--json")
    site.run()
    status = site.status()
    for camera in ("vcam1", "vcam2"):
        shutil.rmtree(site.night() / camera)
        old.with_name(f"old {camera}").rename(site.night() / camera)

    (night, _) = json.loads(done.stdout)["nights"]
    assert any(gone.name in note for note in night["notes"])
    assert status == "safe"
    assert products(site) == carried.products["archive"]
    assert raw_digests(site) == {
        row[0]: row[3] for row in _facts(site.state)["raw_file"] if row[3] is not None
    }


def test_nights_of_two_lost_ledgers_do_not_mix(carried: Carried, tmp_path: Path) -> None:
    with _opened(carried.site.state) as ledger:
        rows = [
            dumps.read_dump(dumps.dump(ledger, night), "dump")[1]
            for night in fetch_all(Night, ledger, "select * from night order by id")
        ]
    other = [
        [(table, row | ({"date": "20251107"} if table == "night" else {})) for table, row in one]
        for one in rows
        if not any(table == "frame_id" for table, _ in one)
    ]
    with _opened(tmp_path) as ledger, ledger.transaction():
        for one in (*rows, *other):
            dumps.load(ledger, one, dumps.shift_for(ledger, one))

        counts = ledger.rows(
            "select night.id, count(distinct output.id) as outputs, count(segment.id) as segments"
            " from night join output on output.night = night.id"
            " join segment on segment.output = output.id group by night.id"
        )
        assert len(counts) == 3
        assert len({(row["outputs"], row["segments"]) for row in counts}) == 1
        assert ledger.rows("pragma foreign_key_check") == []


def test_a_dump_is_the_same_as_long_as_its_rows_are(carried: Carried, tmp_path: Path) -> None:
    shutil.copytree(carried.site.state, tmp_path / "state")
    with _opened(tmp_path / "state") as ledger:
        night = nights.find_night(ledger, "archive", DATE)
        first = dumps.dump(ledger, night)

        assert dumps.dump(ledger, night) == first
        one = ledger.value("select min(id) from output where night = ?", [night.id])
        ledger.update("output", one, why="another")
        assert dumps.dump(ledger, night) != first


def test_a_dump_of_a_newer_vampd_or_a_strange_one_is_refused(
    carried: Carried, tmp_path: Path
) -> None:
    shutil.copytree(carried.site.state, tmp_path / "state")
    with _opened(tmp_path / "state") as ledger:
        night = nights.find_night(ledger, "archive", DATE)
        _, rows = dumps.read_dump(dumps.dump(ledger, night), "dump")

    with _opened(tmp_path) as ledger, pytest.raises(OperatorError, match="does not know"):
        dumps.load(ledger, [*rows[:1], ("output", {"colour": "red"})], 0)
    with pytest.raises(IntegrityError, match="damaged"):
        dumps.read_dump(b"not gzip", "dump")


def test_papers_follow_what_happens_to_a_night(carried: Carried, tmp_path: Path) -> None:
    shutil.copytree(carried.site.state, tmp_path / "state")
    with _opened(tmp_path / "state") as ledger:
        night = nights.find_night(ledger, "archive", DATE)
        ledger.execute("update paper set written_us = 0, dumped_us = 0")
        nights.hold(ledger, night.id, Cause(HoldCode.ORDER, {"why": "somebody looks at it"}))
        told: list[StoryJob] = []
        while (job := background_job.due(ledger, _ANY)) is not None and len(told) < 9:
            folder = tmp_path / str(job.story.number)
            told.append(replace(job.story, folder=str(folder)))
            folder.mkdir()
            result = story.write_story(told[-1])
            background_job.record(ledger, _ANY, job, Outcome(key=1, result=result))

        assert job is None
        (one,) = (one for one in told if one.number == night.id)
        folder = Path(one.folder)
        assert "somebody looks at it" in (folder / story.JOURNAL).read_text(encoding="utf-8")
        rows = dumps.read_dump((folder / story.LEDGER_DUMP).read_bytes(), "dump")[1]
        assert dict(rows)["night"]["hold"] == "somebody looks at it"
