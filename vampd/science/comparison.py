"""Two results of one night, frame by frame: whose frames are the same, and what differs.

A frame is known by its camera and its acquisition time. A synchronised frame bears the mean of
its pair's times, so that a result's time is matched with a frame's own time and with its pair's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

#: Times are printed with six decimals, and a mean may be rounded either way.
_ROUNDING_US = 1
#: The earlier pipeline drops the unmatched frames of a cube that matched to more than this.
_MATCHED_ENOUGH = 0.95
#: Its labels of cubes with fewer frames than this have the opposite sign.
_SHORT_CUBE_FRAMES = 26

#: Codes of labels: none, A, B, dubious.
NO_LABEL, LABEL_A, LABEL_B, LABEL_DUBIOUS = range(4)


class Difference(StrEnum):
    """What can be other in the earlier pipeline's result, and why, where the rule is known."""

    LOST_UNMATCHED = "lost: unmatched, in a cube that matched to more than 95 %"
    LOST_ALONE = "lost: one frame alone; those before and after it are there"
    LOST_CUBE = "lost: with all of its raw cube"
    LOST = "lost: no known reason"
    TWICE = "in more than one of its cubes"
    UNKNOWN = "in its cubes, and no frame of the plan has that time"
    OPPOSITE_SHORT = "opposite sign: its cube has fewer than 26 frames"
    OPPOSITE = "opposite sign: no known reason"
    DOUBTED_THERE = "labelled by vampd, dubious there"
    DOUBTED_HERE = "labelled there, dubious for vampd"
    UNSORTED = "sorted by liquid-crystal state in one result only"
    OWN_TIME = "synchronised, and bears its own time instead of the pair's"
    OTHER_PARTNER = "bears another time: paired with another frame, or not rounded alike"
    SOLO_THERE = "synchronised by vampd, solo there"
    SOLO_HERE = "synchronised there, solo for vampd"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frames:
    """All frames of one result; every array is (frames,)."""

    camera: NDArray[np.int64]
    time_us: NDArray[np.int64]  #: as the result bears it: of the pair, where synchronised
    own_us: NDArray[np.int64]  #: the camera's own; where it is not known, *time_us*
    synchronised: NDArray[np.bool_]
    label: NDArray[np.int64]  #: one of the codes above
    cube: NDArray[np.int64]  #: a number for each output file
    source: NDArray[np.int64]  #: a number for each raw cube, or for each cube before it was sorted

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """Which frames are the same, and what differs."""

    place: NDArray[np.int64]  #: (their frames,): the number of our frame; -1: none
    same: int  #: our frames that are in their result once, alike in all
    differences: dict[Difference, NDArray[np.int64]]
    """Numbers of our frames; of theirs for UNKNOWN. A frame may differ in several ways."""

    def counts(self) -> Counter[Difference]:
        """How many frames differ in each way."""
        return Counter({kind: len(frames) for kind, frames in self.differences.items()})


def compare(ours: Frames, theirs: Frames) -> Comparison:
    """Match every frame of *theirs* with one of *ours*, and name what differs."""
    place = match_frames(ours, theirs)
    found = np.flatnonzero(place >= 0)
    times_found = np.bincount(place[found], minlength=len(ours))
    differences = dict(_lost(ours, theirs, place, times_found))
    differences[Difference.TWICE] = np.flatnonzero(times_found > 1)
    differences[Difference.UNKNOWN] = np.flatnonzero(place < 0)
    first = found[np.unique(place[found], return_index=True)[1]]
    differences |= dict(_labels(ours, theirs, place[first], first))
    differences |= dict(_times(ours, theirs, place[first], first))
    differing = [frames for kind, frames in differences.items() if kind is not Difference.UNKNOWN]
    other = np.unique(np.concatenate(differing)) if differing else np.empty(0, np.int64)
    return Comparison(
        place=place,
        same=len(ours) - len(other),
        differences={kind: frames for kind, frames in differences.items() if len(frames)},
    )


def per_cube(found: Comparison, theirs: Frames) -> dict[Difference, NDArray[np.int64]]:
    """By difference, how many frames of each of their cubes it concerns: (cubes,), from cube 0."""
    cubes = int(theirs.cube.max()) + 1 if len(theirs) else 0
    counts = {}
    for kind, numbers in found.differences.items():
        concerned = found.place < 0
        if kind is not Difference.UNKNOWN:
            concerned = np.isin(found.place, numbers)
        counts[kind] = np.bincount(theirs.cube[concerned], minlength=cubes).astype(np.int64)
    return counts


def match_frames(ours: Frames, theirs: Frames) -> NDArray[np.int64]:
    """(their frames,): the number of our frame at that time in that camera; -1 where none is.

    A frame is farther than half the way to its neighbour's time only if it is another one.
    """
    place = np.full(len(theirs), -1, dtype=np.int64)
    for camera in np.unique(theirs.camera).tolist():
        mine = np.flatnonzero(ours.camera == camera)
        other = np.flatnonzero(theirs.camera == camera)
        if len(mine) == 0:
            continue
        times = theirs.time_us[other]
        by_pair, from_pair = _nearest(ours.time_us[mine], times)
        by_own, from_own = _nearest(ours.own_us[mine], times)
        nearest = np.where(from_pair <= from_own, by_pair, by_own)
        reach = _reach(ours.own_us[mine])[nearest]
        close = np.minimum(from_pair, from_own) <= reach
        place[other[close]] = mine[nearest[close]]
    return place


