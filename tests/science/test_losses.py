"""Lost cubes: what the counter, timing files and leavings tell, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.science.losses import LoggedCube, Loss, Trace, find_losses

PROPERTY = settings(derandomize=True, deadline=None, max_examples=200)
START_US = 1_762_405_800_000_000  # 05:10:00
DAY_US = 86_400_000_000


def run(
    lengths: list[int],
    *,
    period_us: int = 5_000,
    first_count: int = 0,
    start_us: int = START_US,
    camera: int = 1,
    settings: object = "same",
) -> list[LoggedCube]:
    """Cubes of those lengths, one right behind the other."""
    cubes = []
    count, time_us = first_count, start_us
    for frames in lengths:
        cubes.append(
            LoggedCube(
                path=f"vcam{camera}/{count}.fits",
                camera=camera,
                frames=frames,
                first_count=count,
                last_count=count + frames - 1,
                first_us=time_us,
                last_us=time_us + (frames - 1) * period_us,
                settings=settings,
            )
        )
        count, time_us = count + frames, time_us + frames * period_us
    return cubes


def totals(losses: list[Loss]) -> tuple[int, int]:
    return sum(loss.cubes for loss in losses), sum(loss.frames for loss in losses)


def named(time_us: int, why: str = "gone", camera: int = 1) -> Trace:
    return Trace(path="vcam1/x", camera=camera, named_us=time_us % DAY_US, why=why)


@PROPERTY
@given(
    length=st.integers(20, 400),
    cubes=st.integers(3, 12),
    period_us=st.sampled_from([500, 5_000, 100_000]),
    data=st.data(),
)
def test_cubes_that_left_nothing_but_a_gap_in_the_count_are_found(
    length: int, cubes: int, period_us: int, data: st.DataObject
) -> None:
    made = run([length] * cubes, period_us=period_us)
    lost = data.draw(st.sets(st.integers(1, cubes - 2), max_size=cubes - 2))

    found = find_losses([cube for number, cube in enumerate(made) if number not in lost])

    assert totals(found) == (len(lost), len(lost) * length)


@PROPERTY
@given(
    seed=st.integers(0, 10**6),
    still=st.booleans(),
)
def test_switching_the_logger_off_loses_no_cube(*, seed: int, still: bool) -> None:
    random = np.random.default_rng(seed)
    cubes: list[LoggedCube] = []
    count, time_us = 0, START_US
    for _ in range(5):
        lengths = [40] * int(random.integers(1, 4)) + [int(random.integers(1, 41))]
        cubes += run(lengths, first_count=count, start_us=time_us)
        # The stream goes on while the logger is off, or it stands still. That it goes on for
        # whole cubes and not one frame more happens once in forty times.
        off = 0 if still else int(random.integers(300, 5_000))
        off += off % 40 == 0 and not still
        count = cubes[-1].last_count + 1 + off
        time_us = cubes[-1].last_us + 5_000 * (off + 1) + (60_000_000 if still else 0)

    assert find_losses(cubes) == []


def test_what_a_loss_says_names_both_cubes_their_counts_and_times() -> None:
    one, _, three = run([40, 40, 40])

    [found] = find_losses([three, one])

    assert (found.camera, found.cubes, found.frames) == (1, 1, 40)
    assert "from 39 to 80 between vcam1/0.fits (until 2025-11-06 05:10:00.195000)" in found.text
    assert "vcam1/80.fits" in found.text


def test_whole_cubes_missing_between_whole_cubes_are_lost_even_after_a_minute() -> None:
    one, two = run([40, 40])
    late = replace(two, first_count=240, last_count=279)
    late = replace(late, first_us=two.first_us + 60_000_000, last_us=two.last_us + 60_000_000)

    assert totals(find_losses([one, late])) == (5, 200)


def test_a_gap_that_is_not_whole_cubes_after_a_pause_is_a_logger_that_was_off() -> None:
    one, two = run([40, 40])
    late = replace(two, first_count=250, last_count=289)
    late = replace(late, first_us=two.first_us + 60_000_000, last_us=two.last_us + 60_000_000)

    assert find_losses([one, late]) == []


@pytest.mark.parametrize("change", ["settings", "length", "restart"])
def test_no_cube_is_lost_where_settings_length_or_count_begin_anew(change: str) -> None:
    one, _, three = run([40, 40, 40])
    other = {
        "settings": replace(three, settings="others"),
        "length": replace(three, frames=60, last_count=139),
        "restart": replace(three, first_count=0, last_count=39),
    }[change]

    # A pause: without one nobody could have changed anything.
    other = replace(other, first_us=other.first_us + 9_000_000, last_us=other.last_us + 9_000_000)

    assert find_losses([one, other]) == []


def test_more_frames_than_fit_into_the_pause_are_a_count_that_jumped() -> None:
    one, two = run([400, 400], period_us=100_000)
    two = replace(two, first_count=4_000, last_count=4_399)
    two = replace(two, first_us=two.first_us + 2_000_000, last_us=two.last_us + 2_000_000)

    assert find_losses([one, two]) == []


def test_frames_dropped_between_cubes_are_no_lost_cube() -> None:
    one, two = run([40, 40])
    two = replace(two, first_count=43, last_count=82)

    assert find_losses([one, two]) == []


def test_a_timing_file_without_its_cube_is_counted_once() -> None:
    one, two, three = run([40, 40, 40])

    found = find_losses([one, replace(two, has_cube=False), three])

    assert totals(found) == (1, 40)
    assert "without its cube" in found[0].text


def test_what_left_a_trace_is_not_counted_again_by_the_gap() -> None:
    one, two, three, four = run([40] * 4)

    found = find_losses([one, four], [named(two.first_us + 37_000_000), named(three.first_us)])
    lone = find_losses([one, two], [named(START_US + 3 * 3_600_000_000)])

    assert totals(found) == (2, 80)
    assert totals(lone) == (1, 40)


def test_a_cube_that_is_there_without_its_timing_is_not_lost() -> None:
    one, two, three = run([40] * 3)

    assert find_losses([one, three], [named(two.first_us, why="")]) == []
    # One that is named in Hawaii's time.
    assert find_losses([one, three], [named(two.first_us - 36_000_000_000, why="")]) == []


def test_each_camera_is_judged_alone() -> None:
    cubes = run([40, 40, 40]) + run([40, 40, 40], camera=2)

    found = find_losses([cubes[0], cubes[2], *cubes[3:]], [named(START_US, camera=2)])

    assert [(loss.camera, loss.cubes, loss.frames) for loss in found] == [(1, 1, 40), (2, 1, 40)]


def test_traces_alone_are_counted_without_frames() -> None:
    found = find_losses([], [named(START_US)])

    assert totals(found) == (1, 0)


def test_a_clock_set_back_by_more_than_a_cube_loses_none() -> None:
    before, after = run([40, 40, 40]), run([40, 40, 40], first_count=120)
    back_us = before[2].last_us - before[0].last_us + 5_000
    late = [
        replace(cube, first_us=cube.first_us - back_us, last_us=cube.last_us - back_us)
        for cube in run([40] * 6)[3:]
    ]

    assert [cube.first_count for cube in late] == [cube.first_count for cube in after]
    assert find_losses([*before, *late]) == []
