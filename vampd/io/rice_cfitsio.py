"""Rice coding by CFITSIO's own coder, as imagecodecs ships it: the second implementation.

What it does is what `vampd.io.rice.Coder` says. Its decoder trusts what it is given: of a damaged
tile it makes other pixels, or reads past the end. Only bytes that are known to be whole are for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from imagecodecs import RcompError, rcomp_decode, rcomp_encode
from numpy.typing import NDArray

BLOCK_PIXELS = 32  #: fpack's choice, and the standard's default


def encode(
    pixels: NDArray[np.int16], tile_pixels: int, coded: memoryview, lengths: NDArray[np.int64], /
) -> int:
    """Encode tiles of *tile_pixels* one behind the other to the start of *coded*."""
    used = 0
    for number, tile in enumerate(pixels.reshape(-1, tile_pixels).astype(np.int16)):
        room: Any = coded[
            used:
        ]  # any buffer will do, though the coder's stubs name bytearray alone
        lengths[number] = len(rcomp_encode(tile, nblock=BLOCK_PIXELS, out=room))
        used += int(lengths[number])
    return used


def decode(
    coded: memoryview, lengths: NDArray[np.int64], tile_pixels: int, pixels: NDArray[np.int16], /
) -> None:
    """Decode tiles that lie one behind the other into *pixels*."""
    tiles = pixels.reshape(-1, tile_pixels)
    for tile, found in zip(tiles, _decoded(coded, lengths, tile_pixels), strict=True):
        tile[:] = found


def matches(
    coded: memoryview, lengths: NDArray[np.int64], tile_pixels: int, pixels: NDArray[np.int16], /
) -> bool:
    """Whether the tiles come back as exactly *pixels*."""
    tiles = pixels.reshape(-1, tile_pixels)
    decoded = _decoded(coded, lengths, tile_pixels)
    try:
        return all(np.array_equal(*both) for both in zip(tiles, decoded, strict=True))
    except ValueError:
        return False


def _decoded(
    coded: memoryview, lengths: NDArray[np.int64], tile_pixels: int
) -> Iterator[NDArray[np.int16]]:
    """Each tile, in native byte order, in one and the same array."""
    found = np.empty(tile_pixels, dtype=np.int16)
    start = 0
    for length in lengths.tolist():
        tile: Any = coded[start : start + length]
        start += length
        if length <= 0 or len(tile) < length:
            msg = f"a tile of {length} bytes, of which {len(tile)} are there"
            raise ValueError(msg)
        try:
            rcomp_decode(tile, nblock=BLOCK_PIXELS, out=found)
        except RcompError as error:
            raise ValueError(str(error)) from error
        yield found
