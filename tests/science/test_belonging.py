"""A cube and a timing file that do not belong together are told by the header's times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vampd.science.belonging import Belonging, RowTimes, belonging

PROPERTY = settings(derandomize=True, deadline=None, max_examples=300)
START_US = 1_762_399_125_646_061  # 2025-11-06 03:18:45.646061
DAY_US = 86_400_000_000


def mjd(time_us: int, digits: int = 15) -> str:
    """As the logger prints the double that it computes."""
    return f"{time_us / 1e6 / 86400.0 + 40587.0:.{digits}G}"


def time_of_day(time_us: int, decimals: int = 2) -> str:
    moment = datetime.fromtimestamp(time_us / 1e6, UTC)
    seconds = moment.second + moment.microsecond / 1e6
    return f"{moment:%H:%M:}{seconds:0{3 + decimals}.{decimals}f}"


def stamps(first_us: int, last_us: int) -> dict[str, str]:
    return {
        "MJD-STR": mjd(first_us),
        "MJD-END": mjd(last_us),
        "UT-STR": time_of_day(first_us),
        "UT-END": time_of_day(last_us),
    }


def row(logged_us: int | None, acquired_us: int | None = None) -> RowTimes:
    return RowTimes(logged_us=logged_us, acquired_us=acquired_us)


times = st.integers(START_US, START_US + 400 * DAY_US)
lengths = st.integers(0, 20_000_000)


@PROPERTY
@given(times, lengths)
def test_the_loggers_own_times_confirm_its_rows(first_us: int, length_us: int) -> None:
    last_us = first_us + length_us

    found = belonging(
        stamps(first_us, last_us), row(first_us, first_us - 61), row(last_us, last_us - 61)
    )

    assert found.disagreement is None
    # A zero at its end is not printed: such a card tells less than it knows.
    assert found.is_confirmed or length_us < 4_000


@PROPERTY
@given(times, st.integers(1_000, 20_000_000), st.booleans())
def test_rows_of_the_next_cube_never_pass(
    first_us: int, length_us: int, has_acquired: bool
) -> None:
    last_us = first_us + length_us
    later = [time_us + length_us + 500 for time_us in (first_us, last_us)]
    rows = [row(time_us, time_us - 61 if has_acquired else None) for time_us in later]

    found = belonging(stamps(first_us, last_us), *rows)

    assert found.disagreement is not None
    assert not found.is_confirmed


@PROPERTY
@given(times, lengths, st.integers(60, 9_000))
def test_a_logger_that_takes_the_acquisition_times_is_believed(
    first_us: int, length_us: int, lag_us: int
) -> None:
    last_us = first_us + length_us

    found = belonging(
        stamps(first_us, last_us),
        row(first_us + lag_us, first_us),
        row(last_us + lag_us, last_us),
    )

    assert found.disagreement is None


def test_both_values_are_told_and_how_far_they_are_apart() -> None:
    later_us = START_US + 1_000_000

    found = belonging(
        stamps(START_US, START_US + 990_000), row(later_us, later_us), row(later_us + 990_000)
    )

    assert found.disagreement is not None
    assert "MJD-STR of the cube is 2025-11-06 03:18:45.646" in found.disagreement
    assert "first row of its timing file is of 2025-11-06 03:18:46.646061" in found.disagreement


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("MJD-STR", mjd(START_US + 20)),
        ("MJD-END", mjd(START_US + 990_000 - 200)),
        ("UT-STR", time_of_day(START_US + 15_000)),
        ("UT-END", time_of_day(START_US + 990_000 - 20_000)),
        ("UT-STR", time_of_day(START_US + 20, decimals=6)),
        ("MJD-STR", f"{(START_US + 2_000) / 86400e6 + 40587:.8f}"),
    ],
)
def test_one_card_that_is_off_by_more_than_its_own_decimals_is_enough(card: str, text: str) -> None:
    cards = stamps(START_US, START_US + 990_000) | {card: text}

    found = belonging(cards, row(START_US, START_US), row(START_US + 990_000, START_US + 990_000))

    assert found.disagreement is not None
    assert found.disagreement.startswith(card)


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("MJD-STR", f"{START_US / 86400e6 + 40587:.8f}"),
        ("MJD-STR", f"{START_US / 86400e6 + 40587:.4f}"),
        ("MJD-STR", f"{START_US / 86400e6 + 40587:.12E}"),
        ("MJD-STR", f"{START_US / 86400e6 + 40587:.12E}".replace("E", "D")),
        ("UT-STR", "03:18:45.64"),
        ("UT-STR", "03:18:45.65"),
        ("UT-STR", "03:18:45"),
        ("UT-STR", "03:18:46."),
    ],
)
def test_a_card_counts_to_its_last_decimal_rounded_or_cut(card: str, text: str) -> None:
    cards = stamps(START_US, START_US + 990_000) | {card: text}

    found = belonging(cards, row(START_US), row(START_US + 990_000))

    assert found.disagreement is None


@pytest.mark.parametrize(
    "text",
    ["", "NA", "T", "nan", "inf", "1E400", "0.0", "-60985.1", "99999.0", "24:00:00.00", "a:b"],
)
def test_a_card_that_holds_no_time_says_nothing(text: str) -> None:
    cards = dict.fromkeys(("MJD-STR", "MJD-END", "UT-STR", "UT-END"), text)

    assert belonging(cards, row(START_US), row(START_US + 990_000)) == Belonging()
    assert belonging({}, row(START_US), row(START_US + 990_000)) == Belonging()


def test_a_row_that_cannot_be_read_leaves_the_other_end_to_decide() -> None:
    cards = stamps(START_US, START_US + 990_000)

    unread = belonging(cards, row(START_US, START_US), row(None))
    other = belonging(cards, row(None), row(START_US + 1_000_000, START_US + 1_000_000))

    assert unread == Belonging()
    assert other.disagreement is not None


def test_where_the_acquisition_time_is_missing_the_lag_of_logging_is_allowed_for() -> None:
    cards = stamps(START_US, START_US + 990_000)

    lagging = belonging(cards, row(START_US + 71), row(START_US + 990_071))
    early = belonging(cards, row(START_US - 71), row(START_US + 990_000 - 71))

    assert lagging.disagreement is None
    assert early.disagreement is not None


def test_the_time_of_the_day_is_compared_around_midnight() -> None:
    midnight_us = START_US // DAY_US * DAY_US + DAY_US
    cards = {"UT-STR": "00:00:00.00", "UT-END": "00:00:01.00"}

    found = belonging(cards, row(midnight_us - 4_000), row(midnight_us + 1_000_000))

    assert found.disagreement is None


def test_sixty_seconds_are_the_next_minute() -> None:
    minute_us = START_US // 60_000_000 * 60_000_000 + 60_000_000
    cards = {"UT-STR": "03:18:60.00"}

    assert belonging(cards, row(minute_us - 3_000), row(minute_us)).disagreement is None


def test_coarse_cards_confirm_nothing_of_short_cubes() -> None:
    cards = {"UT-STR": time_of_day(START_US), "UT-END": time_of_day(START_US + 20_000)}

    short = belonging(cards, row(START_US), row(START_US + 20_000))
    long = belonging(
        cards | {"UT-END": time_of_day(START_US + 990_000)}, row(START_US), row(START_US + 990_000)
    )

    assert (short.disagreement, short.is_confirmed) == (None, False)
    assert long.is_confirmed
