"""Cubes that are there twice, and cubes of one camera whose times overlap.

A camera takes one frame after the other. So of what contradicts that, nothing is believed that
cannot be proved:

- The same pixels at the same times are one cube under several names. One of them is used, once.
- Other pixels at the same times, or a cube whose times lie within another's: nobody can tell
  which is right, and neither is used. So with the same file beside different times.
- Where the times of two cubes overlap in part, the frames there are neither paired nor given a
  state, and no count of triggers goes on from one cube to the other. All others are as usual.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.records import RawCube, RejectedFrames
from vampd.science.spans import (
    have_same_times,
    is_all_of,
    meeting,
    shared_frames,
    span_us,
    usable_times,
)
from vampd.science.timeline import usable_frames
from vampd.science.times import moment_text
from vampd.time_units import DAY_US

# Of the other camera's frames so many around an overlap are paired with none either.
_ROOM_PERIODS = 3
_ROOM_US = 5_000
_NAMED = re.compile(r"_(\d\d):(\d\d):(\d\d)\.(\d{6})")


class Candidate(Struct, frozen=True, kw_only=True, eq=False):
    """A cube, and what tells it from others of the same times."""

    cube: RawCube
    sha256: str  #: of the whole file
    modified_ns: int
    is_earlier: bool = (
        False  #: in outputs of an earlier batch: nothing is decided about it any more
    )


class Duplicate(Struct, frozen=True, kw_only=True):
    """A cube of which another one holds all."""

    raw_file: int
    path: str
    camera: int
    frames: int
    used: str  #: path of the one that is used

    @property
    def reason(self) -> str:
        """Why its frames are in no output."""
        return f"duplicate of {self.used}"

    @property
    def rejected(self) -> RejectedFrames:
        """All of its frames."""
        return RejectedFrames(
            raw_file=self.raw_file, first=0, step=1, count=self.frames, reason=self.reason
        )


class Contradiction(Struct, frozen=True, kw_only=True):
    """A cube that cannot be right together with another one."""

    raw_file: int
    path: str
    reason: str  #: both names and values


class Overlap(Struct, frozen=True, kw_only=True):
    """Two cubes whose times overlap in part."""

    raw_file: int  #: the later one, if it is one of those that are planned
    camera: int
    frames: int  #: of both, there
    text: str


class Doubles(Struct, frozen=True, kw_only=True, eq=False):
    """What becomes of the cubes of a batch. Each is in one of the first three."""

    cubes: tuple[RawCube, ...]  #: to be planned; frames in an overlap are marked
    duplicates: tuple[Duplicate, ...]
    contradictions: tuple[Contradiction, ...]
    overlaps: tuple[Overlap, ...]


NO_DOUBLES = Doubles(cubes=(), duplicates=(), contradictions=(), overlaps=())


def to_be_compared(candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Raw files, two by two, of which it decides whether their pixels are the same.

    They tell the same times, and are not the same file.
    """
    return [
        (one.cube.raw_file, two.cube.raw_file)
        for one, two in _meeting(candidates)
        if one.sha256 != two.sha256 and _may_be_same(one.cube, two.cube)
    ]


def find_doubles(candidates: Sequence[Candidate], pixels: Mapping[int, str]) -> Doubles:
    """Decide about all cubes of a batch, in any order; the answer does not depend on it.

    *pixels* holds a digest of the pixels of each raw file that is `to_be_compared`; without it,
    its pixels are not known, and count as others.
    """
    candidates = sorted(candidates, key=lambda one: one.cube.path)
    duplicates: list[Duplicate] = []
    contradictions: dict[int, Contradiction] = {}
    for same in _same_pixels(candidates, pixels):
        used, *others = sorted(same, key=_rank)
        if all(have_same_times(used.cube, other.cube) for other in others):
            duplicates += [_duplicate(other, used) for other in others if not other.is_earlier]
        else:
            contradictions |= _other_times(used, others)
    doubled = {one.raw_file for one in duplicates}
    single = [one for one in candidates if one.cube.raw_file not in doubled]
    for one, two in _meeting(single):
        reason = _contradiction(one.cube, two.cube, pixels)
        if reason is not None:
            found = _contradicting(f"{one.cube.path} and {two.cube.path} {reason}", one, two)
            contradictions = found | contradictions
    cubes, overlaps = _marked(single, contradictions)
    return Doubles(
        cubes=cubes,
        duplicates=tuple(duplicates),
        contradictions=tuple(contradictions.values()),
        overlaps=overlaps,
    )


