"""How far a stage at work is: a bar, how fast, and when it will be done. Pure."""

from __future__ import annotations

from vampd.commands.screen import Screen, clock_text, duration_text, size_text
from vampd.commands.status_grid import WIDE
from vampd.time_units import SECOND_US
from vampd.views.activity import Progress


def bar_text(progress: Progress, now_us: int, screen: Screen) -> str:
    """`[████░░░░░░]  40 %  3/8  113 MB/s  12 min left`."""
    part = share(progress)
    cells = 20 if screen.width >= WIDE else 10
    filled = int(cells * part)
    full, empty = ("█", "░") if screen.glyphs else ("#", "-")
    bar = screen.word("running", text=full * filled)
    parts = [f"[{bar}{empty * (cells - filled)}] {int(100 * part):>3} %"]
    if progress.units > 1:
        parts.append(f"{progress.units_done}/{progress.units}")
    if progress.bytes_per_second:
        parts.append(f"{size_text(round(progress.bytes_per_second))}/s")
    if (seconds := progress.seconds_left) is not None:
        left = round(seconds * SECOND_US)
        until = f" ({clock_text(now_us + left)})" if screen.width >= WIDE else ""
        parts.append(f"{duration_text(left)} left{until}")
    elif progress.since_us is not None:
        parts.append(f"for {duration_text(now_us - progress.since_us)}")
    return "  ".join(parts)


def share(progress: Progress) -> float:
    """How much is done, 0 to 1, by bytes where they are known."""
    if progress.total_bytes:
        return min(1.0, progress.done_bytes / progress.total_bytes)
    return progress.units_done / progress.units if progress.units else 0.0
