"""Two results of one night, frame by frame: whose frames are the same, and what differs.

A frame is known by its camera and its acquisition time. A synchronised frame bears the mean of
its pair's times, so that a result's time is matched with a frame's own time and with its pair's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

#: Times are printed with six decimals, and a mean may be rounded either way.
_ROUNDING_US = 1
#: The earlier pipeline drops what is left of a cube when no more than this of it is left.
_DROPPED_PART = 0.05
#: Its labels of cubes with fewer frames than this have the opposite sign.
_SHORT_CUBE_FRAMES = 26
#: Its rule for the others looks at so many intervals on either side, and reads across gaps. So
#: many frames at either end get the labels of those beside them.
_RULE_FRAMES = 6
#: It writes no cube for a label that has fewer frames than two.
_LABELS = 3

#: Codes of labels: none, A, B, dubious.
NO_LABEL, LABEL_A, LABEL_B, LABEL_DUBIOUS = range(4)


class Difference(StrEnum):
    """What can be other in the earlier pipeline's result, and why, where the rule is known."""

    LOST_UNMATCHED = "lost: left over of a cube, or of its rest, that matched to 95 % or more"
    LOST_ALONE = "lost: the only frame of its label in its cube; it writes no fewer than two"
    LOST_CUBE = "lost: with all of its raw cube"
    LOST = "lost: no known reason"
    TWICE = "in more than one of its cubes"
    UNKNOWN = "in its cubes, and no frame of the plan has that time"
    OPPOSITE_SHORT = "opposite sign: its cube has fewer than 26 frames"
    OPPOSITE_GAP = "opposite sign: within a few frames of a gap in its cube"
    OPPOSITE = "opposite sign: no known reason"
    DOUBTED_THERE = "labelled by vampd, dubious there"
    DOUBTED_HERE = "labelled there, dubious for vampd"
    UNSORTED = "sorted by liquid-crystal state in one result only"
    OWN_TIME = "synchronised, and bears its own time instead of the pair's"
    OTHER_PARTNER = "bears another time: paired with another frame, or not rounded alike"
    MOVED_WHOLE = "pair not made: its cube bears its raw name, its timing file another one"
    SOLO_THERE = "synchronised by vampd, solo there"
    SOLO_HERE = "synchronised there, solo for vampd"


class Frames(Struct, frozen=True, kw_only=True, eq=False):
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


class Comparison(Struct, frozen=True, kw_only=True, eq=False):
    """Which frames are the same, and what differs."""

    place: NDArray[np.int64]  #: (their frames,): the number of our frame; -1: none
    same: int  #: our frames that are in their result once, alike in all
    differences: dict[Difference, NDArray[np.int64]]
    """Numbers of our frames; of theirs for UNKNOWN. A frame may differ in several ways."""

    def counts(self) -> Counter[Difference]:
        """How many frames differ in each way."""
        return Counter({kind: len(frames) for kind, frames in self.differences.items()})


def compare(ours: Frames, theirs: Frames, moved: Collection[int] = ()) -> Comparison:
    """Match every frame of *theirs* with one of *ours*, and name what differs.

    *moved*: those of their cubes that were moved as a whole under their raw names, and do not say
    that they are synchronised.
    """
    place = match_frames(ours, theirs)
    found = np.flatnonzero(place >= 0)
    times_found = np.bincount(place[found], minlength=len(ours))
    differences = dict(_lost(ours, theirs, place))
    differences[Difference.TWICE] = np.flatnonzero(times_found > 1)
    differences[Difference.UNKNOWN] = np.flatnonzero(place < 0)
    first = found[np.unique(place[found], return_index=True)[1]]
    differences |= dict(_labels(ours, theirs, place[first], first))
    differences |= dict(_times(ours, theirs, place[first], first, moved))
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
    ours: Frames, theirs: Frames, place: NDArray[np.int64]
) -> Iterator[tuple[Difference, NDArray[np.int64]]]:
    """Our frames that are nowhere in theirs, by cause; the first cause that fits counts."""
    found = place >= 0
    lost = np.ones(len(ours), dtype=bool)
    lost[place[found]] = False
    synchronised_there = np.zeros(len(ours), dtype=bool)
    synchronised_there[place[found & theirs.synchronised]] = True
    in_cube = _per_group(ours.source, np.ones(len(ours), dtype=bool))
    gone = _per_group(ours.source, lost)
    matched = _per_group(ours.source, synchronised_there)
    is_sorted = ours.label != NO_LABEL
    only_one = is_sorted & (in_cube == 1) | _is_single(ours, theirs, place, lost)
    causes = (
        (Difference.LOST_ALONE, only_one),
        (Difference.LOST_CUBE, gone == in_cube),
        (Difference.LOST_UNMATCHED, (gone <= _DROPPED_PART * in_cube) & (matched > 0)),
        # What is left of a cube that matched to less is a cube: here one of a single frame.
        (Difference.LOST_ALONE, is_sorted & _is_apart(ours, lost)),
        (Difference.LOST, np.ones(len(ours), dtype=bool)),
    )
    by_cause: dict[Difference, list[NDArray[np.int64]]] = {}
    for kind, fits in causes:
        by_cause.setdefault(kind, []).append(np.flatnonzero(lost & fits))
        lost = lost & ~fits
    for kind, parts in by_cause.items():
        yield kind, np.sort(np.concatenate(parts))