def _meeting(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Candidate]]:
    """Two by two those of one camera whose spans meet, but for two of earlier batches."""
    for first, second in meeting([one.cube for one in candidates]):
        one, two = candidates[first], candidates[second]
        if not (one.is_earlier and two.is_earlier):
            yield one, two


def _may_be_same(one: RawCube, two: RawCube) -> bool:
    return (one.width, one.height) == (two.width, two.height) and have_same_times(one, two)


def _same_pixels(
    candidates: Sequence[Candidate], pixels: Mapping[int, str]
) -> list[list[Candidate]]:
    """Those of one camera that hold the same pixels, where there are two or more."""
    group_of: dict[int, int] = {}  # raw file -> the raw file after which its group is named
    first: dict[tuple[int, str], int] = {}
    for one in candidates:
        key = (one.cube.camera, one.sha256)
        group_of[one.cube.raw_file] = first.setdefault(key, one.cube.raw_file)
    for a, b in to_be_compared(candidates):
        if pixels.get(a) is not None and pixels.get(a) == pixels.get(b):
            old, new = group_of[a], group_of[b]
            group_of |= {raw_file: new for raw_file, name in group_of.items() if name == old}
    groups: defaultdict[int, list[Candidate]] = defaultdict(list)
    for one in candidates:
        groups[group_of[one.cube.raw_file]].append(one)
    return [
        group
        for group in groups.values()
        if len(group) > 1 and not all(one.is_earlier for one in group)
    ]


def _rank(one: Candidate) -> tuple[object, ...]:
    """The first is used: the delivered one, with most times, named best, written first."""
    cube = one.cube
    return (
        not one.is_earlier,
        not cube.has_acquisition,
        -len(usable_frames(cube)),
        _misnamed_us(cube),
        one.modified_ns,
        cube.path,
    )


