"""Rice coding of tiles: the one place that knows which coder does it.

Ours is compiled when vampd is installed (csrc/). At each start it is tried against CFITSIO's own
coder: it is used only if both make the same bytes of some frames, and the same frames of them. If
not, or where nothing could be compiled, CFITSIO's does all of the work, several times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.io import rice_cfitsio
from vampd.io.pixels import STORED

BLOCK_PIXELS = rice_cfitsio.BLOCK_PIXELS

_FIRST_PIXEL_BYTES = 2
_SPARE_BYTES = 16  # both coders write whole words
_TRIAL_ROWS, _TRIAL_WIDTH = 5, 101  # blocks of 32, and a shorter last one
_HASH = 2654435761  # Knuth's multiplier: its high bits of consecutive numbers look random


class Coder(Protocol):
    """Codes frames of 16-bit pixels, in the byte order of a FITS file, in tiles.

    A frame's tiles, of *tile_pixels* each, lie one behind the other in *coded*; *lengths* are
    their bytes. All arrays are contiguous.
    """

    def encode(
        self,
        pixels: NDArray[np.int16],
        tile_pixels: int,
        coded: memoryview,
        lengths: NDArray[np.int64],
        /,
    ) -> int:
        """Encode to the start of *coded*, which has room for `room_bytes`; return all bytes."""

    def decode(
        self,
        coded: memoryview,
        lengths: NDArray[np.int64],
        tile_pixels: int,
        pixels: NDArray[np.int16],
        /,
    ) -> None:
        """Decode into *pixels*. ValueError: a tile is damaged."""

    def matches(
        self,
        coded: memoryview,
        lengths: NDArray[np.int64],
        tile_pixels: int,
        pixels: NDArray[np.int16],
        /,
    ) -> bool:
        """Whether the tiles decode to exactly *pixels*."""


class Choice(Struct, frozen=True, kw_only=True):
    """The coder of this process."""

    coder: Coder
    is_own: bool
    trouble: str = ""  #: why the compiled coder is not used
    is_wrong: bool = False  #: it is there, but does not do what it should

    @property
    def said(self) -> str:
        """Which coder does the work, and why, in a sentence."""
        if self.is_own:
            return "Rice coder: our own, and CFITSIO's agrees with it"
        return f"Rice coder: not our own, {self.trouble}; CFITSIO's does the work, far slower"


CFITSIO: Coder = rice_cfitsio


def longest_bytes(pixels: int) -> int:
    """The most bytes that a tile can take: 16 bits each pixel, and 4 bits a block."""
    blocks = -(-pixels // BLOCK_PIXELS)
    return _FIRST_PIXEL_BYTES + 2 * pixels + -(-blocks // 2)


def room_bytes(tile_pixels: int, tiles: int) -> int:
    """The bytes that a frame's encoding needs room for."""
    return longest_bytes(tile_pixels) * tiles + _SPARE_BYTES


@cache
def chosen() -> Choice:
    """The compiled coder if it is there and right, else CFITSIO's. Takes a few milliseconds."""
    try:
        from vampd.io import _rice
    except ImportError as error:
        return Choice(coder=CFITSIO, is_own=False, trouble=f"which was not compiled ({error})")
    return choose(_rice)


def choose(own: Coder) -> Choice:
    """*own*, if all trial frames go through it as they do through CFITSIO's coder."""
    for name, frame in _trial_frames():
        difference = _difference(own, frame)
        if difference:
            trouble = f"which {difference} ({name})"
            return Choice(coder=CFITSIO, is_own=False, trouble=trouble, is_wrong=True)
    return Choice(coder=own, is_own=True)


def _trial_frames() -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Frames that between them want every kind of block."""
    count = _TRIAL_ROWS * _TRIAL_WIDTH
    mixed = np.arange(count, dtype=np.uint64) * _HASH >> 16 & 0xFFFF
    for bits in range(17):
        yield f"noise of {bits} bits", _as_frame(mixed >> (16 - bits))
    yield "spikes", _as_frame(np.where(mixed < 2000, 65535, 200))


def _as_frame(values: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
    return values.astype(np.uint16).astype(STORED).reshape(_TRIAL_ROWS, _TRIAL_WIDTH)


def _difference(own: Coder, frame: NDArray[np.int16]) -> str:
    """What *own* does otherwise than CFITSIO's coder; nothing where both agree."""
    coded, lengths = _encoded(CFITSIO, frame)
    again = np.zeros_like(frame)
    try:
        ours, our_lengths = _encoded(own, frame)
        own.decode(coded, lengths, _TRIAL_WIDTH, again)
    except ValueError as error:
        return f"refuses a frame: {error}"
    other = again.copy()
    other[-1, -1] ^= 1
    found = (
        bytes(ours) == bytes(coded) and np.array_equal(our_lengths, lengths),
        np.array_equal(again, frame) and own.matches(coded, lengths, _TRIAL_WIDTH, frame),
        not own.matches(coded, lengths, _TRIAL_WIDTH, other),
        CFITSIO.matches(ours, our_lengths, _TRIAL_WIDTH, frame),
    )
    wrong = (
        "makes other bytes than CFITSIO's coder",
        "decodes to other pixels",
        "does not see that a pixel differs",
        "makes what CFITSIO's coder decodes to other pixels",
    )
    return next((text for text, is_right in zip(wrong, found, strict=True) if not is_right), "")


def _encoded(coder: Coder, frame: NDArray[np.int16]) -> tuple[memoryview, NDArray[np.int64]]:
    lengths = np.zeros(_TRIAL_ROWS, dtype=np.int64)
    coded = memoryview(bytearray(room_bytes(_TRIAL_WIDTH, _TRIAL_ROWS)))
    return coded[: coder.encode(frame, _TRIAL_WIDTH, coded, lengths)], lengths
