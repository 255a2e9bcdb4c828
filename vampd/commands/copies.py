"""How old the word is that a night's copies are right."""

from __future__ import annotations

from collections.abc import Sequence

from vampd.commands.screen import duration_text, time_text
from vampd.views.details import DeliverableRow


def verified_us(rows: Sequence[DeliverableRow]) -> int | None:
    """When the copy that was verified longest ago was verified; None: one of them never was."""
    times = [row.verified_us for row in rows]
    known = [us for us in times if us is not None]
    return min(known) if known and len(known) == len(times) else None


def verified_text(us: int | None, now_us: int) -> str:
    """`every copy verified within the last 3 days, since ...`; *us* is from `verified_us`."""
    if us is None:
        return "not every copy is verified"
    ago = duration_text(now_us - us)
    return f"every copy verified within the last {ago}, since {time_text(us)}"
