"""How far a night is known while it goes on: the watermark, and what it closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.science.watermark import (
    NAME_ERROR_US,
    CubeSpan,
    Patience,
    Stretch,
    Unsettled,
    begins_at_earliest,
    closed_stretches,
    stretches,
    watermark,
)

SECOND = 1_000_000
DAY = 86_400 * SECOND
BEGIN = 20_000 * DAY + 5 * 3600 * SECOND
PATIENCE = Patience(allowance_seconds=10, silence_seconds=180, gap_seconds=3)
BUSY = {1: 0.0, 2: 0.0}
PROPERTY = settings(derandomize=True, deadline=None, max_examples=200)


def span(number: int, camera: int, first_s: float, last_s: float, **more: Any) -> CubeSpan:
    cube = CubeSpan(
        raw_file=number,
        camera=camera,
        first_us=BEGIN + round(first_s * SECOND),
        last_us=BEGIN + round(last_s * SECOND),
    )
    return replace(cube, **more)


def through_s(cubes: Sequence[CubeSpan], *unsettled: Unsettled, **more: Any) -> float | None:
    arguments: dict[str, Any] = {"quiet_seconds": BUSY, "now_us": BEGIN + 10_000 * SECOND, **more}
    found = watermark(cubes, unsettled, patience=PATIENCE, **arguments).through_us
    return None if found is None else (found - BEGIN) / SECOND


def test_the_camera_that_is_behind_holds_it() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 60)]

    assert through_s(cubes) == 50


def test_a_camera_that_may_still_begin_holds_it_and_one_that_never_came_does_not() -> None:
    cubes = [span(1, 1, 0, 100)]

    assert through_s(cubes) is None
    assert through_s(cubes, quiet_seconds={1: 0.0, 2: 180.0}) == 90


def test_a_silent_camera_holds_nothing_once_its_next_cube_would_be_here() -> None:
    cubes = [span(1, 1, 0, 500), span(2, 2, 0, 60)]

    assert through_s(cubes, quiet_seconds={1: 0.0, 2: 239.0}) == 50
    assert through_s(cubes, quiet_seconds={1: 0.0, 2: 240.0}) == 490


def test_when_both_are_silent_all_that_was_written_is_known() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 100)]

    assert through_s(cubes, quiet_seconds={1: 300.0, 2: 300.0}) == 10_000


def test_an_unsettled_file_holds_it_until_it_has_not_changed_for_long() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 100)]
    file = Unsettled(path="vcam1/a.fits", begins_us=BEGIN + 30 * SECOND, unchanged_seconds=179)

    assert through_s(cubes, file) == 30
    assert through_s(cubes, replace(file, unchanged_seconds=180)) == 90


def test_a_cube_from_the_future_brings_no_camera_forward() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 100), span(3, 2, 50_000, 50_001)]

    assert through_s(cubes) == 90


def test_a_cube_that_only_the_logger_timed_waits_for_the_close() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 100), span(3, 2, 70, 80, is_timed=False)]

    assert through_s(cubes) == 30


def test_what_holds_it_is_told() -> None:
    cubes = [span(1, 1, 0, 100), span(2, 2, 0, 60)]

    found = watermark(cubes, [], BUSY, PATIENCE, now_us=BEGIN + 10_000 * SECOND)

    assert found.held_by == "camera 2 is no further"


def test_stretches_are_parted_where_no_exposure_reaches_over_the_pause() -> None:
    cubes = [span(1, 1, 0, 10), span(2, 2, 0, 10), span(3, 1, 13, 20), span(4, 1, 24, 30)]

    found = list(stretches(cubes, gap_seconds=3))

    assert [stretch.raw_files for stretch in found] == [{1, 2, 3}, {4}]
    long = [replace(cube, exposure_us=2 * SECOND) for cube in cubes]
    assert len(list(stretches(long, gap_seconds=3))) == 1


def test_a_stretch_closes_only_when_nothing_can_be_merged_with_it_any_more() -> None:
    cubes = [span(1, 1, 0, 10, exposure_us=2 * SECOND), span(2, 2, 0, 10)]

    assert not closed_stretches(cubes, BEGIN + 15 * SECOND, gap_seconds=3)
    assert closed_stretches(cubes, BEGIN + 15 * SECOND + 1, gap_seconds=3)
    assert not closed_stretches(cubes, None, gap_seconds=3)


def test_a_name_past_midnight_is_of_the_day_on_which_its_file_was_written() -> None:
    midnight = 20_000 * DAY

    late = begins_at_earliest(DAY - 5 * SECOND, midnight + 30 * SECOND)
    early = begins_at_earliest(5 * SECOND, midnight + 30 * SECOND)
    ahead = begins_at_earliest(35 * SECOND, midnight + 5 * SECOND)

    assert late == midnight - 5 * SECOND - NAME_ERROR_US
    assert early == midnight + 5 * SECOND - NAME_ERROR_US
    assert ahead == midnight + 35 * SECOND - NAME_ERROR_US


def test_a_name_in_hst_is_held_to_be_older_than_it_is() -> None:
    """10 h early: it is waited for, whatever was taken in these hours."""
    began = 20_000 * DAY + 5 * 3600 * SECOND
    named = (5 - 10) % 24 * 3600 * SECOND

    assert begins_at_earliest(named, began + 20 * SECOND) < began - 9 * 3600 * SECOND


@st.composite
def nights(draw: st.DrawFn) -> list[CubeSpan]:
    """Cubes of two cameras with pauses of all kinds; each camera's follow one another."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    cubes: list[CubeSpan] = []
    for camera in (1, 2):
        at_s = float(random.uniform(0, 20))
        for _ in range(int(random.integers(1, 25))):
            last_s = at_s + float(random.choice([0.0, 0.5, 2.0, 9.0]))
            exposure_us = round(float(random.choice([0.001, 0.5, 2.0])) * SECOND)
            number = len(cubes) + 1
            cubes.append(span(number, camera, at_s, last_s, exposure_us=exposure_us))
            at_s = last_s + float(random.choice([0.01, 1.0, 2.9, 4.0, 6.0, 30.0]))
    return cubes


