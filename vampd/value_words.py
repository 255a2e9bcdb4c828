"""Values as people here read them, wherever they are told: on a screen, a page or in a mail."""

from __future__ import annotations

from datetime import UTC, datetime

from vampd.time_units import HST


def time_text(us: int) -> str:
    """A time as people here read it: `2025-11-06 05:10:00 UT (2025-11-05 19:10 HST)`."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    there = moment.astimezone(HST)
    return f"{moment:%Y-%m-%d %H:%M:%S} UT ({there:%Y-%m-%d %H:%M} HST)"


def count_text(count: int, noun: str) -> str:
    """`1 cube`, `2 cubes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
