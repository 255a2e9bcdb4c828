"""Headers of FITS files that others wrote: every unit's cards, and where the file must end.

Bounded, and without a library: a file that was cut, or filled with zeros by a power cut, costs
one message. The form is that of the FITS standard 4.0, sections 3 and 4.
"""

from __future__ import annotations

import os
import re
from typing import NoReturn

from msgspec import Struct

from vampd.errors import InputError
from vampd.io.beneath import Beneath, open_file
from vampd.io.header import BLOCK_BYTES, CARD_LENGTH, padded, read_block

_MAX_BLOCKS = 64
_MAX_UNITS = 4
_MAX_AXES = 999
_END = b"END".ljust(CARD_LENGTH)
_INTEGER = re.compile(r"-?[0-9]{1,18}")


class Unit(Struct, frozen=True, kw_only=True):
    """One unit of a FITS file."""

    cards: tuple[str, ...]  #: 80 characters each, without END
    data_offset: int
    data_bytes: int  #: with the zeros up to a whole block

    @property
    def end(self) -> int:
        """Where the next unit begins, or the file ends."""
        return self.data_offset + self.data_bytes


def read_units(path: Beneath) -> tuple[Unit, ...]:
    """The units of the FITS file *path*, whose size is just what their headers demand.

    InputError: it is cut, too long, or no FITS file. OSError: it cannot be read.
    """
    descriptor = open_file(path)
    try:
        size_bytes = os.fstat(descriptor).st_size
        units: list[Unit] = []
        end = 0
        while end < size_bytes or not units:
            if len(units) == _MAX_UNITS:
                _refuse(path, f"more than {_MAX_UNITS} units")
            units.append(_read_unit(descriptor, end, path))
            end = units[-1].end
    finally:
        os.close(descriptor)
    if end != size_bytes:
        _refuse(path, f"{size_bytes} bytes, but its headers demand {end}")
    return tuple(units)


def _read_unit(descriptor: int, offset: int, path: Beneath) -> Unit:
    cards, data_offset = _cards(descriptor, offset, path)
    return Unit(
        cards=cards,
        data_offset=data_offset,
        data_bytes=padded(_data_bytes(_texts(cards), path)),
    )


def _cards(descriptor: int, offset: int, path: Beneath) -> tuple[tuple[str, ...], int]:
    """The cards before END, and the offset of the block that follows them."""
    cards: list[str] = []
    for block_number in range(_MAX_BLOCKS):
        at = offset + block_number * BLOCK_BYTES
        block = read_block(descriptor, at)
        if len(block) < BLOCK_BYTES:
            _refuse(path, f"ends within a header, after {at + len(block)} bytes")
        if block_number == 0 and not block.startswith((b"SIMPLE  =", b"XTENSION=")):
            _refuse(path, f"no FITS unit begins at byte {offset}")
        for start in range(0, BLOCK_BYTES, CARD_LENGTH):
            card = block[start : start + CARD_LENGTH]
            if card == _END:
                return tuple(cards), at + BLOCK_BYTES
            cards.append(card.decode("latin-1"))
    return _refuse(path, f"no END card within {_MAX_BLOCKS} header blocks")


def _texts(cards: tuple[str, ...]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for card in cards:
        if card[8:10] == "= ":
            texts.setdefault(card[:8].rstrip(), card[10:].partition("/")[0].strip())
    return texts


def _data_bytes(texts: dict[str, str], path: Beneath) -> int:
    """Standard 4.0, equation 2: |BITPIX| / 8 * GCOUNT * (PCOUNT + NAXIS1 * ... * NAXISm)."""
    axes = _whole(texts, "NAXIS", path)
    if not 0 <= axes <= _MAX_AXES:
        _refuse(path, f"NAXIS is {axes}")
    elements = 1 if axes else 0
    for axis in range(1, axes + 1):
        elements *= _whole(texts, f"NAXIS{axis}", path)
    parameters = _whole(texts, "PCOUNT", path, default="0")
    groups = _whole(texts, "GCOUNT", path, default="1")
    size_bytes = abs(_whole(texts, "BITPIX", path)) // 8 * groups * (parameters + elements)
    if size_bytes < 0:
        _refuse(path, f"its header demands {size_bytes} bytes of data")
    return size_bytes


def _whole(texts: dict[str, str], keyword: str, path: Beneath, *, default: str = "") -> int:
    text = texts.get(keyword, default)
    if not _INTEGER.fullmatch(text):
        _refuse(path, f"{keyword} is {text!r}, and must be a whole number")
    return int(text)


def _refuse(path: Beneath, why: str) -> NoReturn:
    msg = f"{path}: {why}"
    raise InputError(msg, path=str(path))
