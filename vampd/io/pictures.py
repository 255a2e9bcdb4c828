"""Pictures of frames, as PNG: for eyes, in which pixels are no numbers any more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GREYS = 255
# As libpng and zlib call them: no filter, runs only. Frames are noise: nothing makes them smaller.
_QUICKLY = {"level": 1, "filter": 8, "strategy": 3}
_REACH_PERCENT = 99.5  # of the pixels of a difference lie within its scale


def shades(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """*image*, (height, width), as shades from 0 to 1: zscale to the brightest, then asinh."""
    from astropy.visualization import AsinhStretch, ZScaleInterval

    low, _ = ZScaleInterval().get_limits(image)
    high = max(float(image.max()), low + 1)
    stretched = AsinhStretch(0.05)(np.clip((image - low) / (high - low), 0, 1))
    return np.asarray(stretched, np.float32)


def shades_of_difference(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same of a difference: a half is 0, and what is as far below it as above is as dark."""
    reach = float(np.percentile(np.abs(image), _REACH_PERCENT)) or 1.0
    return np.clip(image / np.float32(2 * reach) + np.float32(0.5), 0, 1)  # type: ignore[no-any-return]


def png(shades: NDArray[np.float32]) -> bytes:
    """A PNG of shades; the first row of a FITS image is the lowest one, as viewers have it."""
    import imagecodecs

    grey = np.ascontiguousarray(np.rint(shades[::-1] * _GREYS).astype(np.uint8))
    coded: bytes = bytes(imagecodecs.png_encode(grey, **_QUICKLY))
    return coded
