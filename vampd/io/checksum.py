"""The sums of a FITS unit: DATASUM and CHECKSUM (FITS standard 4.0, appendix J).

A sum is the ones' complement sum of a unit's bytes, taken as big-endian 32-bit words.
The CHECKSUM card holds the complement of the whole unit's sum, in sixteen letters and
digits, chosen so that the sum of the unit with that card in it is zero (all ones).
"""

from __future__ import annotations

import numpy as np

EMPTY_CHECKSUM = "0" * 16  #: what the card holds while the sum is taken

_WORD_BYTES = 4
_WORD_MASK = 0xFFFFFFFF
_ASCII_ZERO = 0x30
# What lies between the digits and the letters, and between the two cases.
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))


def word_sum(content: bytes | bytearray | memoryview) -> int:
    """Ones' complement sum of *content*, whose length is a multiple of four bytes."""
    words = np.frombuffer(content, dtype=">u4")
    return fold(int(words.sum(dtype=np.uint64)))


def fold(total: int) -> int:
    """Bring carries back in from the left until 32 bits remain."""
    while total > _WORD_MASK:
        total = (total & _WORD_MASK) + (total >> 32)
    return total


def encode_checksum(unit_sum: int) -> str:
    """The CHECKSUM text for a unit whose sum, with `EMPTY_CHECKSUM` in it, is *unit_sum*."""
    complement = ~unit_sum & _WORD_MASK
    letters = bytearray(16)
    for index, byte in enumerate(complement.to_bytes(_WORD_BYTES, "big")):
        for place, letter in enumerate(_four_letters(byte)):
            letters[4 * place + index] = letter
    return (letters[-1:] + letters[:-1]).decode("ascii")  # a card's value begins off a word


def _four_letters(byte: int) -> list[int]:
    """Four letters or digits whose offsets from '0' add up to *byte*."""
    quarter, rest = divmod(byte, 4)
    letters = [_ASCII_ZERO + quarter + rest] + 3 * [_ASCII_ZERO + quarter]
    while any(letter in _PUNCTUATION for letter in letters):
        for first in (0, 2):
            if letters[first] in _PUNCTUATION or letters[first + 1] in _PUNCTUATION:
                letters[first] += 1
                letters[first + 1] -= 1
    return letters
