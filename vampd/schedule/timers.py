"""When to look again. Timers wake the daemon's loop, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler


class Timers:
    """Rings at regular intervals, from a thread of its own, until stopped."""

    def __init__(self) -> None:
        # A stalled host must not lose a ring, nor get ten at once: no grace time, one ring.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)

    def every(self, seconds: float, ring: Callable[[], None]) -> None:
        """Call *ring* every *seconds*; it must return at once."""
        self._scheduler.add_job(ring, "interval", seconds=seconds)

    def start(self) -> None:
        """Begin to ring."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
