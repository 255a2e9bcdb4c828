"""Times of a cube: one integer, one text."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vampd.science.times import cube_times, name_time, pair_time_us

PROPERTY = settings(derandomize=True, deadline=None, max_examples=200)
DAY_US = 86_400_000_000


def test_all_times_of_a_cube_come_from_its_first_and_last_microsecond() -> None:
    times = cube_times(1_762_405_898_880_865, 1_762_405_899_278_838)

    assert (times.ut_str, times.ut_end, times.ut) == (
        "05:11:38.880865",
        "05:11:39.278838",
        "05:11:39.079851",
    )
    assert (times.hst_str, times.hst_end, times.hst) == (
        "19:11:38.880865",
        "19:11:39.278838",
        "19:11:39.079851",
    )
    assert (times.mjd_str, times.mjd_end, times.mjd) == (
        "60985.21642223",
        "60985.21642684",
        "60985.21642454",
    )
    assert times.date_obs == "2025-11-06"


def test_the_date_is_that_of_the_first_frame_across_midnight() -> None:
    midnight_us = 20_399 * DAY_US

    times = cube_times(midnight_us - 1, midnight_us + 5)

    assert times.date_obs == "2025-11-06"
    assert times.ut_str == "23:59:59.999999"
    assert times.ut_end == "00:00:00.000005"
    assert times.hst_str == "13:59:59.999999"


@PROPERTY
@given(st.integers(946_684_800_000_000, 4_102_444_799_999_999))
def test_the_modified_julian_date_is_exact(time_us: int) -> None:
    days = 40_587 + Decimal(time_us) / Decimal(DAY_US)

    expected = days.quantize(Decimal("0.00000001"), rounding=ROUND_HALF_EVEN)

    assert cube_times(time_us, time_us).mjd == str(expected)


def test_a_name_keeps_six_decimals() -> None:
    assert name_time(1_762_405_800_000_000) == "05:10:00.000000"


def test_a_pair_s_time_is_the_floor_of_the_mean_for_one_pair_and_for_many() -> None:
    one, two = [-3, 10, 1_762_387_200_000_001], [0, 13, 1_762_387_200_000_002]

    singly = [pair_time_us(*pair) for pair in zip(one, two, strict=True)]

    assert singly == [-2, 11, 1_762_387_200_000_001]
    assert pair_time_us(np.array(one), np.array(two)).tolist() == singly
