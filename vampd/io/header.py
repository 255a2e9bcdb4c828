"""Read the header of a raw cube, within bounds.

A damaged header must cost its own cube and nothing else: no library is given a file
before its header has passed here, for some of them allocate, or loop, as long as a
card tells them to. The form of a header is that of the FITS standard 4.0, section 3.3
and 4; what a raw cube must be is what the acquisition logger writes: one primary image
of unsigned 16-bit pixels.

Bytes that the standard forbids cost nothing but themselves: every reader shows them as others,
and so does this one. What decides is whether the cards say where the pixels are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from vampd.errors import InputError
from vampd.io.beneath import Beneath, open_file
from vampd.io.pixels import UNSIGNED_ZERO

BLOCK_BYTES = 2880
CARD_LENGTH = 80
PIXEL_BYTES = 2

_MAX_BLOCKS = 64  # 2304 cards; the cameras write some 400
_MAX_SIDE_PIXELS = 1 << 16
_MAX_FRAMES = 1 << 31
_MAX_FRAME_BYTES = 1 << 25  # 4096 x 4096 pixels; a builder holds a few frames in memory
_MAX_FILE_BYTES = 1 << 42  # 4 TiB: a whole night; the largest cubes seen have 5 GB

_INTEGER = re.compile(r"[1-9]\d{0,17}")  # as everyone writes them: no sign, no leading zero
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?")
_END = b"END".ljust(8)  # readers ask for no more than the keyword
# What is printable in ASCII stays; TABs, and NULs such as C writes behind its texts, are blanks.
_SHOWN = bytes(
    byte if 0x20 <= byte <= 0x7E else ord(" ") if byte in b"\0\t" else ord("?")
    for byte in range(256)
)
# O_NONBLOCK: should a pipe have taken the file's place, opening it must not wait.


class RawHeader(Struct, frozen=True, kw_only=True):
    """What the header of a raw cube says about its pixels, and its cards as they are."""

    cards: tuple[str, ...]  #: 80 printable characters each, without END
    altered: frozenset[int]  #: the cards, by place, whose bytes the standard forbids in part
    ends_oddly: bool  #: END is followed by other bytes than blanks
    data_offset: int  #: where the pixels begin, bytes
    width: int  #: NAXIS1, pixels
    height: int  #: NAXIS2, pixels
    frames: int  #: NAXIS3; 1 where NAXIS is 2

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return PIXEL_BYTES * self.width * self.height

    @property
    def expected_size_bytes(self) -> int:
        """The whole file's size: header, pixels, and zeros up to a whole block."""
        return self.data_offset + padded(self.frame_bytes * self.frames)


def padded(size_bytes: int) -> int:
    """*size_bytes* rounded up to whole FITS blocks."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def read_header(source: int | Beneath, *, path: str | None = None) -> RawHeader:
    """The header of the raw cube *source*, a descriptor or a name; *path* is for messages.

    At most 64 blocks are read, and no pixel. The size of the file is not looked at: see
    `check_size`. InputError: this is not the header of a raw cube. OSError: it cannot be
    read.
    """
    if isinstance(source, int):
        return _read(source, path or f"descriptor {source}")
    descriptor = open_file(source)
    try:
        return _read(descriptor, path or str(source))
    finally:
        os.close(descriptor)


def check_size(header: RawHeader, size_bytes: int, *, path: str) -> None:
    """InputError: the file has not the size that its header demands."""
    if size_bytes != header.expected_size_bytes:
        msg = (
            f"{path}: {size_bytes} bytes, but its header ({header.width} x {header.height} x "
            f"{header.frames}) demands {header.expected_size_bytes}"
        )
        raise InputError(msg, path=path)


def read_cards(
    descriptor: int, path: str, *, offset: int = 0, begins: str = "SIMPLE"
) -> tuple[tuple[str, ...], int]:
    """The cards of the header at *offset* before its END, and the offset of the block after it.

    They hold printable ASCII only: a NUL or TAB is given as a blank, another byte as "?".
    InputError: there is none whose first card is *begins*, or it has no end. *path* is told.
    """
    found = _scan(descriptor, path, offset, begins)
    return tuple(card.decode("ascii") for card in found.shown), found.end


class _Scanned(NamedTuple):
    """The bytes of a header's cards before its END, as they are and as they are shown."""

    raw: list[bytes]
    shown: list[bytes]
    rest: bytes  #: of the last block, what follows the keyword END
    end: int  #: where the next block begins


