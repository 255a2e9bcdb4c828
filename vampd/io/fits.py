"""Write a tile-compressed cube, as `fpack -r` lays it out, from a stream of frames.

The layout is the FITS standard 4.0's, section 10: an empty primary unit, then a binary
table whose rows point to Rice-coded tiles in the heap behind it. Sizes of the header
and of the table are known beforehand; so the heap is streamed behind the place kept for
them, and memory does not grow with the cube.

Nothing in a file depends on when or where it was made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import IntegrityError
from vampd.io import rice
from vampd.io.cache import STEP_BYTES, WriteBehind
from vampd.io.checksum import (
    EMPTY_CHECKSUM,
    BlockSums,
    encode_checksum,
    fold,
    sum_of_blocks,
    word_sum,
)
from vampd.io.header import CARD_LENGTH, PIXEL_BYTES, padded
from vampd.io.pixels import STORED
from vampd.io.publish import Region, Written

Tiles: TypeAlias = Literal["frame", "row"]

#: Which frames CFITSIO's own decoder must give back too: all, or first, last and every so many.
Verify: TypeAlias = Literal["all", "sample"]

#: Beyond it two versions of astropy overflow 32-bit descriptors, and CFITSIO's are signed.
MAX_BYTES_32_BIT = 2**31 - 1

_SAMPLED_EVERY = 16  # frames; of each the second decoder takes as long as the builder for three
_TABLE_STEP_ROWS = 1 << 16
_DEFAULT_EXTNAME = "COMPRESSED_IMAGE"
_STRUCTURE = re.compile(r"SIMPLE|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|BLOCKED")
_STALE = frozenset({"CHECKSUM", "DATASUM", "END"})
# Cards that would be read as the table's own, or as the compression's.
_RESERVED = re.compile(
    r"XTENSION|TFIELDS|THEAP|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|BCOL)\d+"
    r"|ZIMAGE|ZCMPTYPE|Z(TILE|NAME|VAL|NAXIS)\d*|ZSIMPLE|ZTENSION|ZBITPIX|ZEXTEND|ZBLOCKED"
    r"|Z[PG]COUNT|ZHECKSUM|ZDATASUM|ZQUANTIZ|ZDITHER0|ZMASKCMP|ZBLANK|ZSCALE|ZZERO"
)


class Shape(Struct, frozen=True, kw_only=True):
    """The shape of a cube, in pixels and frames, and of its tiles."""

    width: int
    height: int
    frames: int

    tiles: Tiles

    @property
    def tile_height(self) -> int:
        """Rows of one tile."""
        return 1 if self.tiles == "row" else self.height

    @property
    def tile_pixels(self) -> int:
        """Pixels of one tile."""
        return self.tile_height * self.width

    @property
    def tiles_per_frame(self) -> int:
        """One, or one for each row."""
        return self.height // self.tile_height

    @property
    def tile_count(self) -> int:
        """Rows of the table."""
        return self.frames * self.tiles_per_frame

    @property
    def needs_64_bit(self) -> bool:
        """Whether the table's descriptors need 64 bits (1QB, not 1PB).

        By the most that the heap could take: pixels that cannot be compressed grow.
        """
        return rice.longest_bytes(self.tile_pixels) * self.tile_count > MAX_BYTES_32_BIT


class TileWriter:
    """Writes one compressed cube, frame by frame, into an empty file.

    *cards* (80 characters each) describe the image: SIMPLE, BITPIX, NAXIS = 3, NAXISn
    as *shape* has them, then whatever else; see `table_cards`. Tiles are whole frames, or
    single rows, which is fpack's own choice: then the table and its heap are, byte for
    byte, those of `fpack -r`. *name* is for messages.
    """

    def __init__(
        self,
        descriptor: int,
        cards: Sequence[str],
        shape: Shape,
        *,
        name: str,
        verify: Verify = "sample",
    ) -> None:
        self._name = name
        self._descriptor = descriptor
        self._cards = list(cards)
        self._shape = shape
        self._verify = verify
        self._coder = rice.chosen().coder
        self._table = _Table(descriptor, len(self._headers(0, 0, 0)), shape)
        self._heap = _Heap(descriptor, self._table.end, shape)
        self._lengths = np.empty(shape.tiles_per_frame, dtype=np.int64)
        self._frames = 0

    def append(self, frame: NDArray[np.int16]) -> None:
        """Write the next frame, (height, width), in the byte order of a FITS file.

        Every tile is decoded again and compared before it is written: a coder, or a
        memory, that errs raises IntegrityError.
        """
        if frame.shape != (self._shape.height, self._shape.width) or frame.dtype != STORED:
            msg = f"{self._name}: {frame.dtype} {frame.shape} is no frame of {self._shape}"
            raise ValueError(msg)
        size_bytes = self._coder.encode(
            frame, self._shape.tile_pixels, self._heap.room(), self._lengths
        )
        self._check(frame, self._heap.room()[:size_bytes])
        self._table.add(self._lengths, self._heap.size_bytes)
        self._heap.take(size_bytes)
        self._frames += 1

    def _check(self, frame: NDArray[np.int16], coded: memoryview) -> None:
        coder = rice.CFITSIO if self._is_for_the_second() else self._coder
        if not coder.matches(coded, self._lengths, self._shape.tile_pixels, frame):
            msg = f"{self._name}: frame {self._frames} does not come back from Rice coding"
            raise IntegrityError(msg)

    def _is_for_the_second(self) -> bool:
        is_sample = self._frames % _SAMPLED_EVERY == 0 or self._frames == self._shape.frames - 1
        return self._verify == "all" or is_sample

    def finish(self) -> Written:
        """Write what remains, the headers last. The file is not yet synchronised."""
        if self._frames != self._shape.frames:
            msg = f"{self._name}: {self._frames} frames were written, not {self._shape.frames}"
            raise ValueError(msg)
        table, heap = self._table.finish(), self._heap.finish()
        data_sum = fold(sum_of_blocks(table.sums) + sum_of_blocks(heap.sums))
        headers = _Stream(self._descriptor, 0)
        headers.write(self._headers(self._heap.size_bytes, self._table.longest, data_sum))
        regions = (headers.region(), table, heap)
        return Written(size_bytes=heap.offset + heap.size_bytes, regions=regions)

    def _headers(self, heap_bytes: int, longest: int, data_sum: int) -> bytes:
        """Both headers; their size depends on nothing but the number of cards."""
        cards = table_cards(self._cards, self._shape, heap_bytes=heap_bytes, longest=longest)
        return _header(_PRIMARY_CARDS, data_sum=0) + _header(cards, data_sum=data_sum)


def table_cards(cards: Sequence[str], shape: Shape, *, heap_bytes: int, longest: int) -> list[str]:
    """The cards of the table that holds a compressed image, in fpack's order.

    The image's structure gets a Z before its name; its stale sums are left out, and so
    are `reserved_cards`. EXTNAME is added only where the image has none: a second one
    makes funpack fail. *longest* is that of the compressed tiles, bytes.
    """
    kept = [_renamed(card) for card in cards if not _is_left_out(card)]
    _check_structure(kept, shape)
    letter, row_bytes = ("Q", 16) if shape.needs_64_bit else ("P", 8)
    own = [
        _text_card("XTENSION", "BINTABLE", "binary table extension"),
        _number_card("BITPIX", 8, "8-bit bytes"),
        _number_card("NAXIS", 2, "2-dimensional binary table"),
        _number_card("NAXIS1", row_bytes, "width of table in bytes"),
        _number_card("NAXIS2", shape.tile_count, "number of rows in table"),
        _number_card("PCOUNT", heap_bytes, "size of special data area"),
        _number_card("GCOUNT", 1, "one data group (required keyword)"),
        _number_card("TFIELDS", 1, "number of fields in each row"),
        _text_card("TTYPE1", "COMPRESSED_DATA", "label for field 1"),
        _text_card("TFORM1", f"1{letter}B({longest})", "descriptors of tiles in the heap"),
        _number_card("ZIMAGE", "T", "extension contains compressed image"),
        _number_card("ZTILE1", shape.width, "size of tiles to be compressed"),
        _number_card("ZTILE2", shape.tile_height, "in rows"),
        _number_card("ZTILE3", 1, "in frames"),
        _text_card("ZCMPTYPE", "RICE_1", "compression algorithm"),
        _text_card("ZNAME1", "BLOCKSIZE", "compression block size"),
        _number_card("ZVAL1", rice.BLOCK_PIXELS, "pixels per block"),
        _text_card("ZNAME2", "BYTEPIX", "bytes per pixel"),
        _number_card("ZVAL2", PIXEL_BYTES, "bytes per pixel"),
    ]
    if not any(card.startswith("EXTNAME ") for card in kept):
        own.append(_text_card("EXTNAME", _DEFAULT_EXTNAME, ""))
    return own + kept


def reserved_cards(cards: Sequence[str]) -> list[str]:
    """Those of an image's *cards* that no compressed image can carry: their names are taken."""
    return [card for card in cards if _RESERVED.fullmatch(card[:8].rstrip())]


