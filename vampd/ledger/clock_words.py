"""What operators said of the clocks of cubes that only their logger timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger.connection import Ledger, Row
from vampd.records import StatedClock

#: Columns for whoever selects cubes, and the join that they need; `stated_clock` reads them.
COLUMNS = (
    "clock_word.ahead_s as stated_s, clock_word.changed_by as stated_by,"
    " clock_word.why as stated_why"
)
JOIN = "left join clock_word on clock_word.raw_file = cube.raw_file"


def state(ledger: Ledger, row: Row, ahead_s: int, why: str) -> None:
    """Keep that the clock of the cube *row* was so far ahead of UTC, in place of an older word."""
    with ledger.transaction():
        forget(ledger, row["id"], "stated anew")
        ledger.insert(
            "clock_word",
            raw_file=row["id"],
            night=row["night"],
            ahead_s=ahead_s,
            **ledger.stamp(why),
        )


def forget(ledger: Ledger, raw_file: int, why: str) -> None:
    """No such word counts any more."""
    ledger.execute(
        "update clock_word set changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where raw_file = :raw_file",
        {**ledger.stamp(why), "raw_file": raw_file},
    )
    ledger.execute("delete from clock_word where raw_file = ?", [raw_file])


def stated_clock(row: Mapping[str, Any]) -> StatedClock | None:
    """What was said of a cube, by a row with COLUMNS."""
    if row.get("stated_s") is None:
        return None
    words = f"{row['stated_by']} ({row['stated_why']})"
    return StatedClock(ahead_s=row["stated_s"], words=words)
