"""Pair the frames of a whole night.

Two passes over the stretches in which both cameras ran: the first collects what each
stretch says of the static offset between the cameras and of the noise, the second pairs
with what all stretches of one readout mode share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.science.intervals import Noise, difference_noise, interval_noise, typical_noise
from vampd.science.pairing import Hypothesis, choose, match, offset_hypotheses, shared_offset
from vampd.science.rules import readout_us
from vampd.science.timeline import Marks, Timeline
from vampd.science.times import pair_time_us

_STRETCH_GAP_US = 3_000_000
_PIECE = 1 << 16  # frames of camera 1 that are paired at a time


class NightPairs(Struct, frozen=True, kw_only=True):
    """All pairs of a night, in time order: the n-th marked frame of either camera."""

    marks1: Marks
    marks2: Marks
    times_us: NDArray[np.int64]  #: (pairs,) floor of the mean of both acquisition times
    noise_of: dict[int, Noise]  #: tolerance -> noise of the intervals between pairs


class _Stretch(Struct, frozen=True, kw_only=True):
    """Frames of both cameras that may belong together, and their tolerance."""

    first1: int
    last1: int
    first2: int
    last2: int
    tolerance_us: int


def pair_night(one: Timeline, two: Timeline) -> NightPairs:
    """Pair the frames of two timelines whose cubes can all be synchronised."""
    stretches = list(_stretches(one, two))
    candidates = [_hypotheses(one, two, stretch) for stretch in stretches]
    shared = _shared_offsets(stretches, candidates)
    paired1 = np.zeros(len(one), dtype=np.bool_)
    paired2 = np.zeros(len(two), dtype=np.bool_)
    times_us = np.empty(min(len(one), len(two)), dtype=np.int64)
    noises: defaultdict[int, list[Noise]] = defaultdict(list)
    pairs = 0
    taken = (-1, -1)
    for stretch, found in zip(stretches, candidates, strict=True):
        chosen = choose(found, shared.get(stretch.tolerance_us))
        if chosen is None:
            continue
        at1, at2, t1_us, t2_us = _matched(one, two, stretch, chosen)
        # Stretches that were parted for their length overlap by a few frames.
        new = (at1 > taken[0]) & (at2 > taken[1])
        if not new.any():
            continue
        taken = int(at1[new][-1]), int(at2[new][-1])
        paired1[at1[new]] = paired2[at2[new]] = True
        mean_us = pair_time_us(t1_us[new], t2_us[new])
        times_us[pairs : pairs + len(mean_us)] = mean_us
        pairs += len(mean_us)
        noises[stretch.tolerance_us] += _noises(mean_us, t2_us[new] - t1_us[new])
    pooled = {tolerance: typical_noise(measured) for tolerance, measured in noises.items()}
    return NightPairs(
        marks1=Marks(paired1),
        marks2=Marks(paired2),
        times_us=times_us[:pairs],
        noise_of={tolerance: noise for tolerance, noise in pooled.items() if noise is not None},
    )


def _stretches(one: Timeline, two: Timeline) -> Iterator[_Stretch]:
    """Parts of the night in which both cameras ran, short enough for the memory.

    Each readout mode has an offset of its own, so a part ends where the mode changes.
    """
    spans = sorted(
        (block.first_us, block.last_us, camera, block.start, block.start + block.frames)
        for camera, timeline in ((1, one), (2, two))
        for block in timeline.blocks
    )
    group: list[tuple[int, int, int, int, int]] = []
    latest_us = 0
    modes: dict[int, int] = {}  # of each camera in the group, as it was last
    for span in spans:
        camera = span[2]
        mode = _largest_readout((one, two)[camera - 1], *span[3:])
        pause_us = span[0] - latest_us
        is_other = pause_us > 0 and modes.get(camera, mode) != mode
        if group and (is_other or pause_us > _STRETCH_GAP_US):
            yield from _parted(one, two, group)
            group, modes = [], {}
        group.append(span)
        modes[camera] = mode
        latest_us = max(latest_us, span[1])
    yield from _parted(one, two, group)


def _parted(
    one: Timeline, two: Timeline, group: Sequence[tuple[int, int, int, int, int]]
) -> Iterator[_Stretch]:
    """The stretch of a group of blocks, in pieces."""
    spans1 = [span[3:] for span in group if span[2] == 1]
    spans2 = [span[3:] for span in group if span[2] == 2]
    if not spans1 or not spans2:
        return
    tolerance_us = min(_largest_readout(one, *_ends(spans1)), _largest_readout(two, *_ends(spans2)))
    first1, last1 = _ends(spans1)
    first2, last2 = _ends(spans2)
    for first in range(first1, last1, _PIECE):
        last = min(first + _PIECE, last1)
        low, high = first2, last2
        if first > first1:
            low = two.find(int(one.times(first, first + 1)[0]) - tolerance_us)
        if last < last1:
            high = two.find(int(one.times(last - 1, last)[0]) + tolerance_us + 1)
        yield _Stretch(
            first1=first,
            last1=last,
            first2=max(low, first2),
            last2=min(high, last2),
            tolerance_us=tolerance_us,
        )


def _ends(spans: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    return spans[0][0], spans[-1][1]


def _largest_readout(timeline: Timeline, first: int, last: int) -> int:
    return max(
        readout_us(timeline.cubes[cube].cards)
        for block in timeline.blocks_between(first, last)
        for cube in block.cubes
    )


def _hypotheses(one: Timeline, two: Timeline, stretch: _Stretch) -> tuple[Hypothesis, ...]:
    return offset_hypotheses(
        one.times(stretch.first1, stretch.last1),
        two.times(stretch.first2, stretch.last2),
        tolerance_us=stretch.tolerance_us,
    )


def _shared_offsets(
    stretches: Sequence[_Stretch], candidates: Sequence[tuple[Hypothesis, ...]]
) -> dict[int, int]:
    """The offset that the stretches of one tolerance share; others count where they cannot tell."""
    runs: defaultdict[int, list[tuple[Hypothesis, ...]]] = defaultdict(list)
    for stretch, found in zip(stretches, candidates, strict=True):
        runs[stretch.tolerance_us].append(found)
    shared: dict[int, int] = {}
    for tolerance_us, own in runs.items():
        others = [run for other, found in runs.items() if other != tolerance_us for run in found]
        offset_us = shared_offset(own, hint_us=shared_offset(others))
        if offset_us is not None:
            shared[tolerance_us] = offset_us
    return shared


def _matched(
    one: Timeline, two: Timeline, stretch: _Stretch, chosen: Hypothesis
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Positions and times of the pairs of a stretch, each within its own cubes' tolerance."""
    frames1 = one.take(stretch.first1, stretch.last1)
    frames2 = two.take(stretch.first2, stretch.last2)
    at1, at2 = match(
        frames1.times_us,
        frames2.times_us,
        hypothesis=chosen,
        tolerance_us=stretch.tolerance_us,
    )
    t1_us, t2_us = frames1.times_us[at1], frames2.times_us[at2]
    limit_us = np.minimum(_readouts(one, frames1.cube[at1]), _readouts(two, frames2.cube[at2]))
    good = np.abs(t1_us - t2_us) <= limit_us
    return at1[good] + stretch.first1, at2[good] + stretch.first2, t1_us[good], t2_us[good]


def _readouts(timeline: Timeline, cube: NDArray[np.int32]) -> NDArray[np.int64]:
    """Readout time of each frame, from the *cube* (frames,) that it is part of."""
    cubes, which = np.unique(cube, return_inverse=True)
    readouts = [readout_us(timeline.cubes[index].cards) for index in cubes.tolist()]
    return np.array(readouts, dtype=np.int64)[which]


def _noises(mean_us: NDArray[np.int64], difference_us: NDArray[np.int64]) -> list[Noise]:
    """What the pairs of a stretch say of the noise, in the two ways there are."""
    measured = (interval_noise(mean_us), difference_noise(difference_us))
    return [noise for noise in measured if noise is not None]
