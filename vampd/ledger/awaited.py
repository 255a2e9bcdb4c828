"""How many files a night still waits for: its cause never says it, for each change is an event."""

from __future__ import annotations

from collections.abc import Mapping

from vampd.ledger.reading import Reader
from vampd.states import WaitCode

_LEFT: Mapping[str, str] = {
    WaitCode.READ_THROUGH: "select count(*) from raw_file where night = ? and state = 'whole'"
    " and sha256 is null",
    WaitCode.READ_AGAIN: "select count(*) from stray where night = ? and state = 'unread'",
    WaitCode.CUBES: "select count(*) from raw_file where night = ? and state = 'arriving'"
    " and role = 'cube'",
}


def left(ledger: Reader, night: int, code: str | None) -> int:
    """How many files a night still waits for for this cause; else 0."""
    query = _LEFT.get(code or "")
    if query is None:
        return 0
    count: int = ledger.execute(query, [night]).fetchone()[0]
    return count
