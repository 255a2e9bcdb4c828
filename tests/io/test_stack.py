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


def put(made: Stack, frame: NDArray[np.int16]) -> None:
    made.row[:] = frame
    made.take()


@pytest.mark.parametrize("count", [1, 4, 299, 303])
@pytest.mark.parametrize("add", [stack._add, stack.add])
def test_mean_and_highest_are_those_of_the_frames(
    add: object, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "add", add)
    drawn = frames(count)
    made = Stack((7, 11))

    for frame in drawn:
        put(made, frame)

    pixels = drawn.astype(np.float64) + 32_768
    assert np.allclose(made.mean(32_768.0), pixels.mean(axis=0), rtol=1e-6)
    assert np.array_equal(made.highest(32_768.0), pixels.max(axis=0).astype(np.float32))


def test_the_sums_were_compiled() -> None:
    assert stack.add is not stack._add


def test_the_brightest_frames_do_not_overflow() -> None:
    made = Stack((1, 2))
    bright = np.array([[32_767, -32_768]]).astype(STORED)

    for _ in range(stack.MOST_FRAMES + 3):
        put(made, bright)

    assert made.frames == stack.MOST_FRAMES
    assert made.mean(32_768.0).tolist() == [[65_535, 0]]


@pytest.mark.parametrize("shape", [(7, 10), (7, 12), (6, 11), (0, 0)])
def test_sums_of_another_shape_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"bytes of pixels|broadcast"):
        stack.add(frames(2), np.zeros(shape, np.int32), np.zeros(shape, np.int16))


def test_more_frames_can_be_taken_after_a_look() -> None:
    drawn = frames(10)
    made = Stack((7, 11))

    means = []
    for frame in drawn:
        put(made, frame)
        means.append(made.mean(0.0))

    for count, mean in enumerate(means, start=1):
        assert np.allclose(mean, drawn[:count].astype(float).mean(axis=0), atol=0.01)
