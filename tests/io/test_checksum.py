from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vampd.io.checksum import (
    EMPTY_CHECKSUM,
    BlockSums,
    encode_checksum,
    fold,
    sum_of_blocks,
    word_sum,
)

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


@given(st.lists(st.binary(max_size=9000), max_size=5))
def test_block_sums_do_not_depend_on_how_the_stream_was_cut(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    in_pieces = BlockSums()
    for piece in pieces:
        in_pieces.update(piece)

    found = in_pieces.finish()

    assert found.tolist() == block_sums(content).tolist()
    assert len(found) == -(-len(content) // 4096)
    assert sum_of_blocks(found) == word_sum(content + bytes(-len(content) % 4))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[4096:8192] + content[:4096] + content[8192:],  # misplaced
        lambda content: content[:4096] + bytes(4096) + content[8192:],  # lost
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    ],
)
def test_a_lost_misplaced_or_damaged_block_has_another_sum(
    damage: Callable[[bytes], bytes],
) -> None:
    content = np.random.default_rng(1).bytes(20_000)

    assert block_sums(damage(content)).tolist() != block_sums(content).tolist()


def block_sums(content: bytes) -> NDArray[np.uint64]:
    sums = BlockSums()
    sums.update(content)
    return sums.finish()
