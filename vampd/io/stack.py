"""Frames added up as they pass: what a quick look is made of.

Frames are read into the stack's own rows and added four at a time: the sums are three times as
large as a frame, and to fetch and store them once a frame was most of the cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vampd.io.pixels import STORED

#: So many frames of the highest pixels fit into the sums.
MOST_FRAMES = 2**31 // 2**15 - 1

_ROWS = 4


def _add(pixels: NDArray[np.int16], sums: NDArray[np.int32], highest: NDArray[np.int16]) -> None:
    """What the compiled one does, several times slower."""
    for frame in pixels.astype(np.int16):
        np.add(sums, frame, out=sums)
        np.maximum(highest, frame, out=highest)


try:
    from vampd.io import _stack

    add = _stack.add_frames
except (ImportError, AttributeError):  # not compiled, or of an older checkout
    add = _add


class Stack:
    """The sum and the highest values of frames of one shape, (height, width) pixels as stored."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.frames = 0
        self._sums = np.zeros(shape, np.int32)
        self._highest = np.full(shape, np.iinfo(np.int16).min, np.int16)
        self._rows = np.empty((_ROWS, *shape), STORED)
        self._waiting = 0  #: rows whose frames are not in the sums yet

    @property
    def row(self) -> NDArray[np.int16]:
        """Where the next frame is to be put, before `take`."""
        found: NDArray[np.int16] = self._rows[self._waiting]
        return found

    def take(self) -> None:
        """Add the frame that lies in `row`. Those after `MOST_FRAMES` are left out."""
        if self.frames < MOST_FRAMES:
            self.frames += 1
            self._waiting += 1
            if self._waiting == _ROWS:
                self._add_up()

    def mean(self, zero: float) -> NDArray[np.float32]:
        """The mean frame; *zero* is what a stored 0 means (BZERO). ZeroDivisionError: no frame."""
        self._add_up()
        scale = 1 / self.frames
        return (self._sums * scale + zero).astype(np.float32)

    def highest(self, zero: float) -> NDArray[np.float32]:
        """The highest value that each pixel had; *zero* as in `mean`."""
        self._add_up()
        return (self._highest + np.float32(zero)).astype(np.float32)

    def _add_up(self) -> None:
        add(self._rows[: self._waiting], self._sums, self._highest)
        self._waiting = 0
