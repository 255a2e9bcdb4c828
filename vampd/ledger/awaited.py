"""What a night waits for while files are read: words that stay, and a number that is looked up.

A night's cause stands in the ledger, and each change of it is an event. So it never says how far
the reading is: whoever shows it counts what is left.
"""

from __future__ import annotations

from collections.abc import Mapping

from vampd.ledger.reading import Reader

READ_THROUGH = "raw files to be read through"
READ_AGAIN = "raw files to be read again: another inode or time than was recorded"
CUBES = "cubes to be read"

_LEFT: Mapping[str, str] = {
    READ_THROUGH: "select count(*) from raw_file where night = ? and state = 'whole'"
    " and sha256 is null",
    READ_AGAIN: "select count(*) from stray where night = ? and state = 'unread'",
    CUBES: "select count(*) from raw_file where night = ? and state = 'arriving' and role = 'cube'",
}


def left(ledger: Reader, night: int, cause: str | None) -> int:
    """How many files a night still waits for whose cause is one of these; else 0."""
    query = _LEFT.get(cause or "")
    if query is None:
        return 0
    count: int = ledger.execute(query, [night]).fetchone()[0]
    return count
