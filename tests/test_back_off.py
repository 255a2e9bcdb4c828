"""The pause before what went wrong is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vampd.back_off import pause_us
from vampd.time_units import DAY_US, SECOND_US

_SECONDS = st.floats(min_value=0.001, max_value=1e6)
_FAILURES = st.integers(min_value=0, max_value=10_000)
_FAILING_US = st.integers(min_value=-DAY_US, max_value=1_000 * DAY_US)


@given(_SECONDS, _SECONDS, _FAILING_US, _FAILURES)
def test_a_pause_is_within_the_limits(
    one: float, other: float, failing_us: int, failures: int
) -> None:
    first, longest = sorted((one, other))

    pause = pause_us(first, longest, failing_us=failing_us, failures=failures)

    assert round(first * SECOND_US) <= pause <= round(longest * SECOND_US)


@given(_SECONDS, _FAILING_US, _FAILURES, st.integers(min_value=0, max_value=DAY_US))
def test_what_fails_for_longer_never_waits_for_less(
    first: float, failing_us: int, failures: int, more_us: int
) -> None:
    pause = pause_us(first, 1e6, failing_us=failing_us, failures=failures)

    assert pause <= pause_us(first, 1e6, failing_us=failing_us + more_us, failures=failures)
    assert pause <= pause_us(first, 1e6, failing_us=failing_us, failures=failures + 1)


def test_each_pause_doubles_the_time_for_which_it_fails() -> None:
    failing_us, pauses = 0, []
    for _ in range(6):
        pauses.append(pause_us(30.0, 600.0, failing_us=failing_us) // SECOND_US)
        failing_us += pauses[-1] * SECOND_US

    assert pauses == [30, 30, 60, 120, 240, 480]


def test_each_failure_doubles_the_pause() -> None:
    pauses = [pause_us(5.0, 300.0, failures=count) // SECOND_US for count in range(8)]

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


def test_what_fails_since_a_date_that_is_still_to_come_waits_for_the_first_pause() -> None:
    assert pause_us(30.0, 600.0, failing_us=-DAY_US) == 30 * SECOND_US
