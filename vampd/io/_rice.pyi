# The compiled coder (csrc/module.c); it is missing where nothing could be compiled.

import numpy as np
from numpy.typing import NDArray

def encode(
    pixels: NDArray[np.int16], tile_pixels: int, coded: memoryview, lengths: NDArray[np.int64], /
) -> int: ...
def decode(
    coded: memoryview, lengths: NDArray[np.int64], tile_pixels: int, pixels: NDArray[np.int16], /
) -> None: ...
def matches(
    coded: memoryview, lengths: NDArray[np.int64], tile_pixels: int, pixels: NDArray[np.int16], /
) -> bool: ...
