"""What a glance at a stack of frames says: how bright, how sharp, how saturated.

No decision rests on it. The measures are of raw pixels: no dark is subtracted, and in a multiband
mode the images of several bands lie in one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Image = NDArray[np.float32]

#: The highest number that a frame's 16 bits hold.
SATURATED_ADU = 65_535
_LEAST_SIGMAS = 5.0  # below, the highest pixel may be noise
_SOURCE_PIXELS = 24  # a source is looked for no further from its peak
_SIGMA_OF_MAD = 1.4826  # of a normal distribution


class Measures(Struct, frozen=True, kw_only=True):
    """Numbers of a stack. ADU are the camera's units, as in the raw frames."""

    frames: int
    median_adu: float  #: of the mean frame, of every second pixel each way
    noise_adu: float  #: scatter of those pixels about it, robustly
    peak_adu: float  #: highest pixel of any frame
    saturated_pixels: int  #: which reached the converter's end in some frame
    flux_adu: float  #: sum over the mean frame of what is above its median
    fwhm_pixels: float | None  #: of the brightest source of the mean frame; None: there is none


def measure(mean: Image, highest: Image, frames: int) -> Measures:
    """The measures of a stack of *frames*; *mean* and *highest* are (height, width), in ADU."""
    some = mean[::2, ::2]
    median = float(np.median(some))
    noise = _SIGMA_OF_MAD * float(np.median(np.abs(some - median)))
    return Measures(
        frames=frames,
        median_adu=median,
        noise_adu=noise,
        peak_adu=float(highest.max()),
        saturated_pixels=int(np.count_nonzero(highest >= SATURATED_ADU)),
        flux_adu=float(np.sum(mean - median, dtype=np.float64)),
        fwhm_pixels=_fwhm_pixels(mean - median, noise),
    )


def _fwhm_pixels(above: Image, noise: float) -> float | None:
    """The diameter of a disc as large as what lies above half of the brightest source's height.

    The source is looked for in frames smoothed over 3 x 3 pixels, where a hot pixel counts little.
    """
    smooth = _smoothed(above)
    row, column = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    height = float(smooth[row, column])
    if height <= 0 or height < _LEAST_SIGMAS * noise / 3:  # nine pixels: a third of the scatter
        return None
    box = smooth[
        max(0, int(row) - _SOURCE_PIXELS) : int(row) + _SOURCE_PIXELS + 1,
        max(0, int(column) - _SOURCE_PIXELS) : int(column) + _SOURCE_PIXELS + 1,
    ]
    return 2 * float(np.sqrt(np.count_nonzero(box >= height / 2) / np.pi))


def _smoothed(image: Image) -> Image:
    """The mean of each pixel and its neighbours; the edge is repeated outwards."""
    wide = np.pad(image, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    smooth: Image = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return smooth


def reduced(image: Image, most_pixels: int) -> Image:
    """*image* in blocks of so many pixels that no side is longer than *most_pixels*; their means.

    Rows and columns that fill no block are left out. No block is larger than the shorter side: of
    a very narrow image the longer one may be longer.
    """
    block = min(-(-max(image.shape) // most_pixels), *image.shape)
    if block == 1:
        return image
    height, width = (side // block * block for side in image.shape)
    # Slices added up: a mean over axes that are a few pixels long takes ten times as long.
    rows = _sum([image[first:height:block, :width] for first in range(block)])
    small: Image = _sum([rows[:, first::block] for first in range(block)]) / np.float32(block**2)
    return small


def _sum(images: Sequence[Image]) -> Image:
    total = images[0].copy()
    for image in images[1:]:
        total += image
    return total