def _scan(descriptor: int, path: str, offset: int, begins: str) -> _Scanned:
    raw: list[bytes] = []
    shown: list[bytes] = []
    for block_number in range(_MAX_BLOCKS):
        block = read_block(descriptor, offset + block_number * BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            msg = f"{path}: ends after {block_number} whole header blocks, without an END card"
            raise InputError(msg, path=path)
        for start in range(0, BLOCK_BYTES, CARD_LENGTH):
            card = block[start : start + CARD_LENGTH]
            shown_card = card.translate(_SHOWN)
            if shown_card.startswith(_END):
                end = offset + (block_number + 1) * BLOCK_BYTES
                return _Scanned(raw, shown, block[start + len("END") :], end)
            raw.append(card)
            shown.append(shown_card)
            if len(raw) == 1 and not shown_card.startswith(f"{begins:<8}=".encode()):
                msg = f"{path}: not a FITS file: begins with {shown_card[:30].decode()!r}"
                raise InputError(msg, path=path)
    msg = f"{path}: no END card within {_MAX_BLOCKS} header blocks"
    raise InputError(msg, path=path)


def read_block(descriptor: int, offset: int) -> bytes:
    """The block at *offset*; shorter only where the file ends."""
    block = b""
    while len(block) < BLOCK_BYTES:
        part = os.pread(descriptor, BLOCK_BYTES - len(block), offset + len(block))
        if not part:
            break
        block += part
    return block


def _read(descriptor: int, path: str) -> RawHeader:
    found = _scan(descriptor, path, 0, "SIMPLE")
    cards = tuple(card.decode("ascii") for card in found.shown)
    pairs = zip(found.raw, found.shown, strict=True)
    values = _Values(cards, path)
    values.demand("SIMPLE", "T")
    values.demand("BITPIX", str(8 * PIXEL_BYTES))
    axes = values.integer("NAXIS", 2, 3)
    values.demand_order(("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3")[: 3 + axes])
    header = RawHeader(
        cards=cards,
        altered=frozenset(place for place, (raw, shown) in enumerate(pairs) if raw != shown),
        ends_oddly=bool(found.rest.strip(b" ")),
        data_offset=found.end,
        width=values.integer("NAXIS1", 1, _MAX_SIDE_PIXELS),
        height=values.integer("NAXIS2", 1, _MAX_SIDE_PIXELS),
        frames=values.integer("NAXIS3", 1, _MAX_FRAMES) if axes == 3 else 1,
    )
    values.demand_number("BZERO", UNSIGNED_ZERO)
    values.demand_number("BSCALE", 1, default="1")
    if header.frame_bytes > _MAX_FRAME_BYTES:
        values.refuse("NAXIS2", f"a frame of at most {_MAX_FRAME_BYTES} bytes")
    if header.expected_size_bytes > _MAX_FILE_BYTES:
        values.refuse("NAXIS3", f"a cube of at most {_MAX_FILE_BYTES} bytes")
    return header


class _Values:
    """The texts of a header's values, and what is demanded of them."""

    def __init__(self, cards: tuple[str, ...], path: str) -> None:
        self.path = path
        self.keywords = [card[:8].rstrip() for card in cards]
        self.texts: dict[str, str] = {}
        for card in cards:
            if card[8:10] == "= ":  # of cards that occur twice the first one counts
                self.texts.setdefault(card[:8].rstrip(), card[10:].partition("/")[0].strip())

    def demand(self, keyword: str, expected: str) -> None:
        if self.texts.get(keyword) != expected:
            self.refuse(keyword, expected)

    def demand_order(self, expected: Sequence[str]) -> None:
        """The mandatory cards come first, in the standard's order."""
        for place, keyword in enumerate(expected):
            found = self.keywords[place] if place < len(self.keywords) else "missing"
            if found != keyword:
                msg = f"{self.path}: card {place + 1} is {found}; expected {keyword}"
                raise InputError(msg, path=self.path)

    def demand_number(self, keyword: str, expected: int, *, default: str = "") -> None:
        text = self.texts.get(keyword, default)
        exponent = re.sub("[DEd]", "e", text)
        if not (_REAL.fullmatch(text) and float(exponent) == expected):
            self.refuse(keyword, str(expected))

    def integer(self, keyword: str, least: int, most: int) -> int:
        text = self.texts.get(keyword, "")
        if not (_INTEGER.fullmatch(text) and least <= int(text) <= most):
            self.refuse(keyword, f"a whole number from {least} to {most}")
        return int(text)

    def refuse(self, keyword: str, expected: str) -> None:
        found = f"is {self.texts[keyword] or 'empty'}" if keyword in self.texts else "is missing"
        msg = f"{self.path}: {keyword} {found}; expected {expected}"
        raise InputError(msg, path=self.path)
