"""Read a compressed cube frame by frame: of our own layout, and with little memory.

The layout is the FITS standard 4.0's, section 10, as `vampd.io.fits` writes it: a table
of descriptors, and Rice-coded tiles in the heap behind it. CFITSIO's decoder trusts what it
is given: of a damaged tile it makes other pixels, or writes past its buffer and takes the
process with it. So nothing is decoded before the whole file was proved, by a digest that is
known or by the sums in its own headers.
"""

from __future__ import annotations

import hashlib
import os
import re

import numpy as np
from numpy.typing import NDArray

from vampd.errors import IntegrityError
from vampd.io import rice
from vampd.io.beneath import Beneath, open_file
from vampd.io.cache import STEP_BYTES, ReadBehind, forget, read_ahead
from vampd.io.checksum import fold, word_sum
from vampd.io.header import BLOCK_BYTES, CARD_LENGTH, padded
from vampd.io.pixels import STORED

_END = b"END".ljust(CARD_LENGTH)
_MAX_BLOCKS = 128  # the cameras' 400 cards take 12
_ALL_ONES = 0xFFFFFFFF
_DESCRIPTORS: dict[str, np.dtype[np.signedinteger]] = {"P": np.dtype(">i4"), "Q": np.dtype(">i8")}
_FORM = re.compile(r"'1([PQ])B(?:\(\d*\))?\s*'")

#: What no other layout has; names as in the table's header.
_DEMANDED = {
    "XTENSION": "'BINTABLE'",
    "ZIMAGE": "T",
    "ZBITPIX": "16",
    "ZNAXIS": "3",
    "ZTILE3": "1",
    "ZCMPTYPE": "'RICE_1  '",
    "ZVAL1": str(rice.BLOCK_PIXELS),
    "ZVAL2": "2",
}


