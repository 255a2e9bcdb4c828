"""Rice coding of tiles: the one place through which it goes.

The coder is CFITSIO's own, as imagecodecs ships it. Both functions work in the caller's
buffers and give up the interpreter lock; another coder can take their place as long as
it produces the same bytes (FITS standard 4.0, section 10.4.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from imagecodecs import rcomp_decode, rcomp_encode
from numpy.typing import NDArray

BLOCK_PIXELS = 32  #: fpack's choice, and the standard's default

_FIRST_PIXEL_BYTES = 2
_SPARE_BYTES = 16  # the coder writes whole words


def longest_bytes(pixels: int) -> int:
    """The most bytes that a tile can take: 16 bits each pixel, and 4 bits a block."""
    blocks = -(-pixels // BLOCK_PIXELS)
    return _FIRST_PIXEL_BYTES + 2 * pixels + -(-blocks // 2)


def encoded_bound(pixels: int) -> int:
    """The bytes that `encode` needs room for."""
    return longest_bytes(pixels) + _SPARE_BYTES


def encode(tile: NDArray[np.int16], out: memoryview) -> int:
    """Encode *tile* (native byte order, contiguous) to the start of *out*; return the length.

    *out* has at least `encoded_bound` bytes, or else the coder raises.
    """
    buffer: Any = out  # any buffer will do, though the coder's stubs name bytearray alone
    return len(rcomp_encode(tile, nblock=BLOCK_PIXELS, out=buffer))


def decode(encoded: memoryview, out: NDArray[np.int16]) -> None:
    """Decode a tile of the size of *out* into *out* (native byte order, contiguous)."""
    buffer: Any = encoded
    rcomp_decode(buffer, nblock=BLOCK_PIXELS, out=out)
