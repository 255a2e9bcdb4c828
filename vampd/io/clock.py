"""The only place that asks what time it is. Everything else is handed a clock, or the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how much of it has passed."""

    def now_us(self) -> int:
        """UTC, microseconds since the Unix epoch. May step when the host's clock is set."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment. Never steps, and means nothing after a reboot."""


class SystemClock:
    """The host's own clocks."""

    def now_us(self) -> int:
        """UTC, microseconds since the Unix epoch."""
        return time.time_ns() // 1000

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, the host's sleep included.

        CLOCK_BOOTTIME, not CLOCK_MONOTONIC: a suspended host must see how long it was away.
        """
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
