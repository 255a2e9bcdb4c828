from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vampd.io import rice

CANARY = 0xA5


def encoded(tile: np.ndarray) -> tuple[memoryview, bytearray]:
    buffer = bytearray([CANARY]) * (rice.encoded_bound(tile.size) + 64)
    length = rice.encode(tile, memoryview(buffer)[: rice.encoded_bound(tile.size)])
    return memoryview(buffer)[:length], buffer


def assert_comes_back(tile: np.ndarray) -> None:
    coded, buffer = encoded(tile)
    again = np.full_like(tile, -1)
    rice.decode(coded, again)

    assert np.array_equal(tile, again)
    assert len(coded) <= rice.longest_bytes(tile.size)
    assert set(buffer[-64:]) == {CANARY}, "written behind its place"


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70)))
def test_any_tile_comes_back_and_fits(tile: np.ndarray) -> None:
    assert_comes_back(tile)


@given(st.integers(1, 16), st.integers(0, 2**32 - 1))
def test_noise_of_any_width_comes_back_and_fits(bits: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    tile = (random.integers(0, 2**bits, (37, 61)) - 2**15).astype(np.int16)

    assert_comes_back(tile)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 536 * 536])
def test_extreme_pixels_come_back_and_grow_by_less_than_a_hundredth(size: int) -> None:
    low, high = -(2**15), 2**15 - 1
    alternating = np.where(np.arange(size) % 2, low, high).astype(np.int16).reshape(1, size)
    noise = np.random.default_rng(size).integers(low, high + 1, (1, size)).astype(np.int16)
    noise[0, 0], noise[0, -1] = low, high

    for tile in (alternating, noise, np.full_like(noise, low), np.full_like(noise, high)):
        assert_comes_back(tile)
    assert len(encoded(noise)[0]) <= 2 * size * 1.0081 + 3
