"""Waiting until something is so, with one patience for all: machines are slow at times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 90.0


def wait_until(
    is_so: Callable[[], object],
    told: Callable[[], str] = lambda: "",
    *,
    every_seconds: float = 0.02,
) -> None:
    """Ask until the answer is true; after a long while that fails, with what *told* says."""
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"it did not come to that in {_SECONDS:.0f} s. {told()}"
        time.sleep(every_seconds)


def wait_for(path: Path) -> None:
    """Wait until there is something at *path*."""
    wait_until(path.exists, lambda: f"{path} does not appear")