def _nearest(
    times: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each *wanted* time the index of the nearest of *times*, and how far it is."""
    order = np.argsort(times, kind="stable")
    sorted_times = times[order]
    after = np.clip(np.searchsorted(sorted_times, wanted), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    to_after, to_before = (np.abs(sorted_times[index] - wanted) for index in (after, before))
    best = np.where(to_before < to_after, before, after)
    return order[best], np.minimum(to_after, to_before)


def _reach(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half the way from each time to its nearest neighbour; a second for a lone one."""
    order = np.argsort(times, kind="stable")
    gaps = np.diff(times[order])
    far = np.array([2_000_000], dtype=np.int64)
    nearest = np.minimum(np.concatenate([far, gaps]), np.concatenate([gaps, far]))
    reach = np.empty_like(times)
    reach[order] = np.maximum(nearest // 2, _ROUNDING_US)
    return reach


def _lost(
    ours: Frames,
    theirs: Frames,
    place: NDArray[np.int64],
    times_found: NDArray[np.intp],
) -> Iterator[tuple[Difference, NDArray[np.int64]]]:
    """Our frames that are nowhere in theirs, by cause; the first cause that fits counts."""
    lost = times_found == 0
    synchronised_there = np.zeros(len(ours), dtype=bool)
    synchronised_there[place[(place >= 0) & theirs.synchronised]] = True
    in_source = _per_group(ours.source, np.ones(len(ours), dtype=bool))
    kept = _per_group(ours.source, ~lost)
    matched = _per_group(ours.source, synchronised_there)
    causes = (
        (Difference.LOST_CUBE, kept == 0),
        (Difference.LOST_UNMATCHED, ~ours.synchronised & (matched > _MATCHED_ENOUGH * in_source)),
        (Difference.LOST_ALONE, _is_alone(ours, lost)),
        (Difference.LOST, np.ones(len(ours), dtype=bool)),
    )
    for kind, fits in causes:
        yield kind, np.flatnonzero(lost & fits)
        lost = lost & ~fits


def _is_alone(frames: Frames, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(frames,): whether neither neighbour in the same raw cube is lost too."""
    order = np.lexsort((frames.own_us, frames.source))
    source, gone = frames.source[order], lost[order]
    both = (source[1:] == source[:-1]) & gone[1:] & gone[:-1]
    alone = np.ones(len(frames), dtype=bool)
    alone[order[1:][both]] = False
    alone[order[:-1][both]] = False
    return alone


def _per_group(group: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(frames,): how many of the frames *chosen* are in the same group."""
    _, index = np.unique(group, return_inverse=True)
    counts: NDArray[np.int64] = np.bincount(index, weights=chosen).astype(np.int64)[index]
    return counts


def _labels(
    ours: Frames, theirs: Frames, here: NDArray[np.int64], there: NDArray[np.int64]
) -> Iterator[tuple[Difference, NDArray[np.int64]]]:
    """Frames whose label differs; *here* and *there* are the same frames in both results."""
    mine, other = ours.label[here], theirs.label[there]
    sorted_mine, sorted_other = mine != NO_LABEL, other != NO_LABEL
    sure_mine = (mine == LABEL_A) | (mine == LABEL_B)
    sure_other = (other == LABEL_A) | (other == LABEL_B)
    opposite = sure_mine & sure_other & (mine != other)
    length = _per_group(theirs.source, np.ones(len(theirs), dtype=bool))[there]
    yield Difference.OPPOSITE_SHORT, here[opposite & (length < _SHORT_CUBE_FRAMES)]
    yield Difference.OPPOSITE, here[opposite & (length >= _SHORT_CUBE_FRAMES)]
    yield Difference.DOUBTED_THERE, here[sure_mine & (other == LABEL_DUBIOUS)]
    yield Difference.DOUBTED_HERE, here[sure_other & (mine == LABEL_DUBIOUS)]
    yield Difference.UNSORTED, here[sorted_mine != sorted_other]


def _times(
    ours: Frames, theirs: Frames, here: NDArray[np.int64], there: NDArray[np.int64]
) -> Iterator[tuple[Difference, NDArray[np.int64]]]:
    """Frames whose time or partner differs."""
    mine, other = ours.synchronised[here], theirs.synchronised[there]
    yield Difference.SOLO_THERE, here[mine & ~other]
    yield Difference.SOLO_HERE, here[other & ~mine]
    late = np.abs(theirs.time_us[there] - ours.time_us[here]) > _ROUNDING_US
    own = np.abs(theirs.time_us[there] - ours.own_us[here]) <= _ROUNDING_US
    both = mine & other & late
    yield Difference.OWN_TIME, here[both & own]
    yield Difference.OTHER_PARTNER, here[both & ~own]
