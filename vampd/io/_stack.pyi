# The compiled sums (csrc/stack.c); it is missing where nothing could be compiled.

import numpy as np
from numpy.typing import NDArray

def add_frames(
    pixels: NDArray[np.int16], sums: NDArray[np.int32], highest: NDArray[np.int16], /
) -> None: ...
