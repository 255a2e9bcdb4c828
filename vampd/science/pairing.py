"""Match the frames of the two cameras that belong to the same trigger pulse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pair_frames(
    t1_us: NDArray[np.int64], t2_us: NDArray[np.int64], *, tolerance_us: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the frames of both cameras that belong together, one to one, in order."""
    raise NotImplementedError
