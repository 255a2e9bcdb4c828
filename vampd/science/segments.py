"""Write many frame numbers as few arithmetic progressions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class Progression(Struct, frozen=True, kw_only=True):
    """Places *first* to *last* (excluded) of the columns it was made from.

    Each column ascends by its own constant step there, and the keys are constant.
    """

    first: int
    last: int
    steps: tuple[int, ...]  #: 1 for a single place


def progressions(
    keys: NDArray[np.signedinteger], columns: NDArray[np.signedinteger]
) -> Iterator[Progression]:
    """Part rows into runs of constant keys in which all columns have constant steps.

    *keys* (keys, rows) and *columns* (columns, rows). Greedy from the first row, so that
    equal rows always give equal progressions.
    """
    rows = columns.shape[1]
    if not rows:
        return
    steps = np.diff(columns, axis=1)
    parted = np.any(np.diff(keys, axis=1) != 0, axis=0)
    # A run ends where a step differs from the one before, and where a key changes.
    turns = np.flatnonzero(np.any(steps[:, 1:] != steps[:, :-1], axis=0)) + 1
    ends = np.flatnonzero(parted)
    first = 0
    while first < rows:
        if first == rows - 1 or parted[first]:
            last = first + 1
        else:
            turn = np.searchsorted(turns, first, side="right")
            end = np.searchsorted(ends, first)
            last = min(
                int(turns[turn]) if turn < len(turns) else rows - 1,
                int(ends[end]) if end < len(ends) else rows - 1,
            )
            last += 1
        single = last == first + 1
        taken = (1,) * len(columns) if single else tuple(steps[:, first].tolist())
        yield Progression(first=first, last=last, steps=taken)
        first = last
