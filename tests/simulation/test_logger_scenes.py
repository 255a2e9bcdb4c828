"""A logger that fails does on the disk what the truth says, and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from msgspec.structs import replace

from tests.support.frames import column_us, read_file_stamps, read_rows, who
from vampd.errors import UsageError
from vampd.science.losses import LoggedCube, find_losses
from vampd.simulation.logger_scenes import LOGGER_SCENES
from vampd.simulation.night import SimulatedNight
from vampd.simulation.random_scenes import random_night, random_scenes
from vampd.simulation.reference_scenes import scene_named
from vampd.simulation.scenes import Scene, both
from vampd.simulation.truth import LossTruth, Truth
from vampd.watch.naming import Role, classify

_TAI_US = 37_000_000


def written(name: str, folder: Path) -> tuple[Truth, Path]:
    truth = SimulatedNight((scene_named(name),)).write(folder)
    return truth, folder / truth.night


def logged_us(cube: Path) -> np.ndarray:
    return column_us(read_rows(cube.with_suffix(".txt")), 3)


def mjd_us(cube: Path, card: str) -> int:
    return round((float(fits.getheader(cube)[card]) - 40_587) * 86_400e6)


def test_a_mixed_cube_has_the_name_and_the_rows_of_the_next_one(tmp_path: Path) -> None:
    truth, night = written("logger-race", tmp_path)

    for camera in (1, 2):
        files = [file for file in truth.files if file.camera == camera]
        before, mixed, lost, after = files
        assert mixed.quarantined
        assert not lost.written
        cube = night / mixed.path
        assert who(read_file_stamps(cube)) == {(camera, 1, k) for k in mixed.frames.tolist()}
        rows_us = column_us(read_rows(cube.with_suffix(".txt")), 4)
        assert rows_us.tolist() == lost.t_us.tolist()
        assert abs(mjd_us(cube, "MJD-STR") - int(mixed.t_us[0])) < 1_000
        assert abs(mjd_us(cube, "MJD-STR") - int(logged_us(cube)[0])) > 100_000
        assert (night / lost.path).exists()
        assert lost.path.startswith(mixed.path)
        assert classify(lost.path).role is Role.TEMPORARY
        assert len(list((night / f"vcam{camera}").iterdir())) == 7
        for whole in (before, after):
            assert abs(mjd_us(night / whole.path, "MJD-END") - whole.t_us[-1]) < 1_000


@pytest.mark.parametrize("name", ["tai-proved", "tai-unproved"])
def test_a_logger_on_tai_is_ahead_in_everything_but_date_and_acquisition(
    tmp_path: Path, name: str
) -> None:
    truth, night = written(name, tmp_path)

    for file in truth.files:
        cube = night / file.path
        ahead_us = logged_us(cube) - file.t_us
        assert ((ahead_us >= _TAI_US + 60) & (ahead_us < _TAI_US + 10_000)).all()
        assert abs(mjd_us(cube, "MJD-STR") - int(logged_us(cube)[0])) < 10
        acquired_us = column_us(read_rows(cube.with_suffix(".txt")), 4)
        if file.fault is None:
            assert acquired_us.tolist() == file.t_us.tolist()
        else:
            assert set(acquired_us) == {0}
            assert file.may_be_quarantined
    assert {file.fault is None for file in truth.files} == (
        {True, False} if name == "tai-proved" else {False}
    )


def test_a_doubled_cube_is_there_twice_byte_by_byte(tmp_path: Path) -> None:
    truth, night = written("doubled-cube", tmp_path)

    (copy,) = [file for file in truth.files if file.copy_of]
    assert copy.copy_of is not None
    for ending in (".fits", ".txt"):
        first, second = ((night / path).with_suffix(ending) for path in (copy.copy_of, copy.path))
        assert first.read_bytes() == second.read_bytes()
    assert len(copy.overlapped) == len(copy.frames)


@pytest.mark.parametrize(("name", "twice"), [("overlap-partly", 15), ("overlap-within", 30)])
def test_two_loggers_of_one_camera_take_the_same_frames(
    tmp_path: Path, name: str, twice: int
) -> None:
    truth, night = written(name, tmp_path)

    first, second, third = [file for file in truth.files if file.camera == 1]
    again = np.intersect1d(first.frames, second.frames)
    assert len(again) == twice
    assert np.array(first.frames)[list(first.overlapped)].tolist() == again.tolist()
    assert not third.overlapped
    rows = [read_rows((night / file.path).with_suffix(".txt")) for file in (first, second)]
    times_us = [set(column_us(one, 4).tolist()) for one in rows]
    assert len(times_us[0] & times_us[1]) == twice
    assert not any(file.overlapped for file in truth.files if file.camera == 2)


def test_lost_cubes_leave_a_jump_of_the_counter_and_nothing_else(tmp_path: Path) -> None:
    truth, night = written("lost-cubes", tmp_path)

    assert truth.losses == (
        LossTruth(camera=1, cubes=3, frames=129),
        LossTruth(camera=2, cubes=3, frames=129),
    )
    counts = [
        int(row[5]) for path in sorted((night / "vcam1").glob("*.txt")) for row in read_rows(path)
    ]
    assert sorted(set(np.diff(counts).tolist())) == [1, 130]
    assert len(list((night / "vcam1").iterdir())) == 8


def test_a_full_disk_leaves_timing_files_of_no_byte(tmp_path: Path) -> None:
    _, night = written("full-disk", tmp_path)

    sizes = sorted(path.stat().st_size for path in (night / "vcam2").glob("*.txt"))
    assert sizes[:2] == [0, 0]
    assert sizes[2] > 0
    assert len(list((night / "vcam2").glob("*.fits"))) == 1
    assert not list(night.rglob("*.tmp"))


def test_the_overlap_of_the_crystal_lasts_fifty_milliseconds(tmp_path: Path) -> None:
    truth, _ = written("flc-overlap", tmp_path)

    first, second, third = [file for file in truth.files if file.camera == 1]
    assert int(first.t_us[-1] - second.t_us[0]) == pytest.approx(50_000, abs=100)
    assert len(first.overlapped) == len(second.overlapped) == pytest.approx(26, abs=1)
    assert not third.overlapped
    assert (np.diff(first.t_us) > 0).all()
    assert (np.diff(second.t_us) > 0).all()


def test_a_truth_with_all_that_a_logger_does_reads_back(tmp_path: Path) -> None:
    truth = random_night(3, count=12, with_faults=True, logger_fails=True).truth
    truth.save(tmp_path / "truth.json")

    assert Truth.load(tmp_path / "truth.json").as_json() == truth.as_json()


def test_random_loggers_do_all_that_they_can_and_can_be_written() -> None:
    scenes = [scene for seed in range(40) for scene in random_scenes(seed, logger_fails=True)]

    for something in ("mixed", "doubled", "logger_ahead_s", "cube_spans", "faults"):
        assert len({str(getattr(scene, something)) for scene in scenes}) > 1, something
    assert any(pause_us < 0 for scene in scenes for _, pause_us in scene.gaps)
    for seed in range(6):
        steps = list(random_night(seed, most_triggers=200, logger_fails=True).steps(Path("/none")))
        assert [step.at_us for step in steps] == sorted(step.at_us for step in steps)


def test_random_nights_with_a_failing_logger_come_onto_the_disk(tmp_path: Path) -> None:
    for seed in range(4):
        night = random_night(seed, count=6, most_triggers=60, with_faults=True, logger_fails=True)

        truth = night.write(tmp_path / str(seed))

        folder = tmp_path / str(seed) / truth.night
        paths = {str(path.relative_to(folder)) for path in folder.rglob("*.fits")}
        assert paths == {file.path for file in truth.files if file.written}


def test_the_scenes_themselves_do_not_change_with_the_logger() -> None:
    for seed in range(5):
        plain, failing = (random_scenes(seed, logger_fails=fails) for fails in (False, True))
        for one, two in zip(plain, failing, strict=True):
            assert one == replace(
                two,
                **{
                    name: getattr(one, name)
                    for name in (
                        "faults",
                        "mixed",
                        "doubled",
                        "cube_spans",
                        "logger_ahead_s",
                        "gaps",
                        "cube_frames",
                        "late_start",
                        "dropped",
                        "unseen",
                        "triggers",
                    )
                },
            )


def test_the_last_cube_cannot_be_mixed_with_the_next_one() -> None:
    scene = Scene(name="last", triggers=8, cube_frames=both(4), mixed=((1, 1),))

    with pytest.raises(UsageError, match="cube 1 has no next one"):
        SimulatedNight((scene,))


@pytest.mark.parametrize(
    ("spans", "within"), [(((0, 60), (45, 100)), False), (((0, 80), (20, 50)), True)]
)
def test_a_cube_within_another_may_be_held_and_one_that_begins_in_it_not(
    spans: tuple[tuple[int, int], ...], *, within: bool
) -> None:
    scene = Scene(name="two", triggers=100, cameras=(1,), cube_spans=(spans, ()))

    files = SimulatedNight((scene,)).truth.files

    assert [file.may_be_quarantined for file in files] == [within, within]


def test_frames_after_the_clock_was_set_back_within_a_cube_overlap_those_before() -> None:
    scene = Scene(name="back", triggers=100, cube_frames=both(100), gaps=((49, -57_500),))

    for file in SimulatedNight((scene,)).truth.files:
        assert min(file.overlapped) == 39
        assert max(file.overlapped) == 60
        assert len(file.overlapped) == 22


def test_what_the_stream_counts_between_the_scenes_is_no_lost_cube() -> None:
    cubes = [
        cube
        for cube in SimulatedNight(tuple(LOGGER_SCENES.values())).cubes
        if cube.camera == 1 and cube.copy_of is None and not any(cube.scene.cube_spans)
    ]

    logged = [
        LoggedCube(
            path=cube.path,
            camera=1,
            frames=len(cube.frames),
            first_count=int(cube.frames.counts[0]),
            last_count=int(cube.frames.counts[-1]),
            first_us=int(cube.frames.logged_ns[0]) // 1_000,
            last_us=int(cube.frames.logged_ns[-1]) // 1_000,
            settings=cube.scene.flc,
        )
        for cube in cubes
    ]

    assert find_losses(logged) == []
