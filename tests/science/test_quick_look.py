from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vampd.science.quick_look import Image, measure, reduced


def star(shape: tuple[int, int], row: float, column: float, fwhm: float, height: float) -> Image:
    """A round Gaussian source on nothing."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (rows - row) ** 2 + (columns - column) ** 2
    profile: Image = (height * np.exp(-4 * np.log(2) * distance / fwhm**2)).astype(np.float32)
    return profile


def noise(shape: tuple[int, int], sigma: float) -> Image:
    return np.random.default_rng(4).normal(0, sigma, shape).astype(np.float32)


@pytest.mark.parametrize("fwhm", [4.0, 7.5, 15.0])
def test_the_width_of_the_brightest_source_is_found(fwhm: float) -> None:
    shape = (128, 96)
    mean = 200 + noise(shape, 3) + star(shape, 60.3, 31.8, fwhm, 900) + star(shape, 100, 80, 9, 300)

    found = measure(mean, mean, 10).fwhm_pixels

    assert found == pytest.approx(fwhm, abs=0.15 * fwhm + 0.6)


def test_a_source_in_a_corner_has_a_width() -> None:
    mean = 200 + noise((64, 64), 3) + star((64, 64), 2, 3, 6, 900)

    assert measure(mean, mean, 1).fwhm_pixels == pytest.approx(5, abs=2)


def test_a_frame_of_noise_has_no_source_and_neither_has_an_even_one() -> None:
    even = np.full((64, 64), 200, np.float32)

    assert measure(even + noise((64, 64), 5), even, 1).fwhm_pixels is None
    assert measure(even, even, 1).fwhm_pixels is None


def test_a_hot_pixel_is_not_taken_for_the_source() -> None:
    shape = (64, 64)
    mean = 200 + noise(shape, 2) + star(shape, 40, 40, 8, 500)
    mean[10, 10] = 2_500

    found = measure(mean, mean, 1)

    assert found.fwhm_pixels == pytest.approx(8, abs=1.5)
    assert found.peak_adu == 2_500


def test_brightness_noise_and_saturation_are_measured() -> None:
    shape = (200, 200)
    mean = 300 + noise(shape, 4)
    highest = mean.copy()
    highest[3, 4:9] = 65_535

    found = measure(mean, highest, 250)

    assert found.frames == 250
    assert found.median_adu == pytest.approx(300, abs=0.1)
    assert found.noise_adu == pytest.approx(4, rel=0.03)
    assert (found.peak_adu, found.saturated_pixels) == (65_535, 5)


def test_the_flux_is_what_lies_above_the_median() -> None:
    shape = (100, 100)
    source = star(shape, 50, 50, 6, 1_000)

    found = measure(500 + source, 500 + source, 1)

    assert found.flux_adu == pytest.approx(float(source.sum()), rel=0.02)


@given(height=st.integers(1, 70), width=st.integers(1, 70), most=st.integers(1, 40))
@settings(max_examples=40)
def test_a_reduced_picture_fits_and_keeps_the_mean_of_what_it_shows(
    height: int, width: int, most: int
) -> None:
    image = noise((height, width), 1)

    small = reduced(image, most)

    block = min(-(-max(height, width) // most), height, width)
    assert max(small.shape) <= most or block == min(height, width)
    shown = image[: small.shape[0] * block, : small.shape[1] * block]
    assert float(small.mean()) == pytest.approx(float(shown.mean()), abs=1e-5)
