"""Frames with a star, noise, and six pixels that say which frame it is.

The stamp is 0x5A17, camera, scene, trigger number high and low 16 bits, and the
exclusive or of these five, in the first six pixels of the first row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

STAMP_MARK = 0x5A17
STAMP_PIXELS = 6

_BIAS = 209.5
_READ_NOISE = 5.9
_STAR_PEAK = 3_000.0
_STAR_WIDTH = 2.3  #: standard deviation, in 24ths of the shorter side
_BLOCK_BYTES = 8 << 20
#: Random numbers drawn once; each frame begins at its own place among them.
_POOL_SPARE = 1 << 18


class Stamps(Struct, frozen=True, kw_only=True, eq=False):
    """Who each frame says it is; arrays (frames,) of int64."""

    cameras: NDArray[np.int64]
    scenes: NDArray[np.int64]
    triggers: NDArray[np.int64]


def stamp_rows(camera: int, scene: int, triggers: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Stamps of the frames *triggers*: (frames, 6)."""
    rows = np.empty((len(triggers), STAMP_PIXELS), dtype=np.uint16)
    rows[:, 0], rows[:, 1], rows[:, 2] = STAMP_MARK, camera, scene
    rows[:, 3] = triggers >> 16
    rows[:, 4] = triggers & 0xFFFF
    rows[:, 5] = np.bitwise_xor.reduce(rows[:, :5], axis=1)
    return rows


def read_stamps(frames: NDArray[np.uint16]) -> Stamps:
    """Who the *frames* are: (frames, height, width), or one frame (height, width).

    Raises ValueError, naming the first, when a stamp contradicts itself.
    """
    stack = frames[np.newaxis] if frames.ndim == 2 else frames
    rows = np.ascontiguousarray(stack[:, 0, :STAMP_PIXELS]).astype(np.int64)
    good = (rows[:, 0] == STAMP_MARK) & (np.bitwise_xor.reduce(rows[:, :5], axis=1) == rows[:, 5])
    if not good.all():
        bad = int(np.argmin(good))
        msg = f"frame {bad} has no valid stamp: {rows[bad].tolist()}"
        raise ValueError(msg)
    return Stamps(cameras=rows[:, 1], scenes=rows[:, 2], triggers=rows[:, 3] << 16 | rows[:, 4])


class FramePainter:
    """Paints frames of one size. The same seed paints the same frames."""

    def __init__(self, width: int, height: int, *, seed: int) -> None:
        self.width, self.height = width, height
        random = np.random.default_rng([seed, width, height])
        self._pool = random.standard_normal(width * height + _POOL_SPARE, dtype=np.float32)
        star = _star(width, height)
        self._mean = (_BIAS + star).astype(np.float32).ravel()
        self._sigma = np.sqrt(_READ_NOISE**2 + star).astype(np.float32).ravel()

    def blocks(
        self, camera: int, scene: int, triggers: NDArray[np.int64]
    ) -> Iterator[NDArray[np.uint16]]:
        """The frames in blocks of a few MiB: (frames, height, width)."""
        step = max(1, _BLOCK_BYTES // (8 * self.width * self.height))
        for first in range(0, len(triggers), step):
            yield self._paint(camera, scene, triggers[first : first + step])

    def _paint(self, camera: int, scene: int, triggers: NDArray[np.int64]) -> NDArray[np.uint16]:
        # Multiplying by an odd number spreads neighbours over the whole pool.
        places = (triggers * 40_503 + scene * 9_973 + camera * 77_777) % _POOL_SPARE
        counts = sliding_window_view(self._pool, self.width * self.height)[places]
        counts *= self._sigma
        counts += self._mean
        np.rint(counts, out=counts).clip(0, 65_535, out=counts)
        frames = counts.astype(np.uint16)
        frames[:, :STAMP_PIXELS] = stamp_rows(camera, scene, triggers)
        return frames.reshape(len(triggers), self.height, self.width)


def _star(width: int, height: int) -> NDArray[np.float64]:
    """A star in the middle of the frame, in counts above the bias."""
    sigma = _STAR_WIDTH * min(width, height) / 24
    rows = np.exp(-0.5 * ((np.arange(height) - height // 2) / sigma) ** 2)
    columns = np.exp(-0.5 * ((np.arange(width) - width // 2) / sigma) ** 2)
    star: NDArray[np.float64] = _STAR_PEAK * np.outer(rows, columns)
    return star
