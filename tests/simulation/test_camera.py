"""Files arrive as from the cameras: nothing has its final name before it is whole."""

from __future__ import annotations

import gc
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.trees import digests_of_tree
from vampd.simulation.camera import Action
from vampd.simulation.night import SimulatedNight, play, reference_night
from vampd.simulation.random_scenes import random_night
from vampd.simulation.reference_scenes import scene_named
from vampd.simulation.scenes import Scene, both

QUICK = Scene(name="quick", triggers=6, cube_frames=both(3), pause_before_s=1.0)


class TimedClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now_us(self) -> int:
        return round(self.passed_s * 1e6)

    def monotonic_ns(self) -> int:
        return round(self.passed_s * 1e9)

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


def test_no_cube_has_its_final_name_before_it_is_whole(tmp_path: Path) -> None:
    night = reference_night()
    night.write(tmp_path / "done")
    done = {path.name: path.stat().st_size for path in (tmp_path / "done").rglob("*.fits")}
    seen = 0

    for step in night.steps(tmp_path / "growing"):
        step()
        if step.path.suffix == ".fits":
            assert step.action is Action.RENAME
            assert step.path.stat().st_size == done[step.path.name]
            assert not step.path.with_suffix(".txt").exists()
            seen += 1

    assert seen == len(done) == 53
    assert not list((tmp_path / "growing").rglob("*.tmp"))
    assert digests_of_tree(tmp_path / "growing") == digests_of_tree(tmp_path / "done")


def test_the_timing_file_grows_under_its_final_name_after_its_cube(tmp_path: Path) -> None:
    sizes = defaultdict(list)

    for step in SimulatedNight((scene_named("sync-no-flc"),)).steps(tmp_path):
        step()
        if step.path.suffix == ".txt":
            assert step.path.with_suffix(".fits").exists()
            sizes[step.path].append(step.path.stat().st_size)

    assert len(sizes) == 6
    for grown in sizes.values():
        assert grown == sorted(grown)
        assert grown[0] == 0
        assert len(set(grown)) >= 4


def test_a_timing_file_is_cut_within_a_row_while_it_is_written(tmp_path: Path) -> None:
    cut = 0

    for step in SimulatedNight((scene_named("sync-no-flc"),)).steps(tmp_path):
        step()
        if step.path.suffix == ".txt" and step.action is Action.WRITE:
            cut += not step.path.read_bytes().endswith(b"\n")

    assert cut > 0


def test_steps_are_in_the_order_of_time_over_both_cameras(tmp_path: Path) -> None:
    for seed in range(3):
        steps = list(random_night(seed, count=4, most_triggers=300).steps(tmp_path))
        times = [step.at_us for step in steps]
        assert times == sorted(times)
        assert {step.path.parent.name for step in steps} <= {"vcam1", "vcam2"}
    assert not list(tmp_path.iterdir()), "listing steps must not do them"


def test_cubes_follow_their_frames(tmp_path: Path) -> None:
    night = SimulatedNight((QUICK,))
    ends_us = {cube.path: int(cube.frames.acquired_us[-1]) for cube in night.cubes}

    for step in night.steps(tmp_path):
        if step.action is Action.RENAME:
            assert step.at_us > ends_us[f"{step.path.parent.name}/{step.path.name}"]


def test_older_loggers_let_the_cube_grow_under_its_final_name(tmp_path: Path) -> None:
    sizes = []

    for step in SimulatedNight((QUICK,), grows_in_place=True).steps(tmp_path / "old"):
        step()
        assert step.action is not Action.RENAME
        if step.path.suffix == ".fits":
            sizes.append(step.path.stat().st_size)

    SimulatedNight((QUICK,)).write(tmp_path / "new")
    assert min(sizes) == 0
    assert digests_of_tree(tmp_path / "old") == digests_of_tree(tmp_path / "new")


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_night_lasts_as_long_as_its_speed_says(tmp_path: Path, speed: float) -> None:
    night = SimulatedNight((QUICK, QUICK))
    steps = list(night.steps(tmp_path / "listed"))
    clock = TimedClock()

    night.write(tmp_path, speed=speed, clock=clock, sleep=clock.sleep)

    length_s = (steps[-1].at_us - steps[0].at_us) / 1e6
    assert clock.passed_s == pytest.approx(length_s / speed, rel=1e-6)


def test_at_infinite_speed_nobody_sleeps(tmp_path: Path) -> None:
    clock = TimedClock()

    play(
        SimulatedNight((QUICK,)).steps(tmp_path),
        speed=float("inf"),
        clock=clock,
        sleep=clock.sleep,
    )

    assert clock.passed_s == 0.0
    assert len(list(tmp_path.rglob("*.fits"))) == 4


def test_a_camera_never_overwrites_a_file(tmp_path: Path) -> None:
    night = SimulatedNight((QUICK,))
    night.write(tmp_path)
    before = digests_of_tree(tmp_path)

    with pytest.raises(FileExistsError):
        play(night.steps(tmp_path), speed=float("inf"))

    assert {name: before[name] for name in before} == {
        name: digest for name, digest in digests_of_tree(tmp_path).items() if name in before
    }


@pytest.mark.filterwarnings("error")
def test_steps_may_be_abandoned_half_way(tmp_path: Path) -> None:
    for step in SimulatedNight((QUICK,)).steps(tmp_path):
        step()
        if step.action is Action.WRITE:
            break

    del step
    gc.collect()
    (left,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert left.suffix == ".tmp"
