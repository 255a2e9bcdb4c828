"""Pixels as FITS files store them: 16 bits, the more significant byte first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Frames stay so from the raw cube to the coder: no value is looked at on the way.
STORED: np.dtype[np.int16] = np.dtype(">i2")
#: What a stored 0 means: BZERO of unsigned 16-bit pixels. No other cube is taken.
UNSIGNED_ZERO = 32768


def stored_bytes(pixels: NDArray[np.int16]) -> memoryview:
    """The bytes of contiguous *pixels*, to be read or written."""
    return pixels.view(np.uint8).data.cast("B")
