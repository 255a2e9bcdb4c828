"""What the rounds keep of cubes that the logger lost, and how every view tells of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.schedule.test_rounds import Scene, scene  # noqa: F401 - a fixture
from tests.support.ledger_site import NOW_US, Site
from tests.support.raw_cubes import FIRST_US, PERIOD_US, timing_bytes, write_raw_cube
from vampd.ledger import logger_faults
from vampd.ledger.logger_faults import Fault
from vampd.states import LoggerFault

FRAMES = 40
STEMS = [f"vcam1_05:10:0{number}.000000000" for number in range(6)]


def cube(scene: Scene, number: int, *, count: int | None = None) -> None:  # noqa: F811
    """Cube *number* of those that follow each other without a pause."""
    frames = [np.full((4, 6), number, np.uint16)] * FRAMES
    first_us = FIRST_US + number * FRAMES * PERIOD_US
    path = write_raw_cube(scene.night_folder, frames, stem=STEMS[number], first_us=first_us)
    text = path.with_suffix(".txt").read_bytes()
    counted = number * FRAMES if count is None else count
    for frame in range(FRAMES):
        text = text.replace(b" %d " % (1000 + frame), b" %d " % (70_000 + counted + frame))
    path.with_suffix(".txt").write_bytes(text)


def faults(scene: Scene) -> list[Fault]:  # noqa: F811
    return logger_faults.faults_of(scene.ledger.connection, scene.night.id)


def total(scene: Scene) -> tuple[int, int]:  # noqa: F811
    found = faults(scene)
    return sum(fault.cubes for fault in found), sum(fault.frames for fault in found)


def test_a_jump_of_the_counter_between_whole_cubes_is_kept_while_the_night_goes_on(
    scene: Scene,  # noqa: F811
) -> None:
    for number in (0, 1, 4):
        cube(scene, number)
    scene.go(4)

    [fault] = faults(scene)

    assert scene.night.closed_us is None
    assert (fault.fault, fault.camera, fault.cubes, fault.frames) == (LoggerFault.LOST, 1, 2, 80)
    assert STEMS[1] in fault.text
    assert STEMS[4] in fault.text


def test_what_is_still_being_written_or_read_is_not_lost(scene: Scene) -> None:  # noqa: F811
    for number in (0, 2, 3):
        cube(scene, number)
    temporary = scene.temporary(STEMS[1])
    scene.go(4)
    during = faults(scene)

    temporary.unlink()
    cube(scene, 1)
    scene.close_night()

    assert during == []
    assert faults(scene) == []


def test_a_cube_that_is_quarantined_is_not_lost(scene: Scene) -> None:  # noqa: F811
    for number in range(5):
        cube(scene, number)
    (scene.night_folder / "vcam1" / f"{STEMS[1]}.txt").unlink()
    (scene.night_folder / "vcam1" / f"{STEMS[3]}.fits").write_bytes(b"rubbish")

    scene.close_night()

    assert scene.states()[f"vcam1/{STEMS[1]}.fits"] == "quarantined"
    assert scene.states()[f"vcam1/{STEMS[3]}.fits"] == "quarantined"
    assert faults(scene) == []


def test_every_trace_of_a_lost_cube_is_counted_once(scene: Scene) -> None:  # noqa: F811
    for number in (0, 2, 5):
        cube(scene, number)
    folder = scene.night_folder / "vcam1"
    (folder / f"{STEMS[1]}.txt").write_bytes(b"")
    (folder / f"{STEMS[2]}.fits").unlink()
    scene.temporary(STEMS[3])
    vanishing = scene.temporary(STEMS[4])
    scene.go()
    vanishing.unlink()

    scene.close_night()

    assert total(scene) == (4, 160)
    told = " ".join(fault.text for fault in faults(scene))
    for why in ("is a disk full?", "without its cube", "never renamed", "vanished"):
        assert why in told


def test_a_timing_file_without_its_cube_tells_how_many_frames_were_lost(
    scene: Scene,  # noqa: F811
) -> None:
    (scene.night_folder / "vcam1").mkdir()
    (scene.night_folder / "vcam1" / f"{STEMS[0]}.txt").write_bytes(timing_bytes(17))

    scene.close_night()

    assert total(scene) == (1, 17)


def test_a_temporary_file_of_a_cube_that_came_is_no_loss(scene: Scene) -> None:  # noqa: F811
    temporary = scene.temporary(STEMS[0])
    scene.go()
    temporary.unlink()
    cube(scene, 0)

    scene.close_night()

    assert faults(scene) == []


def test_a_counter_that_no_integer_holds_tells_nothing(scene: Scene) -> None:  # noqa: F811
    for number, count in enumerate((0, 10**25, -(10**25))):
        cube(scene, number, count=count)

    scene.close_night()

    assert set(scene.states().values()) == {"whole"}
    assert faults(scene) == []


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(folder=tmp_path_factory.mktemp("site"))
    made.make_ledger()
    night = made.night("20251106", "safe")
    made.execute(
        "insert into logger_fault (night, fault, camera, cubes, frames, text, found_us)"
        " values (?, 'lost', 2, 5, 200, 'the counter jumps', ?)",
        night,
        NOW_US,
    )
    return made


@pytest.mark.parametrize(
    "words", [("status",), ("explain", "last"), ("show", "last"), ("data", "summary", "last")]
)
def test_every_view_tells_of_lost_cubes(site: Site, words: tuple[str, ...]) -> None:
    told = " ".join(site.said(*words).split())

    assert "5 cubes lost by the logger, about 200 frames" in told


def test_programs_are_told_of_lost_cubes(site: Site) -> None:
    [night] = site.answer("status")["nights"]
    [shown] = site.answer("show", "last")["nights"]
    [summed] = site.answer("data", "summary", "last")["nights"]

    assert night["logger"]["lost"] == {"cubes": 5, "frames": 200}
    assert shown["logger_faults"] == summed["logger_faults"]
    assert shown["logger_faults"][0]["text"] == "the counter jumps"
