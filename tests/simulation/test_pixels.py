"""Stamps tell frames apart, and painting is quick."""

from __future__ import annotations

import numpy as np
import pytest

from vampd.simulation.pixels import FramePainter, read_stamps


def test_stamps_read_back_beyond_sixteen_bits() -> None:
    triggers = np.array([0, 1, 65_535, 65_536, 1_000_003])

    (frames,) = FramePainter(32, 24, seed=1).blocks(2, 300, triggers)

    stamps = read_stamps(frames)
    assert stamps.triggers.tolist() == triggers.tolist()
    assert set(stamps.cameras) == {2}
    assert set(stamps.scenes) == {300}


@pytest.mark.parametrize("pixel", range(6))
def test_one_wrong_pixel_of_a_stamp_is_noticed(pixel: int) -> None:
    (frames,) = FramePainter(8, 2, seed=1).blocks(1, 1, np.arange(4))
    frames[2, 0, pixel] ^= 4

    with pytest.raises(ValueError, match="frame 2 has no valid stamp"):
        read_stamps(frames)


def test_frames_differ_beyond_their_stamps_and_hold_a_star() -> None:
    frames = np.concatenate(list(FramePainter(32, 24, seed=1).blocks(1, 1, np.arange(500))))

    others = {frame[1:].tobytes() for frame in frames}
    assert len(others) == 500
    mean = frames[:, 1:].mean(axis=0)
    assert np.unravel_index(mean.argmax(), mean.shape) == (11, 16)
    assert frames[:, 1:4].std() == pytest.approx(5.9, abs=0.5)


def test_big_frames_come_in_blocks_of_a_few_mebibytes() -> None:
    blocks = list(FramePainter(536, 536, seed=1).blocks(1, 1, np.arange(20)))

    assert sum(map(len, blocks)) == 20
    assert max(block.nbytes for block in blocks) < 8 << 20
    assert read_stamps(np.concatenate(blocks)).triggers.tolist() == list(range(20))