class TileReader:
    """The compressed cube at *path*, open for reading.

    IntegrityError: it is missing, no cube of our layout, or ends too early. OSError: it
    cannot be read.
    """

    def __init__(self, path: Beneath) -> None:
        self.path = path
        try:
            self._descriptor = open_file(path)
        except FileNotFoundError:
            msg = f"{path}: missing"
            raise IntegrityError(msg) from None
        try:
            self._read_layout()
        except BaseException:
            os.close(self._descriptor)
            raise
        read_ahead(self._descriptor)
        self._behind = ReadBehind(self._descriptor)
        self._coder = rice.chosen().coder

    def close(self) -> None:
        """Close the file, and leave none of its pages in the cache."""
        forget(self._descriptor)
        os.close(self._descriptor)

    def read_frame(self, frame: int, pixels: NDArray[np.int16]) -> None:
        """Decode one frame into *pixels*, (height, width), in the byte order of a FITS file."""
        is_one = pixels.shape == (self.height, self.width) and pixels.dtype == STORED
        if not is_one or not 0 <= frame < self.frames:
            msg = f"{self.path}: no frame {frame} of {pixels.shape}; it has {self._shape()}"
            raise IntegrityError(msg)
        lengths, offset = self._places(frame)
        coded = memoryview(self._bytes(self._heap + offset, int(lengths.sum())))
        try:
            self._coder.decode(coded, lengths, pixels.size // self._tiles_per_frame, pixels)
        except ValueError as error:
            msg = f"{self.path}: frame {frame} cannot be decoded: {error}"
            raise IntegrityError(msg) from error
        self._behind.advance(self._heap + offset)

    def prove(self, sha256: str | None) -> None:
        """IntegrityError: the file has another digest, or sums other than its CHECKSUM cards say.

        Without a digest the sums alone decide: they show every single damaged byte.
        """
        digest = hashlib.sha256()
        sums = [word_sum(self._bytes(0, self._table_start)), 0]
        digest.update(self._bytes(0, self._table_start))
        for position in range(self._table_start, self._end, STEP_BYTES):
            block = self._bytes(position, min(STEP_BYTES, self._end - position))
            sums[1] = fold(sums[1] + word_sum(block))
            digest.update(block)
            self._behind.advance(position)
        self._behind.dropped_to = 0
        if os.fstat(self._descriptor).st_size != self._end or set(sums) != {_ALL_ONES}:
            msg = f"{self.path}: damaged: its sums are not those of its CHECKSUM cards"
            raise IntegrityError(msg)
        if sha256 is not None and digest.hexdigest() != sha256:
            msg = f"{self.path}: its SHA-256 is {digest.hexdigest()}, recorded was {sha256}"
            raise IntegrityError(msg)

    def _read_layout(self) -> None:
        _, self._table_start = self._cards(0)
        cards, data_start = self._cards(self._table_start)
        for keyword, expected in _DEMANDED.items():
            if cards.get(keyword) != expected:
                msg = f"{self.path}: {keyword} is {cards.get(keyword)}, not {expected}"
                raise IntegrityError(msg)
        self.width = self._number(cards, "ZNAXIS1")
        self.height = self._number(cards, "ZNAXIS2")
        self.frames = self._number(cards, "ZNAXIS3")
        form = _FORM.fullmatch(cards.get("TFORM1", ""))
        tile_height = self._number(cards, "ZTILE2")
        self._tiles_per_frame = self.height // tile_height
        rows = self._number(cards, "NAXIS2")
        fits = self.height % tile_height == 0 and rows == self.frames * self._tiles_per_frame
        if form is None or not fits or self._number(cards, "ZTILE1") != self.width:
            msg = f"{self.path}: not tiles of whole rows, or not as many as {self._shape()} need"
            raise IntegrityError(msg)
        self._form = _DESCRIPTORS[form[1]]
        self._table = data_start
        self._heap = data_start + rows * 2 * self._form.itemsize
        self._heap_bytes = self._number(cards, "PCOUNT")
        self._end = data_start + padded(self._heap - data_start + self._heap_bytes)

    def _cards(self, start: int) -> tuple[dict[str, str], int]:
        """Texts of a header's values, and where its data begin."""
        values: dict[str, str] = {}
        for number in range(_MAX_BLOCKS):
            block = self._bytes(start + number * BLOCK_BYTES, BLOCK_BYTES)
            for place in range(0, BLOCK_BYTES, CARD_LENGTH):
                card = block[place : place + CARD_LENGTH]
                if card == _END:
                    return values, start + (number + 1) * BLOCK_BYTES
                text = card.decode("latin-1")
                if text[8:10] == "= ":
                    values.setdefault(text[:8].rstrip(), text[10:].partition(" /")[0].strip())
        msg = f"{self.path}: no END card within {_MAX_BLOCKS} header blocks"
        raise IntegrityError(msg)

    def _number(self, cards: dict[str, str], keyword: str) -> int:
        text = cards.get(keyword, "")
        if not re.fullmatch(r"\d{1,15}", text) or (int(text) == 0 and keyword != "PCOUNT"):
            msg = f"{self.path}: {keyword} is {text or 'missing'}, not a whole number above 0"
            raise IntegrityError(msg)
        return int(text)

    def _places(self, frame: int) -> tuple[NDArray[np.int64], int]:
        """Lengths of a frame's tiles, and where the first is in the heap; the others follow."""
        row_bytes = 2 * self._form.itemsize
        size_bytes = self._tiles_per_frame * row_bytes
        descriptors = self._bytes(self._table + frame * size_bytes, size_bytes)
        rows = np.frombuffer(descriptors, dtype=self._form).astype(np.int64).reshape(-1, 2)
        lengths, offsets = rows[:, 0].copy(), rows[:, 1]
        longest = rice.longest_bytes(self.height // self._tiles_per_frame * self.width)
        ends = offsets + lengths
        are_inside = offsets[0] >= 0 and ends[-1] <= self._heap_bytes
        follow = bool((ends[:-1] == offsets[1:]).all())
        if not are_inside or not follow or lengths.min() <= 0 or lengths.max() > longest:
            msg = f"{self.path}: frame {frame}: tiles of {lengths} bytes at {offsets}"
            raise IntegrityError(msg)
        return lengths, int(offsets[0])

    def _bytes(self, offset: int, size_bytes: int) -> bytearray:
        found = bytearray(size_bytes)
        rest = memoryview(found)
        while rest:
            count = os.preadv(self._descriptor, [rest], offset + size_bytes - len(rest))
            if count == 0:
                msg = f"{self.path}: ends within bytes {offset} to {offset + size_bytes - 1}"
                raise IntegrityError(msg)
            rest = rest[count:]
        return found

    def _shape(self) -> str:
        return f"{self.frames} frames of {self.height} x {self.width}"
