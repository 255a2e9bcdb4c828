"""Cut a run of frames into output cubes, and pair the states within them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.science.flc import DUBIOUS


class CubeLimits(Struct, frozen=True, kw_only=True):
    """Where merged cubes are cut."""

    max_seconds: float = 10.0  #: a frame this long after the cube's first begins a new one
    max_gap_seconds: float = 3.0  #: so does one before which nothing was exposed for longer
    max_bytes: int = 2_000_000_000  #: uncompressed, before deinterleaving


def run_starts(states: NDArray[np.int8], follows: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where unbroken runs begin: consecutive triggers, all with a state, alternating.

    *states* (frames,), *follows* (frames,): the frame before is of the trigger before. A
    frame without a state is a run of its own.
    """
    unbroken = follows.copy()
    unbroken[:1] = False
    unbroken[1:] &= states[1:] == -states[:-1]
    unbroken &= states != DUBIOUS
    return np.flatnonzero(~unbroken)


def paired_states(states: NDArray[np.int8], follows: NDArray[np.bool_]) -> NDArray[np.int8]:
    """The states of one output: frames left over after pairing become dubious.

    Pairs are taken greedily from the start of each unbroken run.
    """
    if not len(states):
        return states.copy()
    starts = run_starts(states, follows)
    lengths = np.diff(np.append(starts, len(states)))
    odd_ends = (starts + lengths - 1)[lengths % 2 == 1]
    paired = states.copy()
    paired[odd_ends] = DUBIOUS
    return paired


def cut_outputs(
    times_us: NDArray[np.int64],
    starts: NDArray[np.intp] | None,
    *,
    max_us: int,
    max_frames: int,
) -> Iterator[tuple[int, int]]:
    """First and last (excluded) frame of each output of frames with equal headers.

    An output ends before the frame that is *max_us* or more after its first one, and
    after *max_frames*. With the FLC on, *starts* are the starts of the unbroken runs:
    then the first cut moves on, and the second back, to where it parts no pair of states.
    """
    first = 0
    while first < len(times_us):
        last = int(np.searchsorted(times_us, times_us[first] + max_us))
        if last < len(times_us) and _parts_pair(starts, first, last):
            last += 1
        if last - first > max_frames:
            last = first + max_frames
            if last - first > 1 and _parts_pair(starts, first, last):
                last -= 1
        yield first, last
        first = last


def _parts_pair(starts: NDArray[np.intp] | None, first: int, cut: int) -> bool:
    """Whether frames *cut* - 1 and *cut* are a pair of the output that begins at *first*."""
    if starts is None:
        return False
    start = int(starts[np.searchsorted(starts, cut, side="right") - 1])
    return (cut - max(start, first)) % 2 == 1
