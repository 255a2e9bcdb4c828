"""The coder against made-up frames and damaged tiles; `python -m tests.campaigns.rice` has more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.campaigns.rice import BUILDS, Build, disagreement, frames, trial_sum
from vampd.io import _rice, rice
from vampd.io.pixels import STORED

# Of seed 7 and 2000 tiles, on every machine.
_SUM = "29efc170808b9a48"


def test_both_coders_agree_on_thousands_of_frames() -> None:
    assert [
        text for frame in frames(seed=20251106, count=2000) if (text := disagreement(frame))
    ] == []


def test_damage_is_an_error_or_other_pixels_and_never_more() -> None:
    random = np.random.default_rng(20251106)
    refused = 0
    for frame in frames(seed=5, count=300):
        coded, lengths = encoded(frame)
        for _ in range(10):
            damaged = bytearray(coded[: int(random.integers(0, len(coded) + 1))])
            for place in random.integers(0, max(1, len(damaged)), 3).tolist():
                damaged[place : place + 1] = random.bytes(len(damaged[place : place + 1]))
            refused += is_refused(bytes(damaged), lengths, frame)

    assert refused > 2000


def is_refused(damaged: bytes, lengths: NDArray[np.int64], frame: NDArray[np.int16]) -> bool:
    canary = np.full(frame.size + 64, 0x5A5A, dtype=STORED)
    pixels = canary[: frame.size].reshape(frame.shape)
    was_refused = False
    try:
        _rice.decode(memoryview(damaged), lengths, frame.shape[1], pixels)
    except ValueError:
        was_refused = True
    assert (canary[frame.size :] == 0x5A5A).all(), "written behind its place"
    return was_refused


def encoded(frame: NDArray[np.int16]) -> tuple[bytes, NDArray[np.int64]]:
    tiles, tile_pixels = frame.shape
    lengths = np.zeros(tiles, dtype=np.int64)
    coded = memoryview(bytearray(rice.room_bytes(tile_pixels, tiles)))
    return bytes(coded[: _rice.encode(frame, tile_pixels, coded, lengths)]), lengths


@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        ([0, 99], "tile 0 of 2"),
        ([-1, 99], "tile 0 of 2"),
        ([2**62, 2**62], "tile 0 of 2"),
        ([3, 2**63 - 1], "tile 1 of 2"),
    ],
)
def test_lengths_that_lead_out_of_the_bytes_are_refused(lengths: list[int], says: str) -> None:
    pixels = np.zeros((2, 5), dtype=STORED)
    coded = memoryview(bytes(3) + bytes(9))

    with pytest.raises(ValueError, match=says):
        _rice.decode(coded, np.array(lengths), 5, pixels)


def test_buffers_that_do_not_fit_each_other_are_refused() -> None:
    frame, lengths = np.zeros((4, 8), dtype=STORED), np.zeros(4, dtype=np.int64)
    room = memoryview(bytearray(rice.room_bytes(8, 4)))

    with pytest.raises(ValueError, match="64 bytes are no tiles of 7 16-bit pixels"):
        _rice.encode(frame, 7, room, lengths)
    with pytest.raises(ValueError, match="64 bytes are no tiles of 0 16-bit pixels"):
        _rice.encode(frame, 0, room, lengths)
    with pytest.raises(ValueError, match="4 tiles, with 24 bytes for their lengths"):
        _rice.encode(frame, 8, room, lengths[:3])
    with pytest.raises(ValueError, match="20 bytes are too few for 4 tiles of 8 pixels"):
        _rice.encode(frame, 8, room[:20], lengths)
    with pytest.raises(ValueError, match="not C-contiguous"):
        _rice.encode(frame[:, ::2], 4, room, lengths)
    with pytest.raises(TypeError, match="read-write"):
        _rice.encode(frame, 8, memoryview(bytes(room)), lengths)


@pytest.mark.parametrize("build", BUILDS, ids=[build.name for build in BUILDS])
def test_the_source_does_the_same_on_every_machine(build: Build, tmp_path: Path) -> None:
    if not build.is_here:
        pytest.skip(f"not here: {build.command.split()[0]} {build.runner}")

    assert trial_sum(build, tmp_path, seed=7, tiles=2000) == _SUM


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_hundred_thousand_tiles_leave_nothing_for_the_sanitizers(tmp_path: Path) -> None:
    sums = {
        trial_sum(build, tmp_path, seed=8, tiles=100_000) for build in BUILDS[:2] if build.is_here
    }

    assert len(sums) == 1
