"""How long to wait before what went wrong is tried again: one rule, whoever waits."""

from __future__ import annotations

from vampd.time_units import SECOND_US

_MOST_DOUBLINGS = 20  # a million times the first pause; more would overflow one day


def pause_us(
    first_seconds: float, longest_seconds: float, *, failing_us: int = 0, failures: int = 0
) -> int:
    """The pause before the next attempt, microseconds.

    As long as it has been failing (*failing_us*), so that each pause doubles that time; or twice as
    long for each of the *failures* before this one, where nobody knows since when. Never less than
    *first_seconds*, never more than *longest_seconds*, which is no less. A time before now, which a
    date that was ahead leaves behind, counts as nothing.
    """
    doubled = first_seconds * 2.0 ** min(failures, _MOST_DOUBLINGS)
    return round(min(longest_seconds, max(doubled, failing_us / SECOND_US)) * SECOND_US)
