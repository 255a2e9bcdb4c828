"""What comes after a night is safe is collected as its next batch, and nothing else is."""

from __future__ import annotations

from tests.schedule.test_rounds import LATER_STEM, STEM, Scene, scene
from vampd.ledger import cubes, files, nights
from vampd.states import NightStatus

__all__ = ["scene"]

_CUBE, _TIMING = f"vcam1/{STEM}.fits", f"vcam1/{STEM}.txt"
_LATER = f"vcam1/{LATER_STEM}.fits"


def _make_safe(scene: Scene) -> None:
    scene.ledger.execute("update task set state = 'done'")
    for status in (NightStatus.SAFE,):
        nights.set_status(scene.ledger, scene.night, status, None)


def _batches(scene: Scene) -> dict[str, int]:
    rows = files.files_of(scene.ledger, scene.night.id)
    return {path: row.batch for path, row in rows.items()}


def test_a_late_cube_waits_until_its_night_is_safe(scene: Scene) -> None:
    scene.cube()
    scene.close_night()

    scene.cube(LATER_STEM)
    scene.go(3)
    before = scene.night.batch
    _make_safe(scene)
    scene.go()

    assert before == 1
    assert (scene.night.batch, scene.night.status) == (2, NightStatus.COLLECTING)


def test_a_supplement_is_closed_by_the_rules_of_any_night(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    _make_safe(scene)
    scene.cube(LATER_STEM)

    scene.go(5)
    early = scene.night.closed_us
    scene.go(40)

    assert early is None
    assert scene.night.status == NightStatus.READY
    assert _batches(scene)[_CUBE] == 1
    assert [row.path for row in cubes.cubes_of(scene.ledger, scene.night.id)] == [_LATER]


def test_a_bad_cube_whose_timing_file_comes_late_is_taken_into_the_supplement(
    scene: Scene,
) -> None:
    scene.cube(LATER_STEM)
    timing = scene.cube().with_suffix(".txt")
    text = timing.read_bytes()
    timing.unlink()
    scene.close_night()
    _make_safe(scene)
    quarantined = scene.states()[_CUBE]

    timing.write_bytes(text)
    scene.go(45)

    assert quarantined == "quarantined"
    assert (scene.states()[_CUBE], scene.states()[_TIMING]) == ("whole", "whole")
    assert [row.path for row in cubes.cubes_of(scene.ledger, scene.night.id)] == [_CUBE]


def test_a_file_of_the_safe_batch_that_changes_meanwhile_does_not_hold_the_supplement(
    scene: Scene,
) -> None:
    scene.cube()
    scene.close_night()
    _make_safe(scene)
    scene.cube(LATER_STEM)
    scene.go(2)

    (scene.night_folder / _TIMING).write_text("# another one\n")
    scene.go(45)

    assert scene.night.hold is None
    assert scene.night.status == NightStatus.READY


def test_a_supplement_without_a_cube_that_can_be_used_leaves_the_night_safe(
    scene: Scene,
) -> None:
    scene.cube()
    scene.close_night()
    _make_safe(scene)
    bad = scene.cube(LATER_STEM)
    bad.with_suffix(".txt").unlink()

    scene.go(45)

    assert (scene.night.batch, scene.night.status) == (1, NightStatus.SAFE)
    assert scene.night.safe_us is not None
    assert scene.states()[_LATER] == "quarantined"
