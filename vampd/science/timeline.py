"""All frames of one camera in the order of their times, without copying them.

A night has ten million frames, so a timeline knows its cubes and makes the times, cubes
and frame numbers of a stretch when asked. Cubes that overlap in time (a glitch of names
or clocks) are merged frame by frame; nothing is ever ordered by name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.records import RawCube

BESIDE_US = 2_500  # the longest tolerance that any readout has


class Frames(Struct, frozen=True, kw_only=True):
    """Consecutive frames of a timeline."""

    times_us: NDArray[np.int64]  #: (frames,) ascending
    cube: NDArray[np.int32]  #: (frames,) index into the timeline's cubes
    frame: NDArray[np.int32]  #: (frames,) number within the raw cube


class Block(Struct, frozen=True, kw_only=True):
    """Cubes that overlap in time; nearly always just one."""

    cubes: tuple[int, ...]
    start: int  #: position of its first frame in the timeline
    frames: int
    first_us: int
    last_us: int


def usable_frames(cube: RawCube) -> NDArray[np.intp]:
    """Numbers of the frames of *cube* that have a time."""
    usable = cube.acquired_us > 0
    usable[list(cube.rejected)] = False
    return np.flatnonzero(usable)


def ordered_frames(cube: RawCube) -> NDArray[np.intp]:
    """Those of the usable frames whose place among the camera's frames is certain."""
    usable = usable_frames(cube)
    return usable if cube.disputed is None else usable[~cube.disputed[usable]]


