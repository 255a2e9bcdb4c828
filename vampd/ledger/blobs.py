"""Acquisition times of a cube, as the ledger stores them: differences, deflated."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6  # two bytes a frame, where the plain numbers take eight


def pack_times(times_us: NDArray[np.int64]) -> bytes:
    """Pack *times_us* (frames,); zeros, for rows that could not be read, included."""
    differences = np.diff(times_us, prepend=np.int64(0)).astype("<i8")
    return zlib.compress(differences.tobytes(), _LEVEL)


def unpack_times(blob: bytes) -> NDArray[np.int64]:
    """Undo `pack_times`."""
    differences = np.frombuffer(zlib.decompress(blob), "<i8")
    return np.cumsum(differences, dtype=np.int64)