def _is_left_out(card: str) -> bool:
    keyword = card[:8].rstrip()
    return keyword in _STALE or _RESERVED.fullmatch(keyword) is not None


def _renamed(card: str) -> str:
    keyword = card[:8].rstrip()
    if not _STRUCTURE.fullmatch(keyword):
        return card
    return f"Z{keyword}".ljust(8) + card[8:]


def _check_structure(kept: Sequence[str], shape: Shape) -> None:
    """ValueError: the image's own cards do not describe *shape*."""
    expected = {
        "ZSIMPLE": "T",
        "ZBITPIX": str(8 * PIXEL_BYTES),
        "ZNAXIS": "3",
        "ZNAXIS1": str(shape.width),
        "ZNAXIS2": str(shape.height),
        "ZNAXIS3": str(shape.frames),
    }
    found = {
        card[:8].rstrip(): card[10:].partition("/")[0].strip() for card in kept[: len(expected)]
    }
    if found != expected or any(len(card) != CARD_LENGTH for card in kept):
        msg = f"cards of an image that is not {shape}: {found}"
        raise ValueError(msg)


class _Stream:
    """One region of the file: written in order, and summed as it goes."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size_bytes = 0
        self._sums = BlockSums()
        self._behind = WriteBehind(descriptor, offset)

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    def write(self, content: bytes | memoryview) -> None:
        """Append *content*."""
        _write(self.descriptor, content, self.end)
        self._sums.update(content)
        self.size_bytes += len(content)
        self._behind.advance(self.end)

    def region(self) -> Region:
        """All of it; nothing can be appended any more."""
        return Region(offset=self.offset, size_bytes=self.size_bytes, sums=self._sums.finish())


class _Table:
    """The rows of the table: a length and a heap offset for each tile."""

    def __init__(self, descriptor: int, offset: int, shape: Shape) -> None:
        dtype = np.dtype(">i8" if shape.needs_64_bit else ">i4")
        self.end = offset + shape.tile_count * 2 * dtype.itemsize
        self.longest = 0
        self.stream = _Stream(descriptor, offset)
        rows = min(shape.tile_count, _TABLE_STEP_ROWS + shape.tiles_per_frame)
        self._rows = np.empty((rows, 2), dtype=dtype)
        self._filled = 0

    def add(self, lengths: NDArray[np.int64], heap_offset: int) -> None:
        """Add tiles that lie one behind the other from *heap_offset* on."""
        rows = self._rows[self._filled : self._filled + len(lengths)]
        rows[:, 0] = lengths
        rows[:, 1] = heap_offset + np.cumsum(lengths) - lengths
        self._filled += len(lengths)
        self.longest = max(self.longest, int(lengths.max()))
        if self._filled >= _TABLE_STEP_ROWS:
            self._flush()

    def finish(self) -> Region:
        self._flush()
        return self.stream.region()

    def _flush(self) -> None:
        self.stream.write(self._rows[: self._filled].tobytes())
        self._filled = 0


class _Heap:
    """The tiles, one behind the other, gathered in one buffer and written in steps."""

    def __init__(self, descriptor: int, offset: int, shape: Shape) -> None:
        self.stream = _Stream(descriptor, offset)
        self.size_bytes = 0
        frame_bytes = rice.room_bytes(shape.tile_pixels, shape.tiles_per_frame)
        self._buffer = memoryview(bytearray(STEP_BYTES + frame_bytes))
        self._filled = 0

    def room(self) -> memoryview:
        """Where a frame's tiles are to be encoded; they do not count before `take`."""
        return self._buffer[self._filled :]

    def take(self, size_bytes: int) -> None:
        """Keep the tiles encoded last, *size_bytes* together."""
        self.size_bytes += size_bytes
        self._filled += size_bytes
        while self._filled >= STEP_BYTES:
            self.stream.write(self._buffer[:STEP_BYTES])
            rest = self._filled - STEP_BYTES
            self._buffer[:rest] = self._buffer[STEP_BYTES : self._filled]
            self._filled = rest

    def finish(self) -> Region:
        """Write the rest, and zeros up to a whole block."""
        end = self.stream.end + self._filled
        zeros = padded(end) - end
        self.stream.write(bytes(self._buffer[: self._filled]) + bytes(zeros))
        self._filled = 0
        return self.stream.region()


