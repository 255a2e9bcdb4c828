"""The sums of a FITS unit: DATASUM and CHECKSUM (FITS standard 4.0, appendix J).

A sum is the ones' complement sum of a unit's bytes, taken as big-endian 32-bit words.
The CHECKSUM card holds the complement of the whole unit's sum, in sixteen letters and
digits, chosen so that the sum of the unit with that card in it is zero (all ones).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EMPTY_CHECKSUM = "0" * 16  #: what the card holds while the sum is taken

BLOCK_BYTES = 4096  #: of `BlockSums`: what memory, file systems and most disks handle as one

_WORD_BYTES = 4
_WORD_MASK = 0xFFFFFFFF
_ASCII_ZERO = 0x30
# What lies between the digits and the letters, and between the two cases.
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))


def word_sum(content: bytes | bytearray | memoryview) -> int:
    """Ones' complement sum of *content*, whose length is a multiple of four bytes."""
    words = np.frombuffer(content, dtype=">u4")
    return fold(int(words.sum(dtype=np.uint64)))


class BlockSums:
    """The sums of a stream's blocks of 4 KiB, each by itself.

    Kept, they tell whether the stream came back from a disk as it went there: a damaged word
    changes its block's sum, and a lost or misplaced block is another block. They cost a fifth of
    a SHA-256, and the stream's word sum is their sum.
    """

    def __init__(self) -> None:
        self._sums: list[NDArray[np.uint64]] = []
        self._rest = b""

    def update(self, content: bytes | memoryview) -> None:
        """Add *content*, of any length."""
        if self._rest:
            missing = BLOCK_BYTES - len(self._rest)
            self._rest += bytes(content[:missing])
            content = content[missing:]
            if len(self._rest) < BLOCK_BYTES:
                return
            self._add(self._rest)
        whole = len(content) // BLOCK_BYTES * BLOCK_BYTES
        self._add(content[:whole])
        self._rest = bytes(content[whole:])

    def finish(self) -> NDArray[np.uint64]:
        """The sums; zeros fill up the last block. Nothing can be added any more."""
        if self._rest:
            self._add(self._rest.ljust(BLOCK_BYTES, b"\0"))
        return np.concatenate(self._sums) if self._sums else np.empty(0, dtype=np.uint64)

    def _add(self, blocks: bytes | memoryview) -> None:
        words = np.frombuffer(blocks, dtype=">u4").reshape(-1, BLOCK_BYTES // _WORD_BYTES)
        self._sums.append(words.sum(axis=1, dtype=np.uint64))


def sum_of_blocks(sums: NDArray[np.uint64]) -> int:
    """The word sum of the stream whose block sums are *sums*."""
    return fold(int(sums.sum()))  # of 2^64 bytes they would overflow


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
