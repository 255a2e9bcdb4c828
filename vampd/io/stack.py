"""Frames added up as they pass: what a quick look is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: So many frames of the highest pixels fit into the sums.
MOST_FRAMES = 2**31 // 2**15 - 1


def _add(pixels: NDArray[np.int16], sums: NDArray[np.int32], highest: NDArray[np.int16]) -> None:
    """What the compiled one does, four times slower."""
    native = pixels.astype(np.int16)
    np.add(sums, native, out=sums)
    np.maximum(highest, native, out=highest)


try:
    from vampd.io import _stack

    add = _stack.add
except ImportError:
    add = _add


class Stack:
    """The sum and the highest values of frames of one shape."""

    def __init__(self, *, shape: tuple[int, int]) -> None:
        self.shape = shape  #: rows, columns
        self.frames = 0
        self._sums = np.zeros(shape, np.int32)
        self._highest = np.full(shape, np.iinfo(np.int16).min, np.int16)

    def add(self, pixels: NDArray[np.int16]) -> None:
        """Add a frame, (height, width) pixels as stored. Those after `MOST_FRAMES` are left out."""
        if self.frames < MOST_FRAMES:
            add(pixels, self._sums, self._highest)
            self.frames += 1

    def mean(self, zero: float) -> NDArray[np.float32]:
        """The mean frame; *zero* is what a stored 0 means (BZERO). ZeroDivisionError: no frame."""
        scale = 1 / self.frames
        return (self._sums * scale + zero).astype(np.float32)

    def highest(self, zero: float) -> NDArray[np.float32]:
        """The highest value that each pixel had; *zero* as in `mean`."""
        return (self._highest + np.float32(zero)).astype(np.float32)
