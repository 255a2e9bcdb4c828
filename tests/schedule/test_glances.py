"""What a hint leads to: a look at the files that it names, and at no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.schedule.test_rounds import LATER_STEM, STEM, Scene, scene
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.states import FileState, NightStatus
from vampd.watch import scan_cycle
from vampd.watch.hints import EVERYTHING, Hint, Hints
from vampd.watch.inspect import inspect_cube

__all__ = ["scene"]


def _hints(*hints: Hint) -> Hints:
    found = Hints()
    for hint in hints:
        found.add(hint)
    return found


def _of_cube(scene: Scene, stem: str) -> Hints:
    names = (f"vcam1/{stem}.fits", f"vcam1/{stem}.txt")
    return _hints(*(Hint(scene.night_folder, name) for name in names))


def _known(scene: Scene, cubes: int) -> None:
    """A night of so many whole cubes."""
    for number in range(cubes):
        scene.cube(f"vcam1_04:{number // 60:02}:{number % 60:02}.000000000")
    scene.go(2)


def _read(scene: Scene) -> None:
    for watch in list(scene.scan_cycle.nights.values()):
        pairs = dict(watch.wanted)
        found = [inspect_cube(watch.folder, *pair) for pair in pairs.values()]
        scene.scan_cycle.accept(watch.night, pairs, found)
        scene.scan_cycle.judge_again(watch.night, pairs)


def test_a_cube_is_whole_by_looks_at_its_own_files_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(scene, 2)
    scene.cube(STEM)
    scene.cube(LATER_STEM)
    monkeypatch.delattr(scan_cycle, "look")

    scene.scan_cycle.glance(_of_cube(scene, STEM))
    early = scene.scan_cycle.settled()
    scene.clock.pass_seconds(60)
    settled = scene.scan_cycle.settled()
    scene.scan_cycle.glance(settled)
    _read(scene)

    assert not early
    assert dict(settled.files) == dict(_of_cube(scene, STEM).files)
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.WHOLE
    assert f"vcam1/{LATER_STEM}.fits" not in scene.states()
    assert not scene.scan_cycle.settled()


def test_a_whole_look_finds_what_no_event_told_of(scene: Scene) -> None:
    _known(scene, 2)
    scene.cube(STEM)
    scene.cube(LATER_STEM)
    scene.scan_cycle.glance(_of_cube(scene, STEM))

    scene.go(2)

    assert set(scene.states().values()) == {FileState.WHOLE}
    assert len(scene.states()) == 8


def test_a_file_that_went_is_gone_and_no_other_is(scene: Scene) -> None:
    _known(scene, 2)
    scene.cube(STEM)
    scene.go(2)
    (scene.night_folder / "vcam1" / f"{STEM}.txt").unlink()

    scene.scan_cycle.glance(_hints(Hint(scene.night_folder, f"vcam1/{STEM}.txt")))

    assert scene.states().pop(f"vcam1/{STEM}.txt") == FileState.GONE
    assert scene.states().pop(f"vcam1/{STEM}.fits") == FileState.ARRIVING
    assert list(scene.states().values()).count(FileState.WHOLE) == 4


def test_a_cube_whose_name_is_written_again_is_not_whole_any_more(scene: Scene) -> None:
    scene.cube(STEM)
    scene.go(2)
    temporary = scene.temporary(STEM)

    scene.scan_cycle.glance(_hints(Hint(scene.night_folder, f"vcam1/{temporary.name}")))

    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.ARRIVING


def test_a_glance_at_a_disk_that_is_away_condemns_nothing(scene: Scene) -> None:
    scene.cube(STEM)
    scene.go(2)
    before = scene.states()
    scene.root.rename(scene.root.with_name("away"))

    scene.scan_cycle.glance(_of_cube(scene, STEM))

    assert scene.states() == before
    assert scene.root in scene.scan_cycle.absent
    assert not scene.scan_cycle.settled()


def test_a_night_of_which_only_the_name_is_told_is_looked_at_whole(scene: Scene) -> None:
    scene.cube(STEM)

    scene.scan_cycle.glance(_hints(Hint(scene.night_folder)))

    assert len(scene.states()) == 2


def test_a_file_of_a_night_that_nobody_knows_yet_leads_to_the_whole_night(scene: Scene) -> None:
    scene.cube(STEM)

    scene.scan_cycle.glance(_hints(Hint(scene.night_folder, f"vcam1/{STEM}.fits")))

    assert len(scene.states()) == 2


def test_a_link_in_a_root_is_no_night_whatever_an_event_says(scene: Scene) -> None:
    (scene.root / "20251107").symlink_to(scene.folder)

    scene.scan_cycle.glance(_hints(Hint(scene.root / "20251107")))

    assert fetch_all(Night, scene.ledger, "select * from night where date = '20251107'") == []


def test_a_hint_of_everything_is_a_look_at_all_nights(scene: Scene) -> None:
    scene.cube(STEM)

    scene.scan_cycle.glance(_hints(EVERYTHING))

    assert len(scene.states()) == 2


def test_a_late_file_that_is_hinted_at_reopens_its_empty_night(scene: Scene) -> None:
    scene.cube(STEM).unlink()
    scene.close_night()
    before = scene.night.status
    scene.cube(STEM)

    scene.scan_cycle.glance(_of_cube(scene, STEM))

    assert before == NightStatus.EMPTY
    assert scene.night.status == NightStatus.COLLECTING


def test_a_glance_does_not_bring_a_night_nearer_to_its_end(scene: Scene) -> None:
    scene.cube(STEM)
    scene.go(1)
    scene.end_the_date()
    [watch] = scene.scan_cycle.nights.values()
    before = watch.unchanged_looks

    for _ in range(3):
        scene.scan_cycle.glance(_of_cube(scene, STEM))

    assert watch.unchanged_looks == before
    assert scene.night.closed_us is None


@contextmanager
def _counted(ledger: Ledger) -> Iterator[list[int]]:
    """How many steps SQLite takes meanwhile; it is their number that grows, on any machine."""
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    ledger.connection.set_progress_handler(count, 1)
    try:
        yield steps
    finally:
        ledger.connection.set_progress_handler(None, 1)


def _steps_of_one_more(scene: Scene) -> dict[str, int]:
    """What one more cube costs, by what is done for it."""
    cost = {}
    scene.cube(STEM)
    with _counted(scene.ledger) as steps:
        scene.scan_cycle.glance(_of_cube(scene, STEM))
    cost["an event"] = steps[0]
    scene.clock.pass_seconds(60)
    scene.scan_cycle.glance(scene.scan_cycle.settled())
    with _counted(scene.ledger) as steps:
        _read(scene)
    cost["its reading"] = steps[0]
    assert scene.states()[f"vcam1/{STEM}.fits"] == FileState.WHOLE
    return cost


def test_an_event_and_a_reading_cost_the_same_however_many_files_the_night_has(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(scene, 3)
    few = _steps_of_one_more(scene)
    for ending in (".fits", ".txt"):
        (scene.night_folder / "vcam1" / f"{STEM}{ending}").unlink()
    _known(scene, 120)
    monkeypatch.delattr(scan_cycle, "look")

    many = _steps_of_one_more(scene)

    assert all(many[what] < 1.3 * few[what] for what in few), (few, many)
