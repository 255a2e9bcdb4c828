"""Where cubes of one camera overlap in time, or follow each other in another order than taken.

A camera takes one frame after the other, so where two of its cubes are mingled, the times of
at least one are false: its clock was set back between them, or two loggers took the same frames.
The intervals there are of no trigger, and their alternation means nothing; two mingled cubes can
look like one of twice the rate. So the run of the trigger is parted wherever the next frame in
time is of the other cube, and what lies between two such places is judged on its own.

A clock that is set back by more than a cube makes cubes change their order without overlapping.
Their times do not show it, but the stream counts its frames: where the next cube in time is not
the next one by that count, the interval between them is of no trigger either. A stream that is
begun anew counts from 0, which looks the same; a part there costs nothing but a few frames.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.records import Report
from vampd.science.rules import flc_applies
from vampd.science.timeline import Block, Frames, Marks, Timeline
from vampd.science.timing import SET_BACK

# Cubes further apart changed places by no clock that anybody would set back; but a stream begun
# anew comes by the same counts again.
_NEAR_US = 60_000_000
_DOUBT_US = 10_000_000
# With the crystal on an interval may be half of the period.
_SHORTEST_PART = 0.5


class _Counted(Struct, frozen=True, kw_only=True):
    """Times and counts of a cube."""

    first: int
    last: int
    first_us: int
    last_us: int

    @property
    def period_us(self) -> float:
        """Mean time from one frame of the stream to the next; 0 where it does not show."""
        return max(self.last_us - self.first_us, 0) / max(self.last - self.first, 1)


def seams(
    timeline: Timeline, blocks: Iterable[Block] | None = None, *, begun_anew: bool = True
) -> NDArray[np.intp]:
    """Positions of frames before which, in time, comes one of another cube that overlaps theirs.

    Also where one did before its disputed frames were taken out, before which the clock was set
    back within their cube, and before which comes one of a cube that was not taken just before
    theirs. Ascending; of the *blocks* of a timeline, or of all. Where the count goes back and the
    stream may have been *begun_anew*, only if that is asked for.
    """
    blocks = timeline.blocks if blocks is None else tuple(blocks)
    turns = [place for place, is_sure in _out_of_turn(timeline, blocks) if is_sure or begun_anew]
    found = [np.array(turns, dtype=np.intp)]
    stretch: int | None = None
    for block in blocks:
        first, last = (timeline.cubes[block.cubes[end]].stretch for end in (0, -1))
        if stretch is not None and first != stretch:
            found.append(np.array([block.start], dtype=np.intp))
        stretch = last
        back = [cube for cube in block.cubes if SET_BACK in timeline.cubes[cube].rejected.values()]
        if len(block.cubes) > 1 or back:
            frames = timeline.take(block.start, block.start + block.frames)
            found.append(np.flatnonzero(np.diff(frames.cube)) + (block.start + 1))
            found += [_after_set_back(timeline, block, frames, cube) for cube in back]
    return np.unique(np.concatenate(found))


def doubtful_seams(timeline: Timeline, blocks: Iterable[Block]) -> Iterator[tuple[int, int]]:
    """Positions before which a seam may yet be found, and until when it may.

    Where the stream counted frames between two cubes, one that was taken there may have a later
    time. It was taken first, and came first: where its clock was set back by longer than anybody
    waits for what is late, the later cube is late itself.
    """
    for before, after in pairwise(blocks):
        one = _counted(timeline, before, before.start + before.frames - 1)
        two = _counted(timeline, after, after.start)
        if one is not None and two is not None and two.first > one.last + 1:
            yield after.start, two.first_us + _DOUBT_US


def _out_of_turn(timeline: Timeline, blocks: Sequence[Block]) -> Iterator[tuple[int, bool]]:
    """First frames of blocks that were not taken just after the one before, and how sure that is.

    It is not where the count goes back: perhaps the stream was begun anew, and the clock is right.
    """
    for before, after in pairwise(blocks):
        one = _counted(timeline, before, before.start + before.frames - 1)
        two = _counted(timeline, after, after.start)
        if one is None or two is None:
            continue
        if _are_others_between(timeline, one, two) or _are_too_near(one, two):
            yield after.start, True
        elif two.first <= one.last:
            yield after.start, False


def _are_others_between(timeline: Timeline, one: _Counted, two: _Counted) -> bool:
    """Whether a cube that was taken after *one* and before *two* has an earlier or later time."""
    low = bisect_right(timeline.counted, one.last, key=_count)
    high = bisect_left(timeline.counted, two.first, key=_count)
    between = (timeline.counted[place][1] for place in range(low, high))
    return any(abs(first_us - two.first_us) <= _NEAR_US for first_us in between)


def _are_too_near(one: _Counted, two: _Counted) -> bool:
    """Whether as many frames as the stream counted have no room between two cubes."""
    steps = two.first - one.last
    shortest_us = _SHORTEST_PART * steps * min(one.period_us, two.period_us)
    return steps > 1 and two.first_us - one.last_us < shortest_us


def _count(entry: tuple[int, int]) -> int:
    return entry[0]


def _counted(timeline: Timeline, block: Block, position: int) -> _Counted | None:
    """The cube of the frame at *position*, an end of *block*; None where it has no counts."""
    several = len(block.cubes) > 1
    cube = int(timeline.take(position, position + 1).cube[0]) if several else block.cubes[0]
    counts = timeline.cubes[cube].counts
    if counts is None:
        return None
    first, last = counts
    return _Counted(first=first, last=last, first_us=block.first_us, last_us=block.last_us)


def _after_set_back(
    timeline: Timeline, block: Block, frames: Frames, cube: int
) -> NDArray[np.intp]:
    """Positions of the frames that are the first ones of *cube* after its clock was set back."""
    rejected = timeline.cubes[cube].rejected
    rows = [row for row, why in rejected.items() if why == SET_BACK]
    own = np.flatnonzero(frames.cube == cube)
    following = np.searchsorted(frames.frame[own], rows, side="right")
    return block.start + np.append(own, block.frames)[following]


def pair_seams(
    sides: Sequence[tuple[Timeline, Marks]], *, begun_anew: bool = True
) -> NDArray[np.intp]:
    """Numbers of the pairs before which either camera has a seam, ascending.

    *sides*: each camera's timeline, and which of its frames are paired.
    """
    found = [marks.before(seams(timeline, begun_anew=begun_anew)) for timeline, marks in sides]
    return np.unique(np.concatenate(found))


def doubtful_pair_seams(sides: Sequence[tuple[Timeline, Marks]]) -> list[tuple[int, int]]:
    """Numbers of the pairs before which either camera may yet have a seam, and until when."""
    found: list[tuple[int, int]] = []
    for timeline, marks in sides:
        doubts = list(doubtful_seams(timeline, timeline.blocks))
        places = marks.before(np.array([at for at, _ in doubts], dtype=np.intp))
        found += zip(places.tolist(), (us for _, us in doubts), strict=True)
    return sorted(found)


def overlap_reports(timeline: Timeline) -> Iterator[Report]:
    """Tell of cubes whose frames get no state because they overlap."""
    for block in timeline.blocks:
        mingled = [timeline.cubes[cube] for cube in block.cubes]
        if len(mingled) > 1 and any(flc_applies(cube.cards) for cube in mingled):
            paths = " and ".join(cube.path for cube in mingled)
            text = f"{paths} overlap in time: where they do, no state is told"
            yield Report(raw_file=mingled[0].raw_file, text=text)
