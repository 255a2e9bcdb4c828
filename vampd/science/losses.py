"""Whole cubes that the logger lost: what its counter, its timing files and its leavings tell.

The stream counts its frames (cnt0) whether or not the logger takes them. Where the count goes
on between two cubes of one camera, frames were not logged; but so it does whenever the logger
was switched off while the stream ran. A gap is taken for lost cubes only where the logger
cannot have been off: in a pause too short to switch it, or where the gap is whole cubes between
whole cubes of the same settings. A count that goes back is a stream begun anew, and tells
nothing.

A timing file without its cube, a temporary file that was left over or that vanished without
becoming a cube are lost cubes by themselves, unless such a gap has counted them already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from msgspec import Struct

from vampd.science.times import moment_text
from vampd.time_units import DAY_US

_HAWAII_US = 36_000_000_000  # some files are named ten hours early
_NAME_ERROR_US = 40_000_000  # a name's seconds may be TAI, its minute UTC
#: Nobody stops and starts a logger within a second.
_SHORT_PAUSE_US = 1_000_000
# By chance a gap is a whole number of cubes of n frames once in n times.
_TELLING_FRAMES = 20
# Where the stream stood still for most of the pause, what it counted was meant to be logged.
_TELLING_FRAMES_STILL = 5
# A clock that is set back puts cubes before those that were taken before them.
_NEAR_US = 60_000_000
_NEAR_CUBES = 200
_DROPPED_PART = 50  # of a cube's frames, one may have been dropped besides


class LoggedCube(Struct, frozen=True, kw_only=True):
    """What a timing file says, and whether there is a cube that it belongs to."""

    path: str  #: of the cube, or of the timing file if it is alone
    camera: int
    frames: int
    first_count: int  #: cnt0 of the first frame
    last_count: int
    first_us: int  #: logging time of the first frame
    last_us: int
    settings: object  #: equal while nothing was changed; None: not known
    has_cube: bool = True


class Trace(Struct, frozen=True, kw_only=True):
    """A cube whose timing nobody can read: there, or lost."""

    path: str
    camera: int
    named_us: int  #: time of the day in its name
    why: str = ""  #: empty: the cube is there


class Loss(Struct, frozen=True, kw_only=True):
    """Cubes of one camera that were lost."""

    camera: int
    cubes: int
    frames: int  #: about so many
    text: str


class _Gap(Struct, kw_only=True):
    """Frames that were counted and not logged, and how many cubes of them are not yet found."""

    before: LoggedCube
    after: LoggedCube
    cubes: int
    frames: int

    def holds(self, named_us: int) -> bool:
        """Whether a file of that name may have been begun in this gap."""
        begins_us = self.before.last_us - _NAME_ERROR_US
        length_us = self.after.first_us - begins_us + _NAME_ERROR_US
        shifts = (0, _HAWAII_US)
        return any((named_us + shift - begins_us) % DAY_US <= length_us for shift in shifts)


def find_losses(cubes: Sequence[LoggedCube], traces: Sequence[Trace] = ()) -> list[Loss]:
    """All cubes that the logger lost, by camera.

    *cubes* are all whose timing could be read, in any order, those without a cube included;
    *traces* the others.
    """
    losses: list[Loss] = []
    cameras = {cube.camera for cube in cubes} | {trace.camera for trace in traces}
    for camera in sorted(cameras):
        own = [cube for cube in cubes if cube.camera == camera]
        gaps = list(_gaps(own))
        losses += _lone(own)
        losses += _traced([one for one in traces if one.camera == camera], gaps, _usual(own))
        losses += [_of_gap(gap) for gap in gaps if gap.cubes > 0]
    return losses


def _gaps(cubes: Sequence[LoggedCube]) -> Iterator[_Gap]:
    usual = _usual_by_settings(cubes)
    in_order = sorted(cubes, key=lambda one: (one.first_us, one.first_count))
    for place, (before, after) in enumerate(pairwise(in_order)):
        missing = after.first_count - before.last_count - 1
        if missing > 0:
            near = in_order[max(place - _NEAR_CUBES, 0) : place + _NEAR_CUBES]
            missing -= _found_elsewhere(before, after, near)
        lost = _lost_cubes(before, after, missing, usual.get(before.settings, before.frames))
        if lost:
            yield _Gap(before=before, after=after, cubes=lost, frames=missing)


def _found_elsewhere(before: LoggedCube, after: LoggedCube, near: Sequence[LoggedCube]) -> int:
    """Frames of a gap that are there, earlier or later: the clock was set back between."""
    return sum(
        cube.frames
        for cube in near
        if cube is not before
        and cube is not after
        and abs(cube.first_us - before.last_us) <= _NEAR_US
        and before.last_count < cube.first_count <= cube.last_count < after.first_count
    )


def _lost_cubes(before: LoggedCube, after: LoggedCube, missing: int, usual: int) -> int:
    """How many cubes the *missing* frames were; 0: it is not certain that they were any."""
    length = max(before.frames, after.frames)
    if missing <= 0 or not _same_settings(before, after):
        return 0
    pause_us = after.first_us - before.last_us
    if 0 <= pause_us <= _SHORT_PAUSE_US and 2 * missing >= length:
        return max(1, round(missing / length))
    if before.frames < max(usual, after.frames) or missing % length > length // _DROPPED_PART:
        return 0
    taken_us = missing * _period_us(before, after)
    if not missing // length or taken_us > 1.5 * pause_us + _SHORT_PAUSE_US:
        return 0  # so many frames do not fit into that pause
    stood_still = 2 * taken_us < pause_us
    telling = _TELLING_FRAMES_STILL if stood_still else _TELLING_FRAMES
    return missing // length if length >= telling else 0


def _same_settings(before: LoggedCube, after: LoggedCube) -> bool:
    return None in {before.settings, after.settings} or before.settings == after.settings


def _period_us(*cubes: LoggedCube) -> float:
    """Mean interval between the frames of *cubes*; 0 where they have too few."""
    steps = sum(cube.frames - 1 for cube in cubes)
    return sum(cube.last_us - cube.first_us for cube in cubes) / steps if steps else 0.0


def _usual_by_settings(cubes: Sequence[LoggedCube]) -> dict[object, int]:
    """The usual length of cubes of the same settings, frames."""
    in_order = sorted(cubes, key=lambda cube: repr(cube.settings))
    return {
        settings: _usual(list(same))
        for settings, same in groupby(in_order, key=lambda cube: cube.settings)
    }


def _usual(cubes: Sequence[LoggedCube]) -> int:
    """The most frequent length, the longest of equally frequent ones; 0 where there is no cube."""
    counts = Counter(cube.frames for cube in cubes)
    return max(counts, key=lambda frames: (counts[frames], frames), default=0)


def _lone(cubes: Iterable[LoggedCube]) -> Iterator[Loss]:
    for cube in cubes:
        if not cube.has_cube:
            text = f"{cube.path}: a timing file of {cube.frames} frames without its cube"
            yield Loss(camera=cube.camera, cubes=1, frames=cube.frames, text=text)


def _traced(traces: Iterable[Trace], gaps: Sequence[_Gap], usual: int) -> Iterator[Loss]:
    """Losses that left a trace. What is counted by a gap is taken out of it."""
    # Cubes that are there before those that are not: a gap around them is none.
    for trace in sorted(traces, key=lambda one: (bool(one.why), one.path)):
        gap = next((gap for gap in gaps if gap.cubes > 0 and gap.holds(trace.named_us)), None)
        frames = usual
        if gap is not None:
            frames = round(gap.frames / gap.cubes)
            gap.cubes -= 1
            gap.frames -= frames
        if trace.why:
            text = f"{trace.path}: {trace.why}"
            yield Loss(camera=trace.camera, cubes=1, frames=frames, text=text)


def _of_gap(gap: _Gap) -> Loss:
    text = (
        f"the stream's counter goes from {gap.before.last_count} to {gap.after.first_count} between"
        f" {gap.before.path} (until {moment_text(gap.before.last_us)}) and {gap.after.path} (from"
        f" {moment_text(gap.after.first_us)})"
    )
    return Loss(camera=gap.before.camera, cubes=gap.cubes, frames=gap.frames, text=text)