class Marks:
    """A choice of a timeline's frames, a byte a frame; the n-th chosen one is quickly found."""

    _STRIDE = 1 << 14

    def __init__(self, chosen: NDArray[np.bool_]) -> None:
        self.chosen = chosen
        strides = range(0, len(chosen), self._STRIDE)
        counts = [np.count_nonzero(chosen[first : first + self._STRIDE]) for first in strides]
        self._counted = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))

    def places(self, first: int, last: int) -> NDArray[np.intp]:
        """Positions of the chosen frames number *first* to *last* (excluded), *last* > *first*."""
        begin = int(np.searchsorted(self._counted, first, side="right")) - 1
        end = int(np.searchsorted(self._counted, last))
        near = np.flatnonzero(self.chosen[begin * self._STRIDE : end * self._STRIDE])
        before = int(self._counted[begin])
        return near[first - before : last - before] + begin * self._STRIDE

    def before(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """How many chosen frames come before each of the *positions*."""
        strides, rest = np.divmod(positions, self._STRIDE)
        counts = [
            np.count_nonzero(self.chosen[stride * self._STRIDE :][:inside])
            for stride, inside in zip(strides.tolist(), rest.tolist(), strict=True)
        ]
        return (self._counted[strides] + np.array(counts, dtype=np.int64)).astype(np.intp)


class Timeline:
    """The ordered frames of *cubes*, all of one camera, in ascending order of their times."""

    def __init__(self, cubes: Sequence[RawCube]) -> None:
        spans = []
        for cube in cubes:
            times_us = cube.acquired_us[ordered_frames(cube)]
            if len(times_us):
                spans.append((int(times_us.min()), int(times_us.max()), len(times_us), cube))
        spans.sort(key=lambda span: (span[0], span[3].raw_file))
        self.cubes: tuple[RawCube, ...] = tuple(span[3] for span in spans)
        self.blocks: tuple[Block, ...] = _blocks([span[:3] for span in spans])
        #: (count, time) of the first frame of each cube with counts, in the order of the counts;
        #: of cubes that overlap, the time of the first one.
        self.counted: tuple[tuple[int, int], ...] = tuple(sorted(self._first_counts()))
        self._starts = [block.start for block in self.blocks]
        self._last = [block.last_us for block in self.blocks]
        self._latest: tuple[int, Frames] | None = None  # the block made last: most calls want it

    def __len__(self) -> int:
        return self.blocks[-1].start + self.blocks[-1].frames if self.blocks else 0

    def take(self, first: int, last: int) -> Frames:
        """Frames from position *first* to *last* (excluded)."""
        parts = []
        for block in self.blocks_between(first, last):
            frames = self._block_frames(block)
            inner = slice(max(first - block.start, 0), last - block.start)
            parts.append((frames.times_us[inner], frames.cube[inner], frames.frame[inner]))
        if not parts:
            nothing = np.empty(0, dtype=np.int32)
            return Frames(times_us=np.empty(0, dtype=np.int64), cube=nothing, frame=nothing)
        times_us, cube, frame = zip(*parts, strict=True)
        return Frames(
            times_us=np.concatenate(times_us),
            cube=np.concatenate(cube),
            frame=np.concatenate(frame),
        )

    def times(self, first: int, last: int) -> NDArray[np.int64]:
        """Times from position *first* to *last* (excluded), and nothing else in memory."""
        times_us = np.empty(last - first, dtype=np.int64)
        for block in self.blocks_between(first, last):
            inner = slice(max(first - block.start, 0), last - block.start)
            taken = self._block_frames(block).times_us[inner]
            place = max(block.start - first, 0)
            times_us[place : place + len(taken)] = taken
        return times_us

    def at(self, positions: NDArray[np.intp]) -> Frames:
        """Frames at one or more ascending *positions*."""
        first = int(positions[0])
        frames = self.take(first, int(positions[-1]) + 1)
        inner = positions - first
        return Frames(
            times_us=frames.times_us[inner], cube=frames.cube[inner], frame=frames.frame[inner]
        )

    def blocks_between(self, first: int, last: int) -> Iterator[Block]:
        """The blocks that hold positions *first* to *last* (excluded)."""
        index = max(bisect_right(self._starts, first) - 1, 0)
        while index < len(self.blocks) and self.blocks[index].start < last:
            yield self.blocks[index]
            index += 1

    def find(self, time_us: int) -> int:
        """Position of the first frame at or after *time_us*."""
        index = int(np.searchsorted(self._last, time_us))
        if index == len(self.blocks):
            return len(self)
        block = self.blocks[index]
        return block.start + int(np.searchsorted(self._block_frames(block).times_us, time_us))

    def _first_counts(self) -> Iterator[tuple[int, int]]:
        for block in self.blocks:
            for cube in block.cubes:
                counts = self.cubes[cube].counts
                if counts is not None:
                    yield counts[0], block.first_us

    def _block_frames(self, block: Block) -> Frames:
        if self._latest is None or self._latest[0] != block.start:
            self._latest = (block.start, self._merged(block))
        return self._latest[1]

    def _merged(self, block: Block) -> Frames:
        parts = [self._cube_frames(cube) for cube in block.cubes]
        if len(parts) == 1 and np.all(np.diff(parts[0].times_us) >= 0):
            return parts[0]
        times_us = np.concatenate([part.times_us for part in parts])
        order = np.argsort(times_us, kind="stable")
        return Frames(
            times_us=times_us[order],
            cube=np.concatenate([part.cube for part in parts])[order],
            frame=np.concatenate([part.frame for part in parts])[order],
        )

    def _cube_frames(self, cube: int) -> Frames:
        usable = ordered_frames(self.cubes[cube])
        return Frames(
            times_us=self.cubes[cube].acquired_us[usable],
            cube=np.full(len(usable), cube, dtype=np.int32),
            frame=usable.astype(np.int32),
        )


def _blocks(spans: Sequence[tuple[int, int, int]]) -> tuple[Block, ...]:
    """Merge the spans (first_us, last_us, frames) that overlap; they ascend by first_us."""
    groups: list[list[int]] = []
    latest_us = 0
    for cube, (first_us, last_us, _) in enumerate(spans):
        if groups and first_us <= latest_us:
            groups[-1].append(cube)
        else:
            groups.append([cube])
        latest_us = max(latest_us, last_us)
    blocks: list[Block] = []
    for group in groups:
        blocks.append(
            Block(
                cubes=tuple(group),
                start=blocks[-1].start + blocks[-1].frames if blocks else 0,
                frames=sum(spans[cube][2] for cube in group),
                first_us=spans[group[0]][0],
                last_us=max(spans[cube][1] for cube in group),
            )
        )
    return tuple(blocks)


def closest_us(timelines: Sequence[Timeline], first_us: int, last_us: int) -> int:
    """Shortest interval between two frames of one timeline, from *first_us* to *last_us*.

    A few milliseconds are added on either side: the cameras' times differ by less.
    """
    closest = last_us - first_us
    for timeline in timelines:
        first, last = timeline.find(first_us - BESIDE_US), timeline.find(last_us + BESIDE_US)
        intervals = np.diff(timeline.times(first, last))
        closest = int(np.min(intervals, initial=closest))
    return closest
