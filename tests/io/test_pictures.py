from __future__ import annotations

import imagecodecs
import numpy as np

from vampd.io.pictures import png, shades, shades_of_difference


def test_a_picture_is_dark_where_the_frame_is_and_its_first_row_is_below() -> None:
    image = np.full((40, 30), 200, np.float32)
    image += np.arange(30, dtype=np.float32) / 10
    image[3, 5] = 5_000

    found = imagecodecs.png_decode(png(shades(image)))

    assert found.shape == (40, 30)
    assert np.argwhere(found == 255).tolist() == [[39 - 3, 5]]
    assert found[0, 0] < 10


def test_an_even_frame_is_a_picture_too() -> None:
    even = np.full((8, 8), 200, np.float32)

    assert np.unique(imagecodecs.png_decode(png(shades(even)))).size == 1
    assert np.unique(imagecodecs.png_decode(png(shades_of_difference(even - even)))).size == 1


def test_in_a_difference_grey_is_nothing() -> None:
    image = np.zeros((20, 20), np.float32)
    image[:5], image[15:] = 40, -40

    found = imagecodecs.png_decode(png(shades_of_difference(image)))

    assert {int(found[0, 0]), int(found[10, 0]), int(found[-1, 0])} == {0, 128, 255}
    assert found[-1, 0] == 255  # the first row lies below