def _is_single(
    ours: Frames, theirs: Frames, place: NDArray[np.int64], lost: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(our frames,): whether a lost one can be the only one of its label in one of their cubes.

    Before it was sorted, that cube held a neighbour in time, and now it has no frame of some label.
    In a synchronised cube the frame's partner went the same way.
    """
    there = np.full(len(ours), -1, dtype=np.int64)
    there[place[place >= 0]] = theirs.source[place >= 0]
    sources = int(theirs.source.max()) + 1 if len(theirs) else 0
    has = np.zeros((sources + 1, LABEL_DUBIOUS + 1), dtype=bool)  # the last one is none
    has[theirs.source, theirs.label] = True
    missing = np.where(has[:, 1:].any(axis=1), _LABELS - has[:, 1:].sum(axis=1), 0)
    is_pairs = np.zeros(sources + 1, dtype=bool)
    is_pairs[theirs.source[theirs.synchronised]] = True
    both_lost = _per_group(ours.time_us, lost & ours.synchronised) == 2
    may_be = lost & (ours.label != NO_LABEL)
    before, after = _neighbours(ours, there, lost)
    in_before, in_after = (
        may_be & (missing[source] > 0) & (~is_pairs[source] | both_lost)
        for source in (before, after)
    )
    source = np.where(in_before, before, after)
    fits = in_before | in_after
    wanted = np.bincount(source[fits], minlength=sources + 1)
    return np.asarray(fits & (wanted[source] <= missing[source]))


def _neighbours(
    frames: Frames, there: NDArray[np.int64], lost: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(frames,): where the last frame before, and the first after, of the same camera are *there*.

    Of those that are not lost; -1: there is none.
    """
    before, after = (np.full(len(frames), -1, dtype=np.int64) for _ in range(2))
    for camera in np.unique(frames.camera).tolist():
        kept = np.flatnonzero((frames.camera == camera) & ~lost)
        gone = np.flatnonzero((frames.camera == camera) & lost)
        kept = kept[np.argsort(frames.own_us[kept], kind="stable")]
        at = np.searchsorted(frames.own_us[kept], frames.own_us[gone])
        padded = np.concatenate([[-1], there[kept], [-1]])
        before[gone], after[gone] = padded[at], padded[at + 1]
    return before, after


def _is_apart(frames: Frames, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(frames,): whether neither neighbour in the same raw cube is lost too."""
    order = np.lexsort((frames.own_us, frames.source))
    source, gone = frames.source[order], lost[order]
    both = (source[1:] == source[:-1]) & gone[1:] & gone[:-1]
    apart = np.ones(len(frames), dtype=bool)
    apart[order[1:][both]] = False
    apart[order[:-1][both]] = False
    return apart


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
    source = theirs.source[there]
    length = _per_group(theirs.source, np.ones(len(theirs), dtype=bool))[there]
    is_short = length < _SHORT_CUBE_FRAMES
    # Where all that vampd is sure of has the other sign, the rest of a short cube has it too.
    inverted = is_short & (_per_group(source, opposite) > 0)
    inverted &= _per_group(source, sure_mine & (mine == other)) == 0
    doubted = sure_other & (mine == LABEL_DUBIOUS)
    at_gap = _is_near_gap(theirs)[there]
    yield Difference.OPPOSITE_SHORT, here[opposite & is_short | doubted & inverted]
    yield Difference.OPPOSITE_GAP, here[opposite & ~is_short & at_gap]
    yield Difference.OPPOSITE, here[opposite & ~is_short & ~at_gap]
    yield Difference.DOUBTED_THERE, here[sure_mine & (other == LABEL_DUBIOUS)]
    yield Difference.DOUBTED_HERE, here[doubted & ~inverted]
    yield Difference.UNSORTED, here[sorted_mine != sorted_other]


def _is_near_gap(frames: Frames) -> NDArray[np.bool_]:
    """(frames,): whether a gap in the cube before sorting can have bent the frame's label."""
    near = np.zeros(len(frames), dtype=bool)
    for source in np.unique(frames.source).tolist():
        members = np.flatnonzero(frames.source == source)
        members = members[np.argsort(frames.time_us[members], kind="stable")]
        intervals = np.diff(frames.time_us[members])
        if not len(intervals):
            continue
        for gap in np.flatnonzero(intervals > 1.5 * np.median(intervals)).tolist():
            first, end = gap + 1 - _RULE_FRAMES, gap + 1 + _RULE_FRAMES
            first = 0 if first <= _RULE_FRAMES else first
            end = len(members) if end >= len(members) - _RULE_FRAMES else end
            near[members[first:end]] = True
    return near


def _times(
    ours: Frames,
    theirs: Frames,
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    moved: Collection[int],
) -> Iterator[tuple[Difference, NDArray[np.int64]]]:
    """Frames whose time or partner differs."""
    mine, other = ours.synchronised[here], theirs.synchronised[there]
    in_moved = np.isin(theirs.cube[there], list(moved))
    yield Difference.MOVED_WHOLE, here[mine & ~other & in_moved]
    yield Difference.SOLO_THERE, here[mine & ~other & ~in_moved]
    yield Difference.SOLO_HERE, here[other & ~mine]
    late = np.abs(theirs.time_us[there] - ours.time_us[here]) > _ROUNDING_US
    own = np.abs(theirs.time_us[there] - ours.own_us[here]) <= _ROUNDING_US
    both = mine & other & late
    yield Difference.OWN_TIME, here[both & own]
    yield Difference.OTHER_PARTNER, here[both & ~own]
