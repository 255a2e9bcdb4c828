"""Both coders: the same bytes, the same pixels, and nothing outside of the buffers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vampd.io import _rice, rice, rice_cfitsio
from vampd.io.pixels import STORED
from vampd.io.rice import CFITSIO, Coder

CANARY = 0xA5
CODERS = pytest.mark.parametrize("coder", [_rice, rice_cfitsio], ids=["own", "cfitsio"])


def encoded(coder: Coder, frame: NDArray[np.int16]) -> tuple[bytes, NDArray[np.int64]]:
    """The tiles of a frame, one a row, and their lengths."""
    tiles, tile_pixels = frame.shape
    lengths = np.zeros(tiles, dtype=np.int64)
    room = rice.room_bytes(tile_pixels, tiles)
    buffer = bytearray([CANARY]) * (room + 64)
    used = coder.encode(frame, tile_pixels, memoryview(buffer)[:room], lengths)
    assert set(buffer[room:]) == {CANARY}, "written behind its place"
    assert used == lengths.sum()
    assert lengths.max() <= rice.longest_bytes(tile_pixels)
    return bytes(buffer[:used]), lengths


def decoded(
    coder: Coder, coded: bytes, lengths: NDArray[np.int64], tile_pixels: int
) -> NDArray[np.int16]:
    buffer = np.full((len(lengths) * tile_pixels + 32), -21846, dtype=STORED)
    frame = buffer[:-32].reshape(len(lengths), tile_pixels)
    coder.decode(memoryview(coded), lengths, tile_pixels, frame)
    assert (buffer[-32:] == -21846).all(), "written behind its place"
    return frame


def assert_coders_agree(frame: NDArray[np.int16]) -> None:
    ours, our_lengths = encoded(_rice, frame)
    theirs, their_lengths = encoded(rice_cfitsio, frame)

    assert ours == theirs
    assert our_lengths.tolist() == their_lengths.tolist()
    for coder in (_rice, rice_cfitsio):
        assert np.array_equal(decoded(coder, ours, our_lengths, frame.shape[1]), frame)
        assert coder.matches(memoryview(ours), our_lengths, frame.shape[1], frame)


def stored(values: NDArray[np.integer]) -> NDArray[np.int16]:
    return (values & 0xFFFF).astype(np.uint16).view(np.int16).astype(STORED)


@settings(deadline=None)  # the machine may be busy
@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70)))
def test_coders_agree_on_any_frame(values: NDArray[np.int16]) -> None:
    assert_coders_agree(values.astype(STORED))


@settings(deadline=None)
@given(st.integers(1, 16), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_coders_agree_on_noise_of_any_width(bits: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)

    assert_coders_agree(stored(random.integers(0, 2**bits, (7, width)) - 2**15))


@pytest.mark.parametrize("size", [1, 31, 32, 33, 536 * 536])
def test_extreme_pixels_come_back_and_grow_by_less_than_a_hundredth(size: int) -> None:
    alternating = np.where(np.arange(size) % 2, 0, 0xFFFF).reshape(1, size)
    noise = np.random.default_rng(size).integers(0, 0x10000, (1, size))
    noise[0, 0], noise[0, -1] = 0, 0xFFFF

    for values in (alternating, noise, 0 * noise, 0 * noise + 0xFFFF):
        assert_coders_agree(stored(values))
    assert len(encoded(_rice, stored(noise))[0]) <= 2 * size * 1.0081 + 3


class _Wrong:
    """Our own coder, with one fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def encode(
        self,
        pixels: NDArray[np.int16],
        tile_pixels: int,
        coded: memoryview,
        lengths: NDArray[np.int64],
        /,
    ) -> int:
        if self._fault == "refuses":
            msg = "no room"
            raise ValueError(msg)
        used = _rice.encode(pixels, tile_pixels, coded, lengths)
        if self._fault == "bytes":
            coded[used - 1] ^= 1
        return used

    def decode(
        self,
        coded: memoryview,
        lengths: NDArray[np.int64],
        tile_pixels: int,
        pixels: NDArray[np.int16],
        /,
    ) -> None:
        _rice.decode(coded, lengths, tile_pixels, pixels)
        if self._fault == "pixels":
            pixels[-1, -1] ^= 1

    def matches(
        self,
        coded: memoryview,
        lengths: NDArray[np.int64],
        tile_pixels: int,
        pixels: NDArray[np.int16],
        /,
    ) -> bool:
        return self._fault == "blind" or _rice.matches(coded, lengths, tile_pixels, pixels)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("refuses", "which refuses a frame: no room (noise of 0 bits)"),
        ("bytes", "which makes other bytes than CFITSIO's coder (noise of 0 bits)"),
        ("pixels", "which decodes to other pixels (noise of 0 bits)"),
        ("blind", "which does not see that a pixel differs (noise of 0 bits)"),
    ],
)
def test_a_coder_that_errs_is_not_used_and_told(fault: str, told: str) -> None:
    choice = rice.choose(_Wrong(fault))

    assert choice.coder is CFITSIO
    assert choice.is_wrong
    assert told in choice.said


def test_our_own_coder_is_used_where_it_is_right() -> None:
    assert rice.chosen().coder is _rice
    assert not rice.choose(_rice).trouble


def test_the_trial_frames_want_every_kind_of_block() -> None:
    kinds = set()
    for _, frame in rice._trial_frames():
        coded, lengths = encoded(_rice, frame)
        starts = np.cumsum(lengths) - lengths
        kinds |= {coded[start + 2] >> 4 for start in starts.tolist()}

    assert kinds == set(range(16))
