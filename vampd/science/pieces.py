"""Parts of a run of frames that are judged one at a time, and what each rests on.

A night is planned as a whole, and in parts while it goes on, and both must say the same. So a
part begins and ends where the clock says so, not a number of frames after wherever a plan happens
to begin; it is judged with a few frames on either side and no others. What it rests on ends soon
after it: once that is known, nothing later changes what is said of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

#: Microseconds: what was said of all from the first time on rests on all that begins by the second.
Rest: TypeAlias = tuple[int, int]

#: By the clock, parts begin at whole multiples of this.
PART_US = 8_000_000
NEVER_US = 1 << 62

SECTION_GAP_US = 3_000_000
_SECTION_GAP_PERIODS = 4
_SLOWEST_US = 15_000_000  # a longer interval is a pause, and tells nothing of what is usual
_PIECE = 1 << 16  # frames judged at a time, at most
_MARGIN = 1 << 9  # frames on either side that a piece is judged with, at most...
_BEFORE_US, _BEFORE = 2 * PART_US, 64  # ...and what suffices: so long, if it holds so many frames
_AFTER_US, _AFTER = PART_US // 2, 16


class Piece(Struct, frozen=True, kw_only=True):
    """Frames *first* to *last* (excluded), to be judged with those from *low* to *high*."""

    first: int
    last: int
    low: int
    high: int
    until_us: int  #: it rests on nothing that begins later

    def moved(self, frames: int) -> Piece:
        """The same piece of a run that begins so many *frames* earlier."""
        return replace(
            self,
            first=self.first + frames,
            last=self.last + frames,
            low=self.low + frames,
            high=self.high + frames,
        )


def long_intervals(times_us: NDArray[np.int64], limit_us: int) -> NDArray[np.intp]:
    """Numbers of the intervals longer than *limit_us*, without all intervals in memory."""
    found = [
        np.flatnonzero(np.diff(times_us[first : first + _PIECE + 1]) > limit_us) + first
        for first in range(0, len(times_us), _PIECE)
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def sections(times_us: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last (excluded) frame between places where nothing was triggered for long.

    Long is so many times the shorter one of the intervals before and after.
    """
    long = long_intervals(times_us, SECTION_GAP_US)
    before = np.maximum(long - 1, 0)
    after = np.minimum(long + 2, len(times_us) - 1)
    before_us = np.where(before < long, times_us[long] - times_us[before], 0)
    usual_us = np.minimum(
        np.where(before_us <= _SLOWEST_US, before_us, 0),
        np.where(after > long + 1, times_us[after] - times_us[long + 1], NEVER_US),
    )
    parted = long[(times_us[long + 1] - times_us[long]) // _SECTION_GAP_PERIODS > usual_us]
    yield from pairwise([0, *(parted + 1).tolist(), len(times_us)])


def pieces(times_us: NDArray[np.int64]) -> Iterator[Piece]:
    """Part ascending *times_us* (frames,) of a run, each frame into one piece."""
    for low, high in sections(times_us):
        for first, last in pairwise(_cuts(times_us, low, high)):
            early = int(np.searchsorted(times_us, times_us[first] - _BEFORE_US))
            late = int(np.searchsorted(times_us, times_us[last - 1] + _AFTER_US, side="right"))
            ends = min(last + min(max(late - last, _AFTER), _MARGIN), high)
            yield Piece(
                first=first,
                last=last,
                low=max(first - min(max(first - early, _BEFORE), _MARGIN), low),
                high=ends,
                until_us=int(times_us[ends]) if ends < high else _ends_us(times_us[:high]),
            )


def _cuts(times_us: NDArray[np.int64], low: int, high: int) -> list[int]:
    """Where the pieces of a section begin, and where the last one ends."""
    if low == high:
        return [high]
    marks = np.arange(times_us[low] // PART_US + 1, times_us[high - 1] // PART_US + 1) * PART_US
    begins = np.unique(np.searchsorted(times_us, marks)).tolist()
    return [
        cut for first, last in pairwise([low, *begins, high]) for cut in range(first, last, _PIECE)
    ] + [high]


def _ends_us(times_us: NDArray[np.int64]) -> int:
    """What begins later than this is not of the section that ends with these frames."""
    before_us = int(times_us[-1] - times_us[-2]) if len(times_us) > 1 else 0
    usual_us = before_us if before_us <= _SLOWEST_US else 0
    # One period more: where the frames after the gap come faster, their interval tells, too.
    return int(times_us[-1]) + max(SECTION_GAP_US, (_SECTION_GAP_PERIODS + 1) * usual_us)


def rests(
    times_us: NDArray[np.int64], found: Iterable[Piece], doubts: Sequence[tuple[int, int]] = ()
) -> list[Rest]:
    """What was said of the pieces of a run rests on.

    *doubts*: frames, ascending, before which the run may yet be parted, and until when that may
    turn out. Where it is parted anyhow, that changes nothing.
    """
    begins = {first for first, _ in sections(times_us)}
    doubts = [doubt for doubt in doubts if doubt[0] not in begins]
    places = [at for at, _ in doubts]
    found_rests = []
    for piece in found:
        inside = doubts[bisect_left(places, piece.low) : bisect_right(places, piece.high)]
        until_us = max([piece.until_us, *(us for _, us in inside)])
        found_rests.append((int(times_us[piece.first]), until_us))
    return found_rests


def settled_us(found: Iterable[Rest], known_us: int) -> int:
    """Up to when all is settled that was said, if all is known that began before *known_us*."""
    return min([known_us, *(from_us for from_us, until_us in found if until_us >= known_us)])
