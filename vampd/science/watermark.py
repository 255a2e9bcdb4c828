"""Up to which time nothing can change a night any more, while its cameras go on writing.

The *watermark* is a time of acquisition: all cubes that began before it are here and whole, as far
as anybody can know. It follows the camera that is behind, for each camera's cubes come in the order
of their times, give or take an allowance. A camera that is silent for long holds nothing back, and
neither does a file that has not changed for as long. What comes later still was late: it is planned
when the night closes. Pure: what is known comes in, and no clock but as an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from vampd.time_units import DAY_US, SECOND_US

#: By how much the time in a cube's name can be before or after its first frame: the seconds of some
#: loggers' names are TAI, 37 s ahead of UTC, and their minutes are not. Microseconds.
NAME_ERROR_US = 40_000_000


class CubeSpan(Struct, frozen=True, kw_only=True):
    """A whole cube: when its first and its last usable frame were taken."""

    raw_file: int
    camera: int
    first_us: int
    last_us: int
    exposure_us: int = 0
    is_timed: bool = True  #: by the camera; else its place in the night is decided at the close


class Unsettled(Struct, frozen=True, kw_only=True):
    """A file of the cameras that is not whole, and when its cube can have begun at the earliest."""

    path: str
    begins_us: int
    unchanged_seconds: float


class Patience(Struct, frozen=True, kw_only=True):
    """How long is waited for what may still come. Seconds."""

    allowance_seconds: float  #: what begins so long before a known cube of its camera ends is here
    silence_seconds: float  #: after this without a change a camera, or a file, is not waited for
    gap_seconds: float  #: the longest pause, beside an exposure, over which cubes are merged


class Watermark(Struct, frozen=True, kw_only=True):
    """How far the night is known."""

    through_us: int | None  #: every cube that began before it is known; None: nothing is
    held_by: str  #: what holds it back; "" where nothing does


class Stretch(Struct, frozen=True, kw_only=True):
    """Cubes of either camera that follow each other without a pause over which none is merged."""

    first_us: int
    last_us: int
    bridge_us: int  #: what begins no later than this after its end may belong to it
    raw_files: frozenset[int]


def watermark(
    cubes: Iterable[CubeSpan],
    unsettled: Iterable[Unsettled],
    quiet_seconds: Mapping[int, float],
    patience: Patience,
    *,
    now_us: int,
) -> Watermark:
    """Judge how far a night is known.

    *quiet_seconds*: by camera, for how long nothing of it came or changed; a camera is silent when
    that is longer than its patience and its last cube together, for the next may be as long and is
    seen at its end. A cube in the future says nothing of how far its camera is. UTC, microseconds.
    """
    known = [cube for cube in cubes if cube.last_us <= now_us]
    limits = [_of_camera(camera, known, quiet_seconds, patience, now_us) for camera in (1, 2)]
    limits += [
        (file.begins_us, f"{file.path} is not whole")
        for file in unsettled
        if file.unchanged_seconds < patience.silence_seconds
    ]
    limits += [
        (cube.first_us - NAME_ERROR_US, f"only the logger timed a cube of camera {cube.camera}")
        for cube in known
        if not cube.is_timed
    ]
    through_us, held_by = min(limits)
    if through_us <= 0:
        return Watermark(through_us=None, held_by=held_by)
    return Watermark(through_us=min(through_us, now_us), held_by=held_by)


def _of_camera(
    camera: int,
    known: Sequence[CubeSpan],
    quiet_seconds: Mapping[int, float],
    patience: Patience,
    now_us: int,
) -> tuple[int, str]:
    """How far a camera's own cubes say that it is, and the words for that."""
    last = max(
        (cube for cube in known if cube.camera == camera),
        key=lambda cube: cube.last_us,
        default=None,
    )
    length_us = 0 if last is None else last.last_us - last.first_us
    patient_seconds = patience.silence_seconds + length_us / SECOND_US
    if quiet_seconds.get(camera, 0.0) >= patient_seconds:
        return now_us, ""
    if last is None:
        return 0, f"camera {camera} may still begin"
    allowance_us = round(patience.allowance_seconds * SECOND_US)
    return last.last_us - allowance_us, f"camera {camera} is no further"


def stretches(cubes: Iterable[CubeSpan], *, gap_seconds: float) -> Iterator[Stretch]:
    """Part cubes where nothing is merged over the pause: longer than *gap_seconds* and exposure.

    In the order of time. The exposure is the longest before the pause: where another one follows,
    an output ends anyhow.
    """
    gap_us = round(gap_seconds * SECOND_US)
    group: list[CubeSpan] = []
    last_us = bridge_us = 0
    for cube in sorted(cubes, key=lambda cube: (cube.first_us, cube.raw_file)):
        if group and cube.first_us > last_us + bridge_us:
            yield _stretch(group, last_us, bridge_us)
            group, bridge_us = [], 0
        last_us = max(last_us, cube.last_us) if group else cube.last_us
        bridge_us = max(bridge_us, gap_us + cube.exposure_us)
        group.append(cube)
    if group:
        yield _stretch(group, last_us, bridge_us)


def closed_stretches(
    cubes: Iterable[CubeSpan], through_us: int | None, *, gap_seconds: float
) -> list[Stretch]:
    """The stretches that nothing later can change, if all is known that began by *through_us*."""
    if through_us is None:
        return []
    return [
        stretch
        for stretch in stretches(cubes, gap_seconds=gap_seconds)
        if stretch.last_us + stretch.bridge_us < through_us
    ]


def _stretch(group: Sequence[CubeSpan], last_us: int, bridge_us: int) -> Stretch:
    return Stretch(
        first_us=group[0].first_us,
        last_us=last_us,
        bridge_us=bridge_us,
        raw_files=frozenset(cube.raw_file for cube in group),
    )


def begins_at_earliest(named_us: int, written_us: int) -> int:
    """When the cube with the time of day *named_us* in its name can have begun at the earliest.

    The name has no date: it is the last such time before *written_us*, when its file was last
    written to. One that is named in HST began later, and is waited for longer than it need be.
    """
    midnight_us = written_us - written_us % DAY_US
    begins_us = midnight_us + named_us
    if begins_us > written_us + NAME_ERROR_US:
        begins_us -= DAY_US
    return begins_us - NAME_ERROR_US