def _write(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _header(cards: Sequence[str], *, data_sum: int) -> bytes:
    """A whole header, with the sums of its unit. *data_sum* is its data's."""
    data_sum_card = _text_card("DATASUM", str(data_sum), "data unit checksum")
    empty = _joined([*cards, _text_card("CHECKSUM", EMPTY_CHECKSUM, "HDU checksum"), data_sum_card])
    checksum = encode_checksum(fold(word_sum(empty) + data_sum))
    return _joined([*cards, _text_card("CHECKSUM", checksum, "HDU checksum"), data_sum_card])


def _joined(cards: Sequence[str]) -> bytes:
    text = "".join(cards) + "END".ljust(CARD_LENGTH)
    return text.ljust(padded(len(text))).encode("ascii")


def _text_card(keyword: str, text: str, comment: str) -> str:
    return _card(keyword, f"'{text:<8}'".ljust(20), comment)


def _number_card(keyword: str, value: int | str, comment: str) -> str:
    return _card(keyword, f"{value:>20}", comment)


def _card(keyword: str, value: str, comment: str) -> str:
    return f"{keyword:<8}= {value}{' / ' if comment else ''}{comment}".ljust(CARD_LENGTH)


_PRIMARY_CARDS = (
    _number_card("SIMPLE", "T", "file does conform to FITS standard"),
    _number_card("BITPIX", 16, "number of bits per data pixel"),
    _number_card("NAXIS", 0, "number of data axes"),
    _number_card("EXTEND", "T", "FITS dataset may contain extensions"),
)
