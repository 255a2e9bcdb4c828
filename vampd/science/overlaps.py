"""Where cubes of one camera overlap in time.

A camera takes one frame after the other, so where two of its cubes are mingled, the times of
at least one are false: its clock was set back between them, or two loggers took the same frames.
The intervals there are of no trigger, and their alternation means nothing; two mingled cubes can
look like one of twice the rate. So the run of the trigger is parted wherever the next frame in
time is of the other cube, and what lies between two such places is judged on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vampd.records import Report
from vampd.science.rules import flc_applies
from vampd.science.timeline import Block, Frames, Marks, Timeline
from vampd.science.timing import SET_BACK


def seams(timeline: Timeline, blocks: Iterable[Block] | None = None) -> NDArray[np.intp]:
    """Positions of frames before which, in time, comes one of another cube that overlaps theirs.

    Also where one did before its disputed frames were taken out, and before which the clock was set
    back within their cube. Ascending; of the *blocks* of a timeline, or of all.
    """
    found = [np.empty(0, dtype=np.intp)]
    stretch: int | None = None
    for block in timeline.blocks if blocks is None else blocks:
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


def _after_set_back(
    timeline: Timeline, block: Block, frames: Frames, cube: int
) -> NDArray[np.intp]:
    """Positions of the frames that are the first ones of *cube* after its clock was set back."""
    rejected = timeline.cubes[cube].rejected
    rows = [row for row, why in rejected.items() if why == SET_BACK]
    own = np.flatnonzero(frames.cube == cube)
    following = np.searchsorted(frames.frame[own], rows, side="right")
    return block.start + np.append(own, block.frames)[following]


def pair_seams(sides: Sequence[tuple[Timeline, Marks]]) -> NDArray[np.intp]:
    """Numbers of the pairs before which either camera has a seam, ascending.

    *sides*: each camera's timeline, and which of its frames are paired.
    """
    found = [marks.before(seams(timeline)) for timeline, marks in sides]
    return np.unique(np.concatenate(found))


def overlap_reports(timeline: Timeline) -> Iterator[Report]:
    """Tell of cubes whose frames get no state because they overlap."""
    for block in timeline.blocks:
        mingled = [timeline.cubes[cube] for cube in block.cubes]
        if len(mingled) > 1 and any(flc_applies(cube.cards) for cube in mingled):
            paths = " and ".join(cube.path for cube in mingled)
            text = f"{paths} overlap in time: where they do, no state is told"
            yield Report(raw_file=mingled[0].raw_file, text=text)
