"""Pair the frames of a whole night.

Two passes over parts of the stretches in which both cameras ran: the first collects which static
offsets between the cameras each part leaves possible, the second pairs with those that are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from vampd.science.intervals import Noise, difference_noise, interval_noise, typical_noise
from vampd.science.offsets import Voice, choices
from vampd.science.pairing import Hypothesis, match, offset_hypotheses
from vampd.science.pieces import NEVER_US, PART_US, SECTION_GAP_US, Rest
from vampd.science.remembered import Memory, NoiseSeen
from vampd.science.rules import readout_us
from vampd.science.timeline import BESIDE_US, Marks, Timeline
from vampd.science.times import pair_time_us

_STRETCH_GAP_US = SECTION_GAP_US
_LEAST = 16  # frames of a part, if the stretch has as many
_MOST = 1 << 16

_Span = tuple[int, int, int, int, int]


class NightPairs(Struct, frozen=True, kw_only=True):
    """All pairs of a night, in time order: the n-th marked frame of either camera."""

    marks1: Marks
    marks2: Marks
    times_us: NDArray[np.int64]  #: (pairs,) floor of the mean of both acquisition times
    differences_us: NDArray[np.int16]  #: (pairs,) camera 2's time less camera 1's
    rests: tuple[Rest, ...] = ()
    seen: dict[int, NoiseSeen] = field(default_factory=dict)  #: by tolerance, of what was paired

    def noise(self, tolerance_us: int, first: int, last: int) -> Noise | None:
        """Noise of the intervals of pairs *first* to *last* (excluded), but for themselves.

        From the differences between the cameras, and from the pairs that came before.
        """
        own = difference_noise(self.differences_us[first:last].astype(np.int64))
        seen = self.seen.get(tolerance_us)
        before = [] if seen is None else seen.before(int(self.times_us[first]))
        return typical_noise([*before, *([] if own is None else [own])])


class _Part(Struct, frozen=True, kw_only=True):
    """Frames of both cameras that may belong together, and their tolerance.

    Of camera 1 its own ones, of camera 2 all that may be their partners: the parts of a stretch
    overlap.
    """

    first1: int
    last1: int
    first2: int
    last2: int
    tolerance_us: int
    begins_us: int
    until_us: int  #: it rests on nothing that begins later


def pair_night(one: Timeline, two: Timeline, memory: Memory | None = None) -> NightPairs:
    """Pair the frames of two timelines whose cubes can all be synchronised.

    *memory* is that of all cubes of the night; by default, of these.
    """
    memory = Memory((*one.cubes, *two.cubes)) if memory is None else memory
    parts = list(_parts(one, two))
    voices = [_voice(one, two, part) for part in parts]
    paired1 = np.zeros(len(one), dtype=np.bool_)
    paired2 = np.zeros(len(two), dtype=np.bool_)
    most = min(len(one), len(two))
    times_us = np.empty(most, dtype=np.int64)
    differences_us = np.empty(most, dtype=np.int16)
    found_rests: list[Rest] = []
    seen: dict[int, NoiseSeen] = {}
    pairs = 0
    taken = (-1, -1)
    for part, choice in zip(parts, choices(voices, memory), strict=True):
        found_rests.append((part.begins_us, choice.until_us))
        if choice.hypothesis is None:
            continue
        at1, at2, t1_us, t2_us = _matched(one, two, part, choice.hypothesis)
        # Parts of a stretch overlap by a few frames.
        new = (at1 > taken[0]) & (at2 > taken[1])
        if not new.any():
            continue
        taken = int(at1[new][-1]), int(at2[new][-1])
        paired1[at1[new]] = paired2[at2[new]] = True
        inner = slice(pairs, pairs + int(np.count_nonzero(new)))
        times_us[inner] = pair_time_us(t1_us[new], t2_us[new])
        differences_us[inner] = t2_us[new] - t1_us[new]
        pairs = inner.stop
        seen.setdefault(part.tolerance_us, NoiseSeen(memory)).add(
            int(times_us[inner.start]),
            int(times_us[inner.stop - 1]),
            partial(_noises, times_us[inner], differences_us[inner]),
        )
    return NightPairs(
        marks1=Marks(paired1),
        marks2=Marks(paired2),
        times_us=times_us[:pairs],
        differences_us=differences_us[:pairs],
        rests=tuple(found_rests),
        seen=seen,
    )


def _parts(one: Timeline, two: Timeline) -> Iterator[_Part]:
    """Parts of the night that are paired one at a time.

    Each readout mode has an offset of its own, so a stretch ends where the mode changes.
    """
    spans = sorted(
        (block.first_us, block.last_us, camera, block.start, block.start + block.frames)
        for camera, timeline in ((1, one), (2, two))
        for block in timeline.blocks
    )
    group: list[_Span] = []
    latest_us = 0
    modes: dict[int, int] = {}  # of each camera in the group, as it was last
    for span in spans:
        camera = span[2]
        mode = _largest_readout((one, two)[camera - 1], *span[3:])
        pause_us = span[0] - latest_us
        is_other = pause_us > 0 and modes.get(camera, mode) != mode
        if group and (is_other or pause_us > _STRETCH_GAP_US):
            yield from _of_stretch(one, two, group)
            group, modes = [], {}
        group.append(span)
        modes[camera] = mode
        latest_us = max(latest_us, span[1])
    if group:
        yield from _of_stretch(one, two, group)


def _of_stretch(one: Timeline, two: Timeline, group: Sequence[_Span]) -> Iterator[_Part]:
    """The stretch of a group of blocks, in parts of some seconds and enough frames."""
    first1, last1 = _ends(one, group, 1)
    first2, last2 = _ends(two, group, 2)
    ends_us = max(span[1] for span in group)
    low1, low2 = first1, first2
    while low1 < last1 or low2 < last2:
        left = ((one, low1, last1), (two, low2, last2))
        begins_us = min(_time(timeline, low) for timeline, low, last in left if low < last)
        at_us = _cut(left, begins_us)
        high1, high2 = (min(max(timeline.find(at_us), low), last) for timeline, low, last in left)
        is_last = high1 == last1 and high2 == last2
        own = ((one, low1, high1), (two, low2, high2))
        tolerance_us = min(_largest_readout(*frames) for frames in own if frames[1] < frames[2])
        yield _Part(
            first1=low1,
            last1=high1,
            first2=max(two.find(begins_us - tolerance_us), first2),
            last2=min(two.find(at_us + tolerance_us), last2),
            tolerance_us=tolerance_us,
            begins_us=begins_us,
            until_us=ends_us + _STRETCH_GAP_US if is_last else at_us + 2 * BESIDE_US,
        )
        low1, low2 = high1, high2


def _ends(timeline: Timeline, group: Sequence[_Span], camera: int) -> tuple[int, int]:
    """First and last (excluded) frame of a camera in a group of blocks."""
    own = [span for span in group if span[2] == camera]
    if own:
        return own[0][3], own[-1][4]
    nothing = timeline.find(group[0][0])
    return nothing, nothing


def _cut(left: Sequence[tuple[Timeline, int, int]], begins_us: int) -> int:
    """Where the part ends that begins a stretch of which these frames of the cameras are *left*.

    After some seconds, and when either camera has enough frames; the time of the next one.
    """
    enough_us, most_us = (
        min(
            (_time(timeline, low + frames) for timeline, low, last in left if low + frames < last),
            default=NEVER_US,
        )
        for frames in (_LEAST, _MOST)
    )
    return max(min(max(begins_us + PART_US, enough_us), most_us), begins_us + 1)


def _time(timeline: Timeline, position: int) -> int:
    return int(timeline.times(position, position + 1)[0])


def _largest_readout(timeline: Timeline, first: int, last: int) -> int:
    return max(
        readout_us(timeline.cubes[cube].cards)
        for block in timeline.blocks_between(first, last)
        for cube in block.cubes
    )


def _voice(one: Timeline, two: Timeline, part: _Part) -> Voice:
    """What a part says of the offset; nothing where one camera has no frames."""
    return Voice(
        tolerance_us=part.tolerance_us,
        begins_us=part.begins_us,
        until_us=part.until_us,
        found=offset_hypotheses(
            one.times(part.first1, part.last1),
            two.times(part.first2, part.last2),
            tolerance_us=part.tolerance_us,
        ),
    )


def _matched(
    one: Timeline, two: Timeline, part: _Part, chosen: Hypothesis
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Positions and times of the pairs of a part, each within its own cubes' tolerance."""
    frames1 = one.take(part.first1, part.last1)
    frames2 = two.take(part.first2, part.last2)
    at1, at2 = match(
        frames1.times_us, frames2.times_us, hypothesis=chosen, tolerance_us=part.tolerance_us
    )
    t1_us, t2_us = frames1.times_us[at1], frames2.times_us[at2]
    limit_us = np.minimum(_readouts(one, frames1.cube[at1]), _readouts(two, frames2.cube[at2]))
    good = np.abs(t1_us - t2_us) <= limit_us
    return at1[good] + part.first1, at2[good] + part.first2, t1_us[good], t2_us[good]


def _readouts(timeline: Timeline, cube: NDArray[np.int32]) -> NDArray[np.int64]:
    """Readout time of each frame, from the *cube* (frames,) that it is part of."""
    cubes, which = np.unique(cube, return_inverse=True)
    readouts = [readout_us(timeline.cubes[index].cards) for index in cubes.tolist()]
    return np.array(readouts, dtype=np.int64)[which]


def _noises(mean_us: NDArray[np.int64], differences_us: NDArray[np.int16]) -> list[Noise]:
    """What pairs say of the noise, in the two ways there are."""
    measured = (interval_noise(mean_us), difference_noise(differences_us.astype(np.int64)))
    return [noise for noise in measured if noise is not None]
