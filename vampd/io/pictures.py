"""Pictures of frames, as PNG: for eyes, in which pixels are no numbers any more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GREYS = 255
# As libpng and zlib call them: no filter, runs only. Frames are noise: nothing makes them smaller.
_QUICKLY = {"level": 1, "filter": 8, "strategy": 3}
_REACH_PERCENT = 99.5  # of the pixels of a difference lie within its scale


def picture(image: NDArray[np.float32]) -> bytes:
    """A PNG of *image*, (height, width): zscale to the brightest pixel, with an asinh stretch.

    The first row of a FITS image is the lowest one of the picture, as viewers have it.
    """
    from astropy.visualization import AsinhStretch, ZScaleInterval

    low, _ = ZScaleInterval().get_limits(image)
    high = max(float(image.max()), low + 1)
    return _png(AsinhStretch(0.05)(np.clip((image - low) / (high - low), 0, 1)))


def picture_of_difference(image: NDArray[np.float32]) -> bytes:
    """The same of a difference: grey is 0, and what is as far below it as above is as dark."""
    reach = float(np.percentile(np.abs(image), _REACH_PERCENT)) or 1.0
    return _png(np.clip(image / (2 * reach) + 0.5, 0, 1))


def _png(shades: NDArray[np.floating]) -> bytes:
    import imagecodecs

    grey = np.ascontiguousarray(np.rint(shades[::-1] * _GREYS).astype(np.uint8))
    coded: bytes = bytes(imagecodecs.png_encode(grey, **_QUICKLY))
    return coded
