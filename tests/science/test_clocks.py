"""The clock of the logger: what proves it is taken off, what is not proved is no time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.records import RawCube, StatedClock
from vampd.science.clocks import PLAUSIBLE_S, judge_clocks, on_utc, written_us

PROPERTY = settings(derandomize=True, deadline=None, max_examples=400)
START_US = 1_762_405_800_000_000
SECOND_US = 1_000_000


def cube(
    number: int,
    *,
    utc_us: int,
    ahead_s: int,
    has_both: bool,
    delay_us: int | None = 300_000,
    camera: int = 1,
    length_us: int = 200_000,
    is_old: bool = False,
) -> RawCube:
    """A cube that began at *utc_us*; DATE says *delay_us* after its end, None: it is missing."""
    times_us = utc_us + np.arange(0, length_us, 5_000, dtype=np.int64)
    written = None if delay_us is None else (int(times_us[-1]) + delay_us) // SECOND_US * SECOND_US
    return RawCube(
        raw_file=number,
        path=f"vcam{camera}/{number}.fits",
        camera=camera,
        width=32,
        height=24,
        cards={},
        acquired_us=times_us if has_both else times_us + ahead_s * SECOND_US + 61,
        has_acquisition=has_both,
        lag_us=ahead_s * SECOND_US + 61 if has_both else None,
        written_us=written,
        is_old=is_old,
    )


def taken_off(*cubes: RawCube) -> dict[int, int | None]:
    return {number: clock.ahead_s for number, clock in judge_clocks(cubes).items()}


@PROPERTY
@given(
    ahead_s=st.sampled_from(PLAUSIBLE_S),
    kinds=st.lists(st.booleans(), min_size=1, max_size=8),
    delays=st.lists(st.integers(0, 45_000_000) | st.integers(0, 900_000), min_size=8, max_size=8),
    pauses=st.lists(st.sampled_from([0.01, 1.0, 40.0, 3600.0]), min_size=8, max_size=8),
    phase_us=st.integers(0, 999_999),
)
def test_no_time_is_ever_wrong_and_a_proved_clock_is_found(
    ahead_s: int, kinds: list[bool], delays: list[int], pauses: list[float], phase_us: int
) -> None:
    cubes, utc_us = [], START_US + phase_us
    for number, has_both in enumerate(kinds):
        # A logger that goes on writes at once; only one that was stopped takes its time.
        goes_on = pauses[number] < 40 and number + 1 < len(kinds)
        delay_us = delays[number] % 900_000 if goes_on else delays[number]
        cubes.append(
            cube(number, utc_us=utc_us, ahead_s=ahead_s, has_both=has_both, delay_us=delay_us)
        )
        utc_us += 200_000 + round(pauses[number] * 1e6)

    found = taken_off(*cubes)

    assert set(found) == {number for number, has_both in enumerate(kinds) if not has_both}
    assert set(found.values()) <= {ahead_s, None}
    for number in found:
        if any(kinds[:number]) and any(kinds[number + 1 :]):
            assert found[number] == ahead_s


def test_the_times_are_put_on_utc_and_unproved_cubes_are_left_out() -> None:
    both = cube(1, utc_us=START_US, ahead_s=37, has_both=True)
    alone = cube(2, utc_us=START_US + 9 * SECOND_US, ahead_s=37, has_both=False)
    alone = replace(alone, acquired_us=np.concatenate((alone.acquired_us, [0])))

    [_, put_right], clocks = on_utc([both, alone])
    [], unproved = on_utc([alone])
    [same], _ = on_utc([alone], others=[both])

    assert put_right.acquired_us[0] == START_US + 9 * SECOND_US + 61
    assert put_right.acquired_us[-1] == 0
    assert same.acquired_us.tolist() == put_right.acquired_us.tolist()
    assert clocks[2].ahead_s == 37
    assert unproved[2].ahead_s is None


def test_what_is_unclear_says_both_values() -> None:
    alone = cube(2, utc_us=START_US, ahead_s=37, has_both=False)

    text = judge_clocks([alone])[2].text

    assert "2025-11-06 05:10:37.195061" in text
    assert "DATE is 2025-11-06 05:10:00" in text


def test_date_alone_refutes_utc_and_does_not_tell_36_from_37() -> None:
    every = [cube(n, utc_us=START_US + n * SECOND_US, ahead_s=37, has_both=False) for n in range(9)]

    assert set(taken_off(*every).values()) == {None}


def test_a_logger_that_goes_on_and_writes_at_once_is_on_utc() -> None:
    every = [cube(n, utc_us=START_US + n * SECOND_US, ahead_s=0, has_both=False) for n in range(5)]

    assert set(taken_off(*every).values()) == {0}


def test_one_cube_alone_may_have_been_written_late_by_a_stopped_logger() -> None:
    late = cube(1, utc_us=START_US, ahead_s=37, has_both=False, delay_us=37_400_000)

    assert taken_off(late) == {1: None}


def test_witnesses_that_differ_leave_it_to_date() -> None:
    before = cube(1, utc_us=START_US, ahead_s=0, has_both=True)
    after = cube(3, utc_us=START_US + 100 * SECOND_US, ahead_s=37, has_both=True)
    between = {"utc_us": START_US + 50 * SECOND_US, "has_both": False}
    tai = cube(2, ahead_s=37, **between)  # type: ignore[arg-type]
    late = cube(2, ahead_s=37, delay_us=37_400_000, **between)  # type: ignore[arg-type]
    undated = cube(2, ahead_s=37, delay_us=None, **between)  # type: ignore[arg-type]

    assert taken_off(before, tai, after) == {2: 37}
    assert taken_off(before, late, after) == {2: None}
    assert taken_off(before, undated, after) == {2: None}


def test_a_date_that_contradicts_the_witnesses_proves_nothing() -> None:
    witnesses = [
        cube(n, utc_us=START_US + n * 60 * SECOND_US, ahead_s=0, has_both=True) for n in (1, 3)
    ]
    tai = cube(2, utc_us=START_US + 120 * SECOND_US, ahead_s=37, has_both=False)

    clock = judge_clocks([witnesses[0], tai, witnesses[1]])[2]

    assert clock.ahead_s is None
    assert "on UTC" in clock.text


def test_a_cube_of_the_other_camera_taken_meanwhile_is_witness_enough() -> None:
    other = cube(1, utc_us=START_US, ahead_s=37, has_both=True, camera=2)
    undated = cube(2, utc_us=START_US, ahead_s=37, has_both=False, delay_us=None)

    assert taken_off(other, undated) == {2: 37}


def test_six_columns_are_utc_unless_something_says_otherwise() -> None:
    plain = cube(1, utc_us=START_US, ahead_s=0, has_both=False, is_old=True)
    undated = replace(plain, written_us=None)
    early = cube(1, utc_us=START_US, ahead_s=37, has_both=False, is_old=True)
    witness = cube(2, utc_us=START_US + 9 * SECOND_US, ahead_s=37, has_both=True)

    assert taken_off(plain) == taken_off(undated) == {1: 0}
    assert taken_off(early) == {1: None}
    assert taken_off(early, witness) == {1: 37}


def said(one: RawCube, ahead_s: int) -> RawCube:
    return replace(one, stated_clock=StatedClock(ahead_s=ahead_s, words="uid 5 (log)"))


@pytest.mark.parametrize("ahead_s", [0, 37])
def test_an_operators_word_counts_where_nothing_proves_the_clock(ahead_s: int) -> None:
    alone = cube(1, utc_us=START_US, ahead_s=ahead_s, has_both=False, delay_us=None)

    [on_time], clocks = on_utc([said(alone, ahead_s)])

    assert judge_clocks([alone])[1].ahead_s is None
    assert (clocks[1].ahead_s, clocks[1].is_stated) == (ahead_s, True)
    assert "uid 5 (log) said" in clocks[1].text
    assert int(on_time.acquired_us[0]) == START_US + 61


def test_a_word_against_what_is_proved_counts_for_nothing_and_both_are_told() -> None:
    proved = cube(1, utc_us=START_US, ahead_s=37, has_both=False)
    witness = cube(2, utc_us=START_US + 50_000, ahead_s=37, has_both=True, camera=2)

    clock = judge_clocks([said(proved, 0), witness])[1]

    assert (clock.ahead_s, clock.is_stated) == (37, False)
    assert "said that the clock was on UTC" in clock.text
    assert "proved to have been 37 s ahead of UTC" in clock.text


def test_a_word_that_date_refutes_counts_for_nothing() -> None:
    tai = cube(1, utc_us=START_US, ahead_s=37, has_both=False)

    clock = judge_clocks([said(tai, 0)])[1]

    assert clock.ahead_s is None
    assert "which DATE refutes" in clock.text


def test_a_word_on_one_cube_proves_nothing_of_another() -> None:
    alone = cube(1, utc_us=START_US, ahead_s=37, has_both=False, delay_us=None)
    other = cube(2, utc_us=START_US + 1_000_000, ahead_s=37, has_both=False, delay_us=None)

    assert judge_clocks([said(alone, 37), other])[2].ahead_s is None


def test_a_lag_that_is_no_clock_is_no_witness() -> None:
    odd = replace(cube(1, utc_us=START_US, ahead_s=0, has_both=True), lag_us=5_400_000)
    alone = cube(2, utc_us=START_US + SECOND_US, ahead_s=0, has_both=False)

    assert taken_off(odd, alone) == {2: None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-06T05:10:00", START_US),
        ("2025-11-06T05:10:00.75", START_US),
        (" 2025-11-06T05:10:00 ", START_US),
        ("2025-11-06", None),
        ("06/11/25", None),
        ("2025-13-06T05:10:00", None),
        ("9999-99-99T99:99:99", None),
        ("", None),
        (None, None),
        (20251106, None),
        (True, None),
    ],
)
def test_what_counts_as_a_date(text: object, expected: int | None) -> None:
    assert written_us(text) == expected