def _misnamed_us(cube: RawCube) -> int:
    """How far the time of day in a cube's name is from its first frame; a day without any."""
    match, span = _NAMED.search(cube.path), span_us(cube)
    if match is None or span is None:
        return DAY_US
    hours, minutes, seconds, fraction_us = map(int, match.groups())
    named_us = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction_us
    return abs((named_us - span[0] + DAY_US // 2) % DAY_US - DAY_US // 2)


def _duplicate(one: Candidate, used: Candidate) -> Duplicate:
    return Duplicate(
        raw_file=one.cube.raw_file,
        path=one.cube.path,
        camera=one.cube.camera,
        frames=len(one.cube.acquired_us),
        used=used.cube.path,
    )


def _other_times(used: Candidate, others: Sequence[Candidate]) -> dict[int, Contradiction]:
    """The same pixels under different times: of none it is known when they were taken."""
    other = next(one for one in others if not have_same_times(used.cube, one.cube))
    reason = (
        f"{used.cube.path} and {other.cube.path} have the same pixels, but by their timing files"
        f" {_when(used.cube)} and {_when(other.cube)}: nobody can tell when they were taken"
    )
    return _contradicting(reason, used, *others)


def _contradicting(reason: str, *candidates: Candidate) -> dict[int, Contradiction]:
    """By raw file; nothing is decided any more about those of earlier batches."""
    return {
        one.cube.raw_file: Contradiction(
            raw_file=one.cube.raw_file, path=one.cube.path, reason=reason
        )
        for one in candidates
        if not one.is_earlier
    }


def _contradiction(one: RawCube, two: RawCube, pixels: Mapping[int, str]) -> str | None:
    """Why two cubes whose spans meet cannot both be right; None where they can."""
    if one.has_acquisition == two.has_acquisition and have_same_times(one, two):
        known = pixels.get(one.raw_file) is not None and pixels.get(two.raw_file) is not None
        what = "other pixels" if known else "other bytes, and their pixels cannot be compared"
        if (one.width, one.height) != (two.width, two.height):
            what = f"frames of {one.width} x {one.height} and {two.width} x {two.height} pixels"
        return f"are both {_when(one)}, with {what}: nobody can tell which is right"
    if not (one.has_acquisition and two.has_acquisition):
        return None  # of the logger's times nothing is paired or given a state
    of_one, of_two = shared_frames(one, two)
    if is_all_of(one, of_one) or is_all_of(two, of_two):
        return (
            f"are {_when(one)} and {_when(two)}, one within the other: one camera cannot have"
            " taken both, and nobody can tell which is right"
        )
    return None


def _when(cube: RawCube) -> str:
    times_us = usable_times(cube)
    if not len(times_us):
        return "of no time"
    return f"of {moment_text(int(times_us[0]))} to {moment_text(int(times_us[-1]))}"


def _marked(
    single: Sequence[Candidate], contradictions: Container[int]
) -> tuple[tuple[RawCube, ...], tuple[Overlap, ...]]:
    """The good cubes of the batch, with frames marked that lie in an overlap; and the overlaps.

    What lies among the frames of a cube with a contradiction is as doubtful as in any overlap: its
    frames were taken then, or those of the other one were, and their partners may be either's.
    """
    good = [one for one in single if one.cube.raw_file not in contradictions]
    disputed: dict[int, NDArray[np.bool_]] = {}
    later: set[int] = set()
    overlaps = []
    regions: list[tuple[int, int, int]] = []
    for one, two in _meeting(single):
        if not (one.cube.has_acquisition and two.cube.has_acquisition):
            continue
        are_good = [cube.raw_file not in contradictions for cube in (one.cube, two.cube)]
        if not any(are_good):
            continue
        shared = shared_frames(one.cube, two.cube)
        count = sum(int(frames.sum()) for frames in shared)
        if not count:
            continue
        for cube, frames in zip((one.cube, two.cube), shared, strict=True):
            before = disputed.get(cube.raw_file)
            disputed[cube.raw_file] = frames if before is None else before | frames
        if not _are_same_exposures(one.cube, two.cube, shared):
            regions.append(_region(one.cube, two.cube, shared))
        if not all(are_good):
            continue
        later.add(two.cube.raw_file)
        own = two if one.is_earlier or not two.is_earlier else one
        overlaps.append(
            Overlap(
                raw_file=own.cube.raw_file,
                camera=own.cube.camera,
                frames=count,
                text=f"{one.cube.path} is {_when(one.cube)}, {two.cube.path} {_when(two.cube)}:"
                f" {count} frames in the overlap are not paired, and their states not told",
            )
        )
    for one in good:
        beside = _beside_overlaps(one.cube, regions)
        if beside.any():
            before = disputed.get(one.cube.raw_file)
            disputed[one.cube.raw_file] = beside if before is None else before | beside
    stretch_of = _stretches(good, later)
    cubes = tuple(
        replace(
            one.cube,
            disputed=disputed.get(one.cube.raw_file),
            stretch=stretch_of[one.cube.raw_file],
        )
        for one in good
        if not one.is_earlier
    )
    return cubes, tuple(overlaps)


def _are_same_exposures(
    one: RawCube, two: RawCube, shared: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> bool:
    """Whether two loggers took the same frames: then the clock was right."""
    of_one, of_two = one.acquired_us[shared[0]], two.acquired_us[shared[1]]
    return 2 * len(np.intersect1d(of_one, of_two)) >= min(len(of_one), len(of_two))


def _region(
    one: RawCube, two: RawCube, shared: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> tuple[int, int, int]:
    """Camera, first and last time of an overlap, with room for a few lost frames at its ends."""
    times_us = np.concatenate([one.acquired_us[shared[0]], two.acquired_us[shared[1]]])
    room_us = max(_period_us(one), _period_us(two)) * _ROOM_PERIODS + _ROOM_US
    return one.camera, int(times_us.min()) - room_us, int(times_us.max()) + room_us


def _period_us(cube: RawCube) -> int:
    times_us = usable_times(cube)
    return int(np.median(np.diff(times_us))) if len(times_us) > 1 else 0


def _beside_overlaps(cube: RawCube, regions: Iterable[tuple[int, int, int]]) -> NDArray[np.bool_]:
    """Frames (frames,) of a cube while, by a clock set back, two of the other camera overlap.

    They would find no partner there, or at the ends of the overlap one of the other clock.
    """
    found = np.zeros(len(cube.acquired_us), dtype=np.bool_)
    if cube.has_acquisition:
        for camera, first_us, last_us in regions:
            if camera != cube.camera:
                found |= (cube.acquired_us >= first_us) & (cube.acquired_us <= last_us)
    return found


def _stretches(good: Iterable[Candidate], later: set[int]) -> dict[int, int]:
    """For each cube how many overlaps of its camera began before it, itself included."""
    found: dict[int, int] = {}
    begun: defaultdict[int, int] = defaultdict(int)
    for one in sorted(good, key=lambda one: (span_us(one.cube) or (0, 0), one.cube.path)):
        begun[one.cube.camera] += one.cube.raw_file in later
        found[one.cube.raw_file] = begun[one.cube.camera]
    return found
