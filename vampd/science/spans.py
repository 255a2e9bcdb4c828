"""Where the times of two cubes of one camera meet, which a camera cannot have taken.

A camera takes one frame after the other, so the times of its cubes lie side by side. Where they
do not, a clock was wrong, or a file is a copy or an altered one. A cube may have holes, and a
single odd time far from all others: what counts is where its frames follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vampd.records import RawCube
from vampd.science.rules import exposure_us
from vampd.science.timeline import usable_frames

#: A cube of fewer frames may lie within another for one or two odd times.
FEWEST_TELLING = 3

# Frames further apart than so many periods do not follow each other.
_MOST_PERIODS = 10
_FRAMES_TO_SEE_PERIOD = 3
# Of a cube timed by the logger and one timed by the camera the same frame differs by less.
_LOGGING_LAG_US = 1_000_000


def usable_times(cube: RawCube) -> NDArray[np.int64]:
    """Times of the frames that have one, us, ascending."""
    return np.sort(cube.acquired_us[usable_frames(cube)])


def span_us(cube: RawCube) -> tuple[int, int] | None:
    """First and last time of a cube; None where no frame has one."""
    times_us = usable_times(cube)
    return (int(times_us[0]), int(times_us[-1])) if len(times_us) else None


def meeting(cubes: Sequence[RawCube]) -> Iterator[tuple[int, int]]:
    """Places in *cubes* of any two of one camera whose spans meet, the earlier begun one first."""
    spans = [
        (cube.camera, span, place) for place, cube in enumerate(cubes) if (span := span_us(cube))
    ]
    active: list[tuple[int, tuple[int, int], int]] = []
    for now in sorted(spans, key=lambda one: (one[0], one[1], cubes[one[2]].path)):
        active = [one for one in active if one[0] == now[0] and one[1][1] >= now[1][0]]
        for one in active:
            yield one[2], now[2]
        active.append(now)


def have_same_times(one: RawCube, two: RawCube) -> bool:
    """Whether two cubes tell the same times, wherever both tell one.

    Times of the logger are those of the camera when they follow within a second.
    """
    if len(one.acquired_us) != len(two.acquired_us):
        return False
    both = np.intersect1d(usable_frames(one), usable_frames(two))
    apart_us = np.abs(one.acquired_us[both] - two.acquired_us[both])
    limit_us = 0 if one.has_acquisition == two.has_acquisition else _LOGGING_LAG_US
    return bool(np.all(apart_us <= limit_us))


def shared_frames(one: RawCube, two: RawCube) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which frames (frames,) of each cube were taken while the other one was being taken."""
    return _frames_within(one, _stretches(two)), _frames_within(two, _stretches(one))


def is_all_of(cube: RawCube, frames: NDArray[np.bool_]) -> bool:
    """Whether *frames* (frames,) are all that have a time, and enough to tell."""
    usable = usable_frames(cube)
    return len(usable) >= FEWEST_TELLING and bool(frames[usable].all())


def _stretches(cube: RawCube) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last times of the stretches in which the frames of a cube follow each other."""
    times_us = usable_times(cube)
    intervals = np.diff(times_us)
    enough = len(times_us) >= _FRAMES_TO_SEE_PERIOD
    period_us = int(np.median(intervals)) if enough else exposure_us(cube.cards)
    breaks = np.flatnonzero(intervals > _MOST_PERIODS * period_us)
    firsts = times_us[np.concatenate(([0], breaks + 1))]
    lasts = times_us[np.concatenate((breaks, [len(times_us) - 1]))]
    return firsts, lasts


def _frames_within(
    cube: RawCube, stretches: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.bool_]:
    firsts, lasts = stretches
    usable = usable_frames(cube)
    times_us = cube.acquired_us[usable]
    place = np.searchsorted(firsts, times_us, side="right") - 1
    within = np.zeros(len(cube.acquired_us), dtype=np.bool_)
    within[usable] = (place >= 0) & (times_us <= lasts[np.maximum(place, 0)])
    return within
