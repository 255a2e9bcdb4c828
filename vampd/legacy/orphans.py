"""Which timing file belongs to which cube, where their names no longer say so.

The earlier pipeline moves a cube that it would only copy, as a whole and under its raw name, while
the timing file beside it keeps the name of the synchronised cube.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

#: A cube's own times differ from those of its pairs by half of what the cameras are apart, and
#: those of its header, which are the logger's, by what that took.
_NEAR_US = 100_000
#: International atomic time is ahead of UTC by so much since 2017 (IERS, Bulletin C): a logger
#: whose kernel knows that writes it into headers.
_TAI_US = 37_000_000
_ROUNDING_US = 1_000


class Span(Struct, frozen=True, kw_only=True):
    """What is known of a cube, or said by a timing file. Times in microseconds."""

    camera: int | None  #: None: not known
    rows: int
    first_us: int
    last_us: int


def match_orphans(cubes: Sequence[Span], orphans: Sequence[Span]) -> dict[int, int]:
    """The number of each cube's timing file among *orphans*, where one fits; none serves two cubes.

    It has the cube's camera, its number of rows, its length in time, and begins when it begins;
    of several the nearest.
    """
    near = sorted(
        (away, place, number)
        for place, cube in enumerate(cubes)
        for number, orphan in enumerate(orphans)
        if (away := _away_us(cube, orphan)) is not None
    )
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, place, number in near:
        if place not in found and number not in taken:
            found[place] = number
            taken.add(number)
    return found


def _away_us(cube: Span, orphan: Span) -> int | None:
    """How far apart the two begin; None: they do not belong together."""
    same_camera = None in {cube.camera, orphan.camera} or cube.camera == orphan.camera
    if orphan.rows != cube.rows or not same_camera:
        return None
    lasts, shall = orphan.last_us - orphan.first_us, cube.last_us - cube.first_us
    if abs(lasts - shall) > _ROUNDING_US + shall // max(1, 2 * (cube.rows - 1)):
        return None
    away = min(abs(cube.first_us - offset - orphan.first_us) for offset in (0, _TAI_US))
    return away if away <= _NEAR_US else None
