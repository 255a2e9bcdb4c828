from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vampd.io.checksum import EMPTY_CHECKSUM, encode_checksum, fold, word_sum

ALL_ONES = 0xFFFFFFFF


@given(st.binary(min_size=4, max_size=400).map(lambda raw: raw[: len(raw) // 4 * 4]))
def test_a_sum_is_that_of_big_endian_words_with_carries_brought_back(content: bytes) -> None:
    expected = 0
    for start in range(0, len(content), 4):
        expected += int.from_bytes(content[start : start + 4], "big")
        expected = (expected & ALL_ONES) + (expected >> 32)

    assert word_sum(content) in {expected, ALL_ONES if expected == 0 else expected}


def test_a_sum_does_not_overflow() -> None:
    assert word_sum(b"\xff" * (1 << 20)) == ALL_ONES


@given(st.integers(0, ALL_ONES))
def test_a_unit_with_its_checksum_in_place_adds_up_to_all_ones(unit_sum: int) -> None:
    text = encode_checksum(unit_sum)
    # In a card the text begins in column 12: the last character falls into the first word.
    placed = (text[1:] + text[0]).encode()
    zeros = EMPTY_CHECKSUM.encode()

    change = sum(np.frombuffer(placed, ">u4").tolist()) - sum(np.frombuffer(zeros, ">u4").tolist())

    assert text.isalnum()
    assert text.isascii()
    assert fold(unit_sum + change) in {0, ALL_ONES}
