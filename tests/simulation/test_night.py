"""The generator's truth, the files it writes, and the reference night agree."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from msgspec.structs import replace

from tests.support.frames import (
    column_us,
    read_file_stamps,
    read_rows,
    triggers_seen_by_both,
    usable_frames,
    who,
)
from tests.support.reference_night import needs_reference_night, reference_night, reference_truth
from tests.support.trees import digests_of_tree
from vampd.errors import OperatorError, UsageError
from vampd.simulation import night as simulation
from vampd.simulation.night import SimulatedNight
from vampd.simulation.random_scenes import random_night, random_scenes
from vampd.simulation.reference_scenes import scene_named
from vampd.simulation.scenes import CubeFault, Fault, Scene, both, polarimetry
from vampd.simulation.truth import Truth

ROW_FAULTS = (Fault.ZERO_ROW, Fault.NAN_ROW, Fault.DISORDER_ROW, Fault.TORN_ROW)


def check_label_law(truth: Truth) -> int:
    """The frame before a long interval is B (+1), before a short one A (-1)."""
    checked = 0
    for file in truth.files:
        scene = truth.scene(file.scene)
        if scene.state is None or len(file.frames) < 3:
            continue
        consecutive = np.diff(file.frames) == 1
        intervals = np.diff(file.t_us)[consecutive]
        states = truth.state_of(file.scene, file.frames)[:-1][consecutive]
        ordinary = intervals < 1.5 * np.median(intervals) if len(intervals) else intervals > 0
        long, short = (intervals[ordinary & (states == state)] for state in (1, -1))
        if len(long) and len(short):
            assert long.mean() > short.mean()
            checked += 1
    return checked


def one_fault(fault: Fault, frames: int = 20) -> SimulatedNight:
    return SimulatedNight(
        (
            Scene(
                name="faulty",
                triggers=frames,
                cube_frames=both(frames),
                faults=(CubeFault(fault=fault, camera=1),),
            ),
        )
    )


def files_of(night: Path, camera: int) -> list[str]:
    folder = night / f"vcam{camera}"
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


def test_every_frame_carries_its_stamp_and_its_time(tmp_path: Path) -> None:
    truth = simulation.reference_night().write(tmp_path)

    for file in truth.files:
        cube = tmp_path / truth.night / file.path
        stamps = read_file_stamps(cube)
        assert set(stamps.cameras) == {file.camera}
        assert set(stamps.scenes) == {file.scene}
        assert stamps.triggers.tolist() == file.frames.tolist()
        if file.fault in {None, "no_exptime"}:
            rows = read_rows(cube.with_suffix(".txt"))
            assert column_us(rows, 4).tolist() == file.t_us.tolist()
            assert (column_us(rows, 3) >= file.t_us + 60).all()


def test_the_label_law_holds_in_simulated_nights() -> None:
    assert check_label_law(simulation.reference_night().truth) > 10
    for seed in range(5):
        loud = random_scenes(seed, count=6)
        quiet = tuple(replace(scene, noise_us=2.0) for scene in loud)
        check_label_law(SimulatedNight(quiet, seed=seed).truth)


@needs_reference_night
def test_the_label_law_holds_in_the_reference_night() -> None:
    assert check_label_law(reference_truth()) > 10


@needs_reference_night
def test_the_reference_scenes_come_out_as_in_the_reference_night() -> None:
    ours, theirs = simulation.reference_night().truth, reference_truth()

    def frames(truth: Truth) -> list[tuple[int, int, list[int]]]:
        return sorted((file.camera, file.scene, file.frames.tolist()) for file in truth.files)

    assert [scene.name for scene in ours.scenes] == [scene.name for scene in theirs.scenes]
    assert frames(ours) == frames(theirs)
    assert usable_frames(ours) == usable_frames(theirs)
    for scene in theirs.scenes:
        same = ours.scene(scene.scene)
        assert (same.n, same.flc, same.exttrig) == (scene.n, scene.flc, scene.exttrig)
        assert (same.state is None) == (scene.state is None)
        if same.state is not None and scene.state is not None:
            assert same.state.tolist() == scene.state.tolist()
        common = triggers_seen_by_both(theirs, scene.scene)
        assert triggers_seen_by_both(ours, scene.scene).tolist() == common.tolist()


def counted_from_first(rows: list[list[str]]) -> list[tuple[int, ...]]:
    """Frame, cnt0 and the two columns of counts behind the times, cnt0 from the file's first.

    Where a stream begins to count is drawn for every night; how it goes on is not.
    """
    first = int(rows[0][1])
    return [(int(row[0]), int(row[1]) - first, int(row[5]) - first, int(row[6])) for row in rows]


@needs_reference_night
def test_headers_and_timing_files_look_as_in_the_reference_night(tmp_path: Path) -> None:
    truth = simulation.reference_night().write(tmp_path)
    reference = {file.path: file for file in reference_truth().files}

    def key(file: object) -> tuple[int, int, int]:
        return file.scene, file.camera, int(file.frames[0])  # type: ignore[attr-defined]

    drawn_anew = {"CRVAL1", "RA", "MJD", "UT"}
    pairs = zip(sorted(truth.files, key=key), sorted(reference.values(), key=key), strict=True)
    for mine, theirs in pairs:
        ours_path = tmp_path / truth.night / mine.path
        theirs_path = reference_night() / theirs.path
        ours_header, header = fits.getheader(ours_path), fits.getheader(theirs_path)
        assert list(ours_header) == list(header)
        for keyword in ("EXPTIME", "EXTTRIG", "FILTER01", "RET-ANG1", "U_FLCEN", "U_FLCST"):
            assert ours_header.get(keyword) == header.get(keyword)
        for keyword in ("OBJECT", "DATA-TYP", "OBS-MOD", "U_DETMOD", "U_TRIGJT", "PRD-RNG2"):
            assert ours_header[keyword] == header[keyword]
        for keyword in set(header) - drawn_anew:
            assert type(ours_header[keyword]) is type(header[keyword]), keyword
        assert ours_path.stat().st_size == theirs_path.stat().st_size
        ours_txt, txt = ours_path.with_suffix(".txt"), theirs_path.with_suffix(".txt")
        assert ours_txt.exists() == txt.exists()
        if txt.exists():
            ours_lines, lines = ours_txt.read_text().split("\n"), txt.read_text().split("\n")
            assert ours_lines[:11] == lines[:11]
            assert [len(line) for line in ours_lines] == [len(line) for line in lines]
            assert counted_from_first(read_rows(ours_txt)) == counted_from_first(read_rows(txt))


def test_astropy_opens_every_good_file_without_complaint(tmp_path: Path) -> None:
    truth = random_night(5, count=6, most_triggers=300).write(tmp_path)

    for file in truth.files:
        with fits.open(tmp_path / truth.night / file.path, memmap=False) as units:
            units.verify("exception")
            assert units[0].data.shape == (len(file.frames), 24, 32)
            assert units[0].header["U_CAMERA"] == file.camera


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        random_night(seed, count=3, most_triggers=100).write(tmp_path / name)

    trees = [digests_of_tree(tmp_path / name) for name in "abc"]
    assert trees[0] == trees[1]
    assert trees[0] != trees[2]


def test_the_truth_survives_being_saved(tmp_path: Path) -> None:
    truth = random_night(2, with_faults=True, most_triggers=200).truth

    truth.save(tmp_path / "truth.json")

    assert Truth.load(tmp_path / "truth.json").as_json() == truth.as_json()


def test_stream_counter_jumps_where_a_frame_was_not_logged_only() -> None:
    scene = Scene(
        name="losses", triggers=20, dropped=((), (5, 6)), unseen=((), (12,)), cube_frames=both(20)
    )

    first, second = SimulatedNight((scene,)).cubes

    assert set(np.diff(first.frames.counts)) == {1}
    jumps = np.flatnonzero(np.diff(second.frames.counts) != 1)
    assert second.frames.triggers[jumps].tolist() == [4]
    assert 12 not in second.frames.triggers


def test_cubes_of_the_two_cameras_have_the_lengths_asked_for() -> None:
    scene = Scene(name="lengths", triggers=10, cube_frames=((3, 4), (10,)), late_start=(0, 2))

    lengths = [(cube.camera, len(cube.frames)) for cube in SimulatedNight((scene,)).cubes]

    assert lengths == [(1, 3), (1, 4), (1, 3), (2, 8)]


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_bad_row_costs_the_frame_that_the_truth_names(tmp_path: Path, fault: Fault) -> None:
    truth = one_fault(fault).write(tmp_path)

    file = truth.files[0]
    (place,) = file.rejected
    rows = read_rows((tmp_path / truth.night / file.path).with_suffix(".txt"))
    bad = rows[place]
    good = [row for row in rows if row is not bad]
    assert not file.quarantined
    assert len(rows) == len(file.frames)
    assert {len(row) for row in good} == {7}
    assert column_us(good, 4).tolist() == np.delete(file.t_us, place).tolist()
    assert len(bad) < 7 or bad[4] == "nan" or column_us([bad], 4)[0] < file.t_us[0]


def test_faults_are_on_the_disk_as_the_truth_says(tmp_path: Path) -> None:
    expected = {
        Fault.NO_TXT: [".fits"],
        Fault.LEFT_OVER_TMP: [".tmp"],
        Fault.LOST_CUBE: [".txt"],
        Fault.EMPTY_TXT: [".txt"],
        Fault.VANISHED: [],
    }
    for fault in Fault:
        truth = one_fault(fault).write(tmp_path / fault)
        file = truth.files[0]
        cube = tmp_path / fault / truth.night / file.path
        assert files_of(tmp_path / fault / truth.night, 1) == expected.get(fault, [".fits", ".txt"])
        assert files_of(tmp_path / fault / truth.night, 2) == [".fits", ".txt"]
        assert cube.exists() == file.written
        assert truth.files[1].fault is None


def test_spoiled_timing_files_have_the_rows_their_fault_promises(tmp_path: Path) -> None:
    def rows(fault: Fault) -> list[list[str]]:
        truth = one_fault(fault).write(tmp_path / fault)
        return read_rows((tmp_path / fault / truth.night / truth.files[0].path).with_suffix(".txt"))

    assert len(rows(Fault.SHORT_TXT)) == 18
    assert len(rows(Fault.SURPLUS_TXT)) == 21
    assert {len(row) for row in rows(Fault.SIX_COLUMNS)} == {6}
    assert {row[4] for row in rows(Fault.NO_ACQUISITION)} == {"0.000000"}
    rows(Fault.UNFINISHED_TXT)
    text = next((tmp_path / Fault.UNFINISHED_TXT).rglob("vcam1*.txt")).read_bytes()
    assert not text.endswith(b"\n")


def test_spoiled_cubes_are_too_short_for_their_headers(tmp_path: Path) -> None:
    whole = one_fault(Fault.NO_TXT)
    sizes = {}
    for name, night in (
        ("whole", whole),
        ("truncated", one_fault(Fault.TRUNCATED)),
        ("empty", one_fault(Fault.EMPTY)),
        ("left over", one_fault(Fault.LEFT_OVER_TMP)),
    ):
        night.write(tmp_path / name)
        (cube,) = (tmp_path / name).glob("*/vcam1/*.fits*")
        sizes[name] = cube.stat().st_size

    header_bytes = sizes["whole"] - -(-20 * 24 * 32 * 2 // 2880) * 2880
    assert sizes["truncated"] == header_bytes + 20 * 24 * 32 * 2 - 24 * 32
    assert sizes["left over"] == sizes["truncated"]
    assert sizes["empty"] == 0


def test_header_cards_follow_the_scene_its_camera_and_its_cube(tmp_path: Path) -> None:
    scene = Scene(
        name="cards",
        triggers=4,
        cube_frames=both(2),
        cards={"OBJECT": "O'Neill", "U_TRIGJT": None, "EXTTRIG": "NA"},
        cards_of_camera=({}, {"FILTER01": "775-50"}),
        cards_of_cube=({}, {"RET-ANG1": 22.5}),
    )

    truth = SimulatedNight((scene,)).write(tmp_path)

    headers = [fits.getheader(tmp_path / truth.night / file.path) for file in truth.files]
    assert {header["OBJECT"] for header in headers} == {"O'Neill"}
    assert {header["EXTTRIG"] for header in headers} == {"NA"}
    assert not any("U_TRIGJT" in header for header in headers)
    assert [h["FILTER01"] for h in headers] == ["Open", "Open", "775-50", "775-50"]
    assert [h["RET-ANG1"] for h in headers] == [0.0, 22.5, 0.0, 22.5]


def test_a_cube_of_one_frame_may_have_two_axes(tmp_path: Path) -> None:
    scene = Scene(name="flat", triggers=1, cube_frames=both(1), single_frame_naxis=2)

    truth = SimulatedNight((scene,)).write(tmp_path)

    path = tmp_path / truth.night / truth.files[0].path
    assert fits.getheader(path)["NAXIS"] == 2
    assert who(read_file_stamps(path)) == {(1, 1, 0)}


def test_a_night_that_crosses_midnight_stays_in_its_folder(tmp_path: Path) -> None:
    night = SimulatedNight((polarimetry("late", 100, cube_frames=both(20)),), start="23:59:59.9")

    truth = night.write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["20251106"]
    headers = [fits.getheader(tmp_path / truth.night / file.path) for file in truth.files[:5]]
    assert headers[0]["DATE-OBS"] == "2025-11-06"
    assert headers[-1]["DATE-OBS"] == "2025-11-07"
    assert truth.files[0].path > truth.files[4].path


def test_a_cube_is_named_after_the_moment_its_first_frame_was_logged() -> None:
    shifted = replace(scene_named("hst-filename"), name_shift_s=0.0)
    (plain, *_), (early, *_) = (
        SimulatedNight((scene,)).cubes for scene in (shifted, scene_named("hst-filename"))
    )

    first_ns = int(plain.frames.logged_ns[0])
    of_day_s = (first_ns // 10**9) % 86_400
    clock = f"{of_day_s // 3600:02d}:{of_day_s // 60 % 60:02d}:{of_day_s % 60:02d}"
    assert plain.stem.startswith(f"vcam1_{clock}.")
    assert 0 < int(plain.stem[-9:]) - first_ns % 10**9 < 100_000
    assert early.stem == plain.stem.replace("_05:", "_19:")


def test_the_date_card_is_written_just_after_the_last_frame(tmp_path: Path) -> None:
    truth = SimulatedNight((scene_named("slow-15s"),)).write(tmp_path)

    for file in truth.files:
        card = fits.getheader(tmp_path / truth.night / file.path)["DATE"]
        written_s = datetime.fromisoformat(f"{card}+00:00").timestamp()
        assert 0 < written_s - file.t_us[-1] / 1e6 <= 1


def test_scenes_never_share_a_moment_and_cubes_never_share_a_name() -> None:
    for seed in range(4):
        truth = random_night(seed, count=10).truth
        paths = [file.path for file in truth.files]
        assert len(set(paths)) == len(paths)
        for camera in (1, 2):
            times = [file.t_us for file in truth.files if file.camera == camera]
            assert (np.diff(np.concatenate(times)) > 0).all()


def test_writing_over_existing_cubes_is_refused(tmp_path: Path) -> None:
    night = SimulatedNight((Scene(name="twice", triggers=3),))
    night.write(tmp_path)
    before = digests_of_tree(tmp_path)

    with pytest.raises(OperatorError, match="exists already"):
        night.write(tmp_path)

    assert digests_of_tree(tmp_path) == before


def test_impossible_scenes_are_refused_with_all_reasons() -> None:
    with pytest.raises(UsageError, match=r"has no trigger, and is narrower"):
        Scene(name="bad", triggers=0, width=5)
    with pytest.raises(UsageError, match="too short for nan_row"):
        one_fault(Fault.NAN_ROW, frames=4)
    with pytest.raises(UsageError, match="not a date"):
        SimulatedNight((Scene(name="a", triggers=1),), date="20251131")


def test_frames_of_random_nights_lie_within_the_tolerance_of_their_partner_alone() -> None:
    checked = 0
    for seed in range(12):
        night = random_night(seed, most_triggers=400)
        for laid in night.laid:
            scene = laid.scene
            slow = scene.detector_mode.upper() == "SLOW"
            tolerance_us = 0.868 * scene.rows_read * (2.5 if slow else 1.0)
            mine = [cube.frames for cube in night.cubes if cube.number == laid.number]
            cameras = [cube.camera for cube in night.cubes if cube.number == laid.number]
            if not scene.external_trigger or set(cameras) != {1, 2}:
                continue
            triggers, times = (
                [
                    np.concatenate(
                        [
                            getattr(f, name)
                            for f, c in zip(mine, cameras, strict=True)
                            if c == camera
                        ]
                    )
                    for camera in (1, 2)
                ]
                for name in ("triggers", "acquired_us")
            )
            near = np.abs(times[0][:, None] - times[1]) <= tolerance_us
            assert (near == (triggers[0][:, None] == triggers[1])).all()
            checked += int(near.sum())
    assert checked > 1_000


def test_random_nights_hold_all_that_they_promise() -> None:
    scenes = [scene for seed in range(60) for scene in random_scenes(seed, with_faults=True)]

    assert {fault.fault for scene in scenes for fault in scene.faults} == set(Fault)
    assert {scene.detector_mode.upper() for scene in scenes} == {"FAST", "SLOW"}
    assert {scene.cameras for scene in scenes} == {(1, 2), (1,), (2,)}
    assert {scene.alternates for scene in scenes} == {True, False}
    assert min(scene.jitter_us for scene in scenes) < 30
    assert max(scene.jitter_us for scene in scenes) > 480
    for something in ("late_start", "dropped", "unseen", "gaps", "cards_of_cube", "name_shift_s"):
        assert len({str(getattr(scene, something)) for scene in scenes}) > 3, something
    for number, scene in enumerate(scenes):
        SimulatedNight((scene,), seed=number)