def _arrivals(cubes: Sequence[CubeSpan], random: np.random.Generator) -> list[CubeSpan]:
    """Each comes after its last frame, one camera perhaps late, out of order by the allowance."""
    slow = {1: float(random.choice([0, 0, 45])), 2: float(random.choice([0, 0, 20]))}
    # Seen at its end at the earliest, and no later than the allowance after its beginning.
    seen_us = {
        cube.raw_file: random.uniform(cube.last_us, cube.first_us + 9.9 * SECOND) for cube in cubes
    }
    return sorted(cubes, key=lambda cube: seen_us[cube.raw_file] + slow[cube.camera] * SECOND)


@PROPERTY
@given(nights(), st.integers(0, 10**6))
def test_a_closed_stretch_never_changes_when_more_comes_in_order(
    cubes: list[CubeSpan], seed: int
) -> None:
    whole = {stretch.first_us: stretch for stretch in stretches(cubes, gap_seconds=3)}
    before: list[Stretch] = []
    arrived: list[CubeSpan] = []
    for cube in _arrivals(cubes, np.random.default_rng(seed)):
        arrived.append(cube)
        found = watermark(arrived, [], BUSY, PATIENCE, now_us=BEGIN + DAY)
        closed = closed_stretches(arrived, found.through_us, gap_seconds=3)

        assert closed[: len(before)] == before
        for stretch in closed:
            assert stretch.raw_files == whole[stretch.first_us].raw_files
        before = closed


@PROPERTY
@given(nights(), st.integers(0, 10**6))
def test_when_the_cameras_are_silent_every_stretch_is_closed_whatever_the_order_was(
    cubes: list[CubeSpan], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(cubes)).tolist()
    arrived = [cubes[index] for index in order]
    found = watermark(arrived, [], {1: 600.0, 2: 600.0}, PATIENCE, now_us=BEGIN + DAY)

    closed = closed_stretches(arrived, found.through_us, gap_seconds=3)

    assert closed == list(stretches(cubes, gap_seconds=3))
    assert set().union(*(stretch.raw_files for stretch in closed)) == set(range(1, len(cubes) + 1))


@PROPERTY
@given(nights(), st.integers(0, 24))
def test_while_a_cube_is_unsettled_nothing_closes_that_it_can_belong_to(
    cubes: list[CubeSpan], which: int
) -> None:
    missing = cubes[which % len(cubes)]
    rest = [cube for cube in cubes if cube is not missing]
    file = Unsettled(path="x", begins_us=missing.first_us, unchanged_seconds=0.0)
    found = watermark(rest, [file], {1: 600.0, 2: 600.0}, PATIENCE, now_us=BEGIN + DAY)

    for stretch in closed_stretches(rest, found.through_us, gap_seconds=3):
        assert stretch.last_us + stretch.bridge_us < missing.first_us
        assert stretch in list(stretches(cubes, gap_seconds=3))
