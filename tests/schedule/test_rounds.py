"""What the rounds write of what they see; a worker's part is done here, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.support.fake_ledger import DAY_US, SECOND_US, FakeClock, opened, settings
from tests.support.raw_cubes import COMMON_CARDS, FIRST_US, timing_bytes, write_raw_cube
from tests.support.trees import identities_of_tree
from vampd.causes import Cause
from vampd.errors import OperatorError
from vampd.io.disk import MARKER_NAME
from vampd.ledger import cubes, files, nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.schedule.facts import read_facts
from vampd.settings.sections import Config
from vampd.stages.raw_cubes import raw_cube
from vampd.states import STAGES_OF, FileCode, FileState, HoldCode, Kind, NightStatus, Stage
from vampd.watch.inspect import inspect_cube
from vampd.watch.naming import Role
from vampd.watch.scan_cycle import ScanCycle

DATE = "20251106"
STEM = "vcam1_05:10:00.000000000"
LATER_STEM = "vcam1_06:10:00.000000000"


class Scene(Struct, kw_only=True):
    """One root with one night, a ledger, and rounds that go when told."""

    folder: Path
    config: Config
    clock: FakeClock
    ledger: Ledger
    scan_cycle: ScanCycle

    @property
    def root(self) -> Path:
        return self.folder / "archive"

    @property
    def night_folder(self) -> Path:
        return self.root / DATE

    @property
    def night(self) -> Night:
        return nights.find_night(self.ledger, Kind.ARCHIVE, DATE)

    def cube(self, stem: str = STEM) -> Path:
        frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
        return write_raw_cube(self.night_folder, frames, stem=stem)

    def temporary(self, stem: str = STEM) -> Path:
        path = self.night_folder / "vcam1" / f"{stem}.fits.12.34.tmp"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half a header")
        return path

    def reason(self, path: str) -> str | None:
        found: str | None = files.file_of(self.ledger, self.night.id, path).reason
        return found

    def go(self, times: int = 1) -> None:
        """Go round, a minute apart; read what is asked for."""
        for _ in range(times):
            self.clock.pass_seconds(60)
            self.scan_cycle.go()
            for watch in list(self.scan_cycle.nights.values()):
                pairs = dict(watch.wanted)
                found = [inspect_cube(watch.folder, *pair) for pair in pairs.values()]
                self.scan_cycle.accept(watch.night, pairs, found)
                self.scan_cycle.judge_again(watch.night, pairs)

    def end_the_date(self) -> None:
        self.clock.pass_seconds(DAY_US / SECOND_US)

    def close_night(self) -> None:
        self.go(2)
        self.end_the_date()
        self.go(4)
        assert self.night.closed_us is not None

    def states(self) -> dict[str, str]:
        rows = files.files_of(self.ledger, self.night.id)
        return {path: row.state for path, row in rows.items()}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    config, clock = settings(tmp_path), FakeClock()
    (tmp_path / "archive" / DATE).mkdir()
    with closing(opened(config.state_dir, clock)) as ledger:
        yield Scene(
            folder=tmp_path,
            config=config,
            clock=clock,
            ledger=ledger,
            scan_cycle=ScanCycle(ledger, clock, config),
        )


def test_a_cube_is_whole_after_two_looks_that_agree_and_one_reading(scene: Scene) -> None:
    scene.cube()

    scene.go()
    after_one = scene.states()
    scene.go()

    assert set(after_one.values()) == {FileState.ARRIVING}
    assert scene.states() == {f"vcam1/{STEM}.fits": "whole", f"vcam1/{STEM}.txt": "whole"}
    cube, *_ = cubes.cubes_of(scene.ledger, scene.night.id)
    assert (cube.frames, cube.width, cube.height) == (5, 6, 4)
    first, last = raw_cube(cube).counts or (0, 0)
    assert last - first == 4


def test_a_night_is_closed_when_its_date_is_over_and_nothing_changes(scene: Scene) -> None:
    scene.cube()
    scene.go(5)
    during = scene.night.closed_us

    scene.end_the_date()
    scene.go(2)

    assert during is None
    assert (scene.night.status, scene.night.closed_by) == (NightStatus.READY, "vampd")
    stages = [row.stage for row in tasks.tasks_of(scene.ledger, scene.night.id)]
    assert stages == [stage for stage in STAGES_OF[Kind.ARCHIVE] if stage is not Stage.BUILD]


def test_a_night_in_which_files_arrive_stays_open(scene: Scene) -> None:
    scene.cube()
    scene.end_the_date()
    scene.go(3)
    for minute in range(25):
        scene.cube(f"vcam1_07:{minute:02}:00.000000000")
        scene.go(2)
        assert scene.night.closed_us is None

    scene.go(32)

    assert scene.night.closed_us is not None


@pytest.mark.parametrize("content", [None, "", "vampd-root 00000000-0000-0000-0000-000000000000\n"])
def test_a_root_that_is_not_the_disk_that_it_was_pauses_its_nights(
    scene: Scene, content: str | None
) -> None:
    scene.cube()
    scene.close_night()
    before = scene.states()
    marker = scene.root / MARKER_NAME
    good = marker.read_text()

    marker.unlink()
    if content is not None:
        marker.write_text(content)
    (scene.night_folder / "vcam1").rename(scene.folder / "elsewhere")
    scene.go(3)

    state = "missing" if content is None else "foreign"
    pause = f"{scene.root}: its marker is {state}: not the disk that it was, or not mounted"
    [facts] = read_facts(scene.ledger, scene.scan_cycle, {})
    assert str(facts.pause) == pause
    assert scene.states() == before
    assert scene.night.hold is None

    (scene.folder / "elsewhere").rename(scene.night_folder / "vcam1")
    marker.write_text(good)
    scene.go()
    assert read_facts(scene.ledger, scene.scan_cycle, {})[0].pause is None
    assert (scene.states(), scene.night.hold) == (before, None)


def test_a_file_that_comes_after_the_close_is_late_and_untouched(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    scene.cube(LATER_STEM)
    before = identities_of_tree(scene.night_folder)

    scene.go(5)

    assert scene.states() == {
        f"vcam1/{STEM}.fits": "whole",
        f"vcam1/{STEM}.txt": "whole",
        f"vcam1/{LATER_STEM}.fits": "late",
        f"vcam1/{LATER_STEM}.txt": "late",
    }
    assert len(cubes.cubes_of(scene.ledger, scene.night.id)) == 1
    assert identities_of_tree(scene.night_folder) == before
    assert scene.night.hold is None


def test_a_raw_file_that_changes_after_the_close_holds_the_night(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    cube = scene.cube()
    scene.close_night()
    known = files.files_of(scene.ledger, scene.night.id)[f"vcam1/{STEM}.fits"]

    with cube.open("ab") as file:
        file.write(b"\0" * 2880)
    scene.go(3)

    assert scene.night.hold == (
        f"raw file changed after the night was closed: vcam1/{STEM}.fits\n"
        "it had 5760 bytes, and has 8640"
    )
    now = files.files_of(scene.ledger, scene.night.id)[f"vcam1/{STEM}.fits"]
    assert now == known
    assert "came after its night was closed" not in caplog.text


def test_a_raw_file_that_goes_after_the_close_holds_the_night(scene: Scene) -> None:
    cube = scene.cube()
    scene.close_night()

    cube.unlink()
    scene.go(2)

    assert scene.night.hold == f"raw file gone after the night was closed: vcam1/{STEM}.fits"
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.WHOLE


@pytest.mark.parametrize("order", ["retry", "release"])
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_no_order_lets_a_night_go_on_while_its_raw_file_is_another(
    scene: Scene, order: str, *, gone: bool
) -> None:
    cube = scene.cube()
    scene.close_night()
    aside = cube.rename(scene.folder / "aside")
    if not gone:
        cube.write_bytes(aside.read_bytes() + b"\0")
    scene.go(3)
    held = scene.night.hold
    orders, night = Orders(scene.ledger, scene.config), {"kind": Kind.ARCHIVE, "date": DATE}

    with pytest.raises(OperatorError, match="put that one back"):
        orders.carry_out(order, {**night, "dry_run": False}, "somebody")
    refused = scene.night.hold
    aside.rename(cube)
    orders.carry_out(order, {**night, "dry_run": False}, "somebody")

    assert held is not None
    assert refused == held
    assert scene.night.hold is None


def test_a_night_without_a_cube_is_empty_and_reopens_when_files_come(scene: Scene) -> None:
    scene.end_the_date()
    scene.go(40)
    empty = scene.night.status
    scene.cube()

    scene.go()
    reopened = scene.night.status, scene.night.closed_us
    scene.go(40)

    assert empty == NightStatus.EMPTY
    assert reopened == (NightStatus.COLLECTING, None)
    assert scene.night.status == NightStatus.READY
    assert set(scene.states().values()) == {FileState.WHOLE}


def test_a_cube_that_never_becomes_whole_is_quarantined_at_the_close_with_its_reason(
    scene: Scene,
) -> None:
    scene.cube()
    scene.cube(LATER_STEM).with_suffix(".txt").unlink()
    scene.temporary("vcam1_07:10:00.000000000")

    scene.close_night()

    rows = files.files_of(scene.ledger, scene.night.id)
    lonely = rows[f"vcam1/{LATER_STEM}.fits"]
    assert (lonely.state, lonely.reason) == (FileState.QUARANTINED, "no timing file")
    [temporary] = [row for row in rows.values() if row.role == Role.TEMPORARY]
    assert temporary.state == FileState.QUARANTINED
    assert "never renamed" in (temporary.reason or "")
    assert rows[f"vcam1/{STEM}.fits"].state == FileState.WHOLE


def test_a_whole_cube_arrives_again_while_its_name_is_being_written(scene: Scene) -> None:
    scene.cube()
    scene.go(3)
    before = scene.states()[f"vcam1/{STEM}.fits"]

    temporary = scene.temporary()
    scene.go(2)
    during = scene.states()[f"vcam1/{STEM}.fits"]
    temporary.unlink()
    scene.go(2)

    assert (before, during) == (FileState.WHOLE, FileState.ARRIVING)
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.WHOLE


def test_a_cube_beside_a_left_over_temporary_file_of_its_name_needs_a_proof(scene: Scene) -> None:
    scene.cube()
    scene.temporary()
    days = 40587 + (FIRST_US + 71) / 86400e6
    stamps = [f"MJD-STR = {days:>20.15G}", f"MJD-END = {days + 40_000 / 86400e6:>20.15G}"]
    proved = [np.full((4, 6), number, np.uint16) for number in range(5)]
    extra = [*COMMON_CARDS, *stamps]
    write_raw_cube(scene.night_folder, proved, stem=LATER_STEM, extra=extra, first_us=FIRST_US)
    scene.temporary(LATER_STEM)

    scene.close_night()

    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.QUARANTINED
    assert "temporary file of the same name" in (scene.reason(f"vcam1/{STEM}.fits") or "")
    assert scene.states()[f"vcam1/{LATER_STEM}.fits"] == FileState.WHOLE


def test_a_timing_file_written_anew_is_read_anew(scene: Scene) -> None:
    days = 40587 + (FIRST_US + 1_000_071) / 86400e6
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    path = write_raw_cube(
        scene.night_folder, frames, extra=[*COMMON_CARDS, f"MJD-STR = {days:>20.15G}"]
    )
    scene.go(3)
    early = scene.states()[f"vcam1/{STEM}.fits"], scene.reason(f"vcam1/{STEM}.fits")

    path.with_suffix(".txt").write_bytes(timing_bytes(5, first_us=FIRST_US + 1_000_000))
    scene.go(3)

    assert early[0] == FileState.QUARANTINED
    assert "do not belong together" in (early[1] or "")
    assert set(scene.states().values()) == {FileState.WHOLE}


def test_a_file_of_somebody_else_is_listed_and_keeps_no_night_open(scene: Scene) -> None:
    scene.cube()
    (scene.night_folder / "notes.md").write_text("seeing was good")

    scene.close_night()

    assert scene.states()["notes.md"] == FileState.IGNORED


def test_an_operator_closes_a_night_before_its_date_is_over(scene: Scene) -> None:
    scene.cube()
    scene.go(2)
    scene.ledger.update("night", scene.night.id, close_asked_by="uid 1000 (observer)")

    scene.go(2)

    assert scene.night.closed_by == "uid 1000 (observer)"
    assert scene.night.status == NightStatus.READY


def test_a_held_night_is_not_closed(scene: Scene) -> None:
    scene.cube()
    scene.go(2)
    nights.hold(scene.ledger, scene.night.id, Cause(HoldCode.ORDER, {"why": "dome flats"}))

    scene.end_the_date()
    scene.go(4)

    assert scene.night.closed_us is None


def test_rounds_that_begin_again_change_nothing_that_is_known(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    events = scene.ledger.value("select count(*) from event")

    scene.scan_cycle = ScanCycle(scene.ledger, scene.clock, scene.config)
    scene.go(3)

    assert scene.ledger.value("select count(*) from event") == events


def _close_while_reading_fails(scene: Scene, failures: int) -> None:
    """Close the night by hand; the cube cannot be read so many times in succession."""
    scene.cube()
    scene.go()
    scene.ledger.update("night", scene.night.id, close_asked_by="test")
    for number in range(failures + 4):
        scene.clock.pass_seconds(60)
        scene.scan_cycle.go()
        [watch] = scene.scan_cycle.nights.values()
        pairs = dict(watch.wanted)
        found = [inspect_cube(watch.folder, *pair) for pair in pairs.values()]
        if number < failures:
            found = [
                replace(each, unread=Cause(FileCode.UNREADABLE, {"error": "Input/output error"}))
                for each in found
            ]
        scene.scan_cycle.accept(watch.night, pairs, found)
        scene.scan_cycle.judge_again(watch.night, pairs)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_disk_that_stumbles_at_the_close_costs_no_cube(scene: Scene, failures: int) -> None:
    _close_while_reading_fails(scene, failures)

    assert scene.night.closed_us is not None
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.WHOLE


def test_a_cube_that_can_never_be_read_is_quarantined_and_its_night_waits_for_a_word(
    scene: Scene,
) -> None:
    _close_while_reading_fails(scene, 6)
    held = scene.night.hold

    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": False}
    Orders(scene.ledger, scene.config).carry_out("release", named, "uid 0")
    scene.go(2)

    assert str(held).startswith("no cube can be used: its one cube is quarantined")
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.QUARANTINED
    assert scene.night.status == NightStatus.EMPTY
