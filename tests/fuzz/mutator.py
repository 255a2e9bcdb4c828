"""Bytes a little other than good ones: for where no fuzzer is installed that sees the code's ways.

It knows nothing of coverage, and finds what a few changes at random places find.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_MOST_CHANGES = 6
_MOST_BYTES = 1 << 16
#: What readers of numbers, texts and lines are known to stumble over.
_WORDS = (
    b"\0", b"\n", b"\r\n", b"\t", b"\xff", b"\xc3\x28", b"'", b'"', b"\\", b"/", b"../", b"{", b"}",
    b"[" * 200, b"nan", b"inf", b"-1", b"0", b"9223372036854775808", b"1e999999999", b"1_0", b"0x1",
    b"true", b"null", b"NaN", b"\\ud800", b"VMPA99999999", b"20251106", b"A" * 5000,
)  # fmt: skip


def changed(chance: random.Random, known: Sequence[bytes]) -> bytes:
    """One of *known*, changed at a few places."""
    content = bytearray(chance.choice(known))
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        _change(chance, content, known)
    return bytes(content[:_MOST_BYTES])


def _change(chance: random.Random, content: bytearray, known: Sequence[bytes]) -> None:
    here = chance.randint(0, len(content))
    there = min(len(content), here + chance.choice((1, 1, 2, 8, 80)))
    match chance.randrange(6):
        case 0 if content:
            content[here % len(content)] ^= 1 << chance.randrange(8)
        case 1:
            del content[here:there]
        case 2:
            content[here:here] = content[here:there] * chance.choice((1, 2, 30))
        case 3:
            content[here:there] = chance.choice(_WORDS)
        case 4:
            other = chance.choice(known)
            begin = chance.randint(0, len(other))
            content[here:there] = other[begin : begin + chance.choice((1, 8, 80))]
        case _:
            content[here:here] = chance.choice(_WORDS)
