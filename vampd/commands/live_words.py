"""How far a night that goes on is, in words and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vampd.commands.screen import count_text, record_json
from vampd.views.live import Lag


def lag_text(lag: Lag) -> str:
    """`newest 05:21:33, planned 05:20:10, built 05:20:10, verified 05:19:58 UT; camera 2 ...`."""
    steps = (
        ("newest", lag.newest_us),
        ("planned", lag.planned_us),
        ("built", lag.built_us),
        ("verified", lag.verified_us),
    )
    words = [f"{name} {_time(us)}" for name, us in steps]
    text = f"{', '.join(words)} UT"
    if lag.unnumbered:
        text += f"; {count_text(lag.unnumbered, 'output')} without frame ID yet"
    return f"{text}; {lag.held_by}" if lag.held_by else text


def confirmed_text(lag: Lag) -> str:
    """What became at the close of what was planned before."""
    text = f"{count_text(lag.kept or 0, 'output')} planned before its close stayed"
    if lag.anew:
        text += f", {lag.anew} were built anew"
    if lag.late:
        text += f", {lag.late} came late: their frame IDs follow the others"
    return text


def lag_json(lag: Lag | None) -> dict[str, Any] | None:
    """The same for programs; null where a night is or was not worked on before its close."""
    if lag is None:
        return None
    return {
        "text": lag_text(lag) if lag.is_open else confirmed_text(lag),
        **record_json(lag, "newest_us", "watermark=through_us", "planned_us", "built_us"),
        **record_json(lag, "verified_us"),
        "held_by": lag.held_by or None,
        **record_json(lag, "unnumbered", "confirmed_us", "kept", "anew", "late"),
    }


def _time(us: int | None) -> str:
    return "-" if us is None else f"{datetime.fromtimestamp(us // 1_000_000, UTC):%H:%M:%S}"
