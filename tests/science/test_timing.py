"""Timing files: every row is either read exactly or rejected alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vampd.science.timing import NO_COLUMN, NO_TIMES, Timing, output_timing, parse_timing

PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)
COMMENTS = b"# Telemetry stream timing data \n# \n"
START_US = 1_762_405_945_326_055
PERIOD_US = 2000


def row(index: int, acquired: str | None, logged: str | None = None) -> bytes:
    logged = logged or f"{seconds(START_US + index * PERIOD_US)}337"
    acquisition = "" if acquired is None else f"  {acquired:>17}"
    columns = f"{index:10d}  {4037 + index:10d}  {index * 0.002:15.9f}   {logged:>20}"
    return f"{columns}{acquisition}   {4037 + index:10d}   {index % 3:10d}\n".encode()


def seconds(time_us: int) -> str:
    return f"{time_us // 1_000_000}.{time_us % 1_000_000:06d}"


def file_of(times: list[str | None]) -> bytes:
    return COMMENTS + b"".join(row(index, text) for index, text in enumerate(times))


def good(index: int) -> str:
    return seconds(START_US + index * PERIOD_US)


def parsed(times: list[str | None]) -> Timing:
    return parse_timing(file_of(times))


def test_all_rows_of_a_good_file_are_read_to_the_microsecond() -> None:
    timing = parsed([good(index) for index in range(50)])

    assert timing.acquired_us.tolist() == [START_US + k * PERIOD_US for k in range(50)]
    assert timing.rejected == {}
    assert timing.reports == ()
    assert timing.has_acquisition
    assert timing.comments == ("# Telemetry stream timing data ", "# ")


@PROPERTY
@given(
    st.lists(st.integers(946_684_800_000_000, 946_684_800_000_000 + 10**9), min_size=1, unique=True)
)
def test_no_microsecond_is_lost_to_a_float(times_us: list[int]) -> None:
    times_us.sort()
    lines = [row(k, seconds(t), seconds(t) + "000") for k, t in enumerate(times_us)]

    timing = parse_timing(b"".join(lines))

    assert timing.acquired_us.tolist() == times_us


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nan", "not a number"),
        ("inf", "not a number"),
        ("-inf", "not a number"),
        ("17x2405945.326055", "not a number"),
        ("1_762_405_945.3", "not a number"),
        ("1e999999999", "not a number"),
        ("0.000000", "no acquisition time"),
        ("-1762405945.326055", "implausible year"),
        ("17624059.326055", "implausible year"),
        ("9762405945.326055", "implausible year"),
        ("1762505945.326055", "far from its logging time"),
    ],
)
def test_one_bad_time_costs_one_frame(text: str, reason: str) -> None:
    times: list[str | None] = [good(index) for index in range(9)]
    times[4] = text

    timing = parsed(times)

    assert timing.rejected == {4: reason}
    assert timing.acquired_us[4] == 0
    assert np.count_nonzero(timing.acquired_us) == 8


def test_a_torn_last_row_counts_as_a_row_and_is_rejected() -> None:
    content = file_of([good(index) for index in range(5)])

    timing = parse_timing(content[:-9])

    assert len(timing.rows) == 5
    assert timing.rejected == {4: "torn last line"}


def test_a_last_row_without_newline_is_torn_even_if_it_looks_whole() -> None:
    timing = parse_timing(file_of([good(0), good(1)])[:-1])

    assert timing.rejected == {1: "torn last line"}


def test_a_torn_comment_is_no_row() -> None:
    timing = parse_timing(file_of([good(0)]) + b"# the en")

    assert timing.rejected == {}


def test_short_and_long_rows_cost_their_own_frames() -> None:
    lines = [row(index, good(index)) for index in range(5)]
    lines[1] = b" 1 2 3\n"
    lines[3] = lines[3][:-1] + b" 99\n"

    timing = parse_timing(b"".join(lines))

    assert timing.rejected == {1: "3 columns instead of 7", 3: "8 columns instead of 7"}


def test_binary_rubbish_costs_its_own_frame() -> None:
    lines = [row(index, good(index)) for index in range(5)]
    lines[2] = b"\0\0\xff\n"

    timing = parse_timing(b"".join(lines))

    assert list(timing.rejected) == [2]


def test_a_glitch_out_of_order_costs_only_the_glitch() -> None:
    times: list[str | None] = [good(index) for index in range(9)]
    times[4] = good(7)[:-1] + "1"

    timing = parsed(times)

    assert timing.rejected == {4: "out of order"}


def test_a_glitch_backwards_costs_only_the_glitch() -> None:
    times: list[str | None] = [good(index) for index in range(9)]
    times[4] = seconds(START_US + 2 * PERIOD_US + 5)

    timing = parsed(times)

    assert timing.rejected == {4: "out of order"}


def test_equal_times_are_out_of_order() -> None:
    timing = parsed([good(0), good(1), good(1), good(3)])

    assert len(timing.rejected) == 1


@PROPERTY
@given(st.lists(st.integers(0, 40), min_size=1, max_size=40))
def test_the_fewest_rows_are_rejected_to_restore_the_order(offsets: list[int]) -> None:
    times_us = [START_US + offset for offset in offsets]
    lines = [row(k, seconds(t), seconds(START_US + 50 + k) + "000") for k, t in enumerate(times_us)]

    timing = parse_timing(b"".join(lines))

    kept = [k for k in range(len(offsets)) if k not in timing.rejected]
    longest = [1] * len(offsets)
    for k, value in enumerate(offsets):
        longest[k] += max((longest[j] for j in range(k) if offsets[j] < value), default=0)
    assert len(kept) == max(longest)
    assert np.all(np.diff(timing.acquired_us[kept]) > 0)


def test_six_columns_are_read_with_the_logging_times_and_said_so() -> None:
    timing = parsed([None] * 4)

    assert not timing.has_acquisition
    assert timing.reports == (NO_COLUMN,)
    assert timing.acquired_us.tolist() == [START_US + k * PERIOD_US for k in range(4)]


def test_a_file_without_any_acquisition_time_is_read_with_the_logging_times() -> None:
    timing = parsed(["0.000000"] * 4)

    assert not timing.has_acquisition
    assert timing.reports == (NO_TIMES,)
    assert timing.acquired_us.tolist() == [START_US + k * PERIOD_US for k in range(4)]
    assert timing.rejected == {}


def test_an_empty_file_has_no_rows() -> None:
    timing = parse_timing(COMMENTS)

    assert timing.rows == ()
    assert timing.acquired_us.shape == (0,)


def test_the_output_has_the_loggers_layout() -> None:
    timing = parsed([good(index) for index in range(4)])

    written = output_timing(timing.rows[1:], timing.acquired_us[1:] + 7, timing.comments)

    assert written.decode() == (
        "# Telemetry stream timing data \n# \n"
        "         0        4038      0.000000000   1762405945.328055337"
        "  1762405945.328062         4038            1\n"
        "         1        4039      0.002000000   1762405945.330055337"
        "  1762405945.330062         4039            2\n"
        "         2        4040      0.004000000   1762405945.332055337"
        "  1762405945.332062         4040            0\n"
    )


def test_old_rows_get_their_acquisition_column() -> None:
    timing = parsed([None] * 2)

    again = parse_timing(output_timing(timing.rows, timing.acquired_us, ()))

    assert again.has_acquisition
    assert again.acquired_us.tolist() == timing.acquired_us.tolist()
    assert [line.split()[-2:] for line in again.rows] == [line.split()[-2:] for line in timing.rows]


def test_logging_times_are_rounded_to_the_nearest_microsecond() -> None:
    lines = [row(0, None, "1762405945.326055499"), row(1, None, "1762405945.328055500")]

    timing = parse_timing(b"".join(lines))

    assert timing.acquired_us.tolist() == [1_762_405_945_326_055, 1_762_405_945_328_056]
