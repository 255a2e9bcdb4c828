"""What operators said of the clocks of cubes that only their logger timed."""

from __future__ import annotations

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Cube, RawFile
from vampd.records import StatedClock

#: Columns for whoever selects cubes, and the join that they need; `Cube` has them.
COLUMNS = (
    "clock_word.ahead_s as stated_s, clock_word.changed_by as stated_by,"
    " clock_word.why as stated_why"
)
JOIN = "left join clock_word on clock_word.raw_file = cube.raw_file"


def state(ledger: Ledger, row: RawFile, ahead_s: int, why: str) -> None:
    """Keep that the clock of the cube *row* was so far ahead of UTC, in place of an older word."""
    with ledger.transaction():
        forget(ledger, row.id, "stated anew")
        ledger.insert(
            "clock_word",
            raw_file=row.id,
            night=row.night,
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


def stated_clock(cube: Cube) -> StatedClock | None:
    """What was said of a cube."""
    if cube.stated_s is None:
        return None
    return StatedClock(ahead_s=cube.stated_s, words=f"{cube.stated_by} ({cube.stated_why})")
