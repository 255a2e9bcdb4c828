from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vampd.io import stack
from vampd.io.pixels import STORED
from vampd.io.stack import Stack


def frames(count: int, shape: tuple[int, int] = (7, 11)) -> NDArray[np.int16]:
    random = np.random.default_rng(1)
    drawn = random.integers(-32_768, 32_768, (count, *shape)).astype(STORED)
    drawn[0, 0, 0], drawn[-1, 0, 0] = -32_768, 32_767
    return drawn


@pytest.mark.parametrize("add", [stack._add, stack.add])
def test_mean_and_highest_are_those_of_the_frames(
    add: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "add", add)
    drawn = frames(300)
    made = Stack(shape=(7, 11))

    for frame in drawn:
        made.add(frame)

    pixels = drawn.astype(np.float64) + 32_768
    assert np.allclose(made.mean(32_768.0), pixels.mean(axis=0), rtol=1e-6)
    assert np.array_equal(made.highest(32_768.0), pixels.max(axis=0).astype(np.float32))


def test_the_sums_were_compiled() -> None:
    assert stack.add is not stack._add


def test_the_brightest_frames_do_not_overflow() -> None:
    made = Stack(shape=(1, 2))
    bright = np.array([[32_767, -32_768]]).astype(STORED)

    for _ in range(stack.MOST_FRAMES + 3):
        made.add(bright)

    assert made.frames == stack.MOST_FRAMES
    assert made.mean(32_768.0).tolist() == [[65_535, 0]]


@pytest.mark.parametrize("shape", [(7, 10), (7, 12), (6, 11)])
def test_a_frame_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    made = Stack(shape=(7, 11))

    with pytest.raises(ValueError, match=r"bytes of pixels|broadcast"):
        made.add(frames(1, shape)[0])
