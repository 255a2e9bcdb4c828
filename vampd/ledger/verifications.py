"""Copies that are read through again: for which nights it is going on, and what came of it.

The columns `verify_since_us`, `verify_tried_us` and `verify_asked_by` of a night say how far it is.
"""

from __future__ import annotations

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_one
from vampd.states import Kind


def ask(ledger: Ledger, night: int) -> None:
    """Read every copy of a night again, as the ledger's actor ordered."""
    ledger.update(
        "night",
        night,
        verify_since_us=ledger.now_us(),
        verify_tried_us=None,
        verify_asked_by=ledger.actor,
    )


def begin_oldest(ledger: Ledger, kind: Kind, age_us: int) -> bool:
    """Begin with the night of *kind* that was verified longest ago; False: none is that old."""
    now_us = ledger.now_us()
    number = ledger.value(
        "select id from night where kind = ? and status in ('safe', 'reclaimed')"
        " and verify_since_us is null and coalesce(verified_us, safe_us, 0) < ?"
        " order by coalesce(verified_us, safe_us, 0), id limit 1",
        [kind, now_us - age_us],
    )
    if number is None:
        return False
    ledger.update("night", number, verify_since_us=now_us, verify_tried_us=None)
    return True


def in_progress(ledger: Ledger, rests_us: int) -> Night | None:
    """The night whose turn it is: one that failed rests for *rests_us*; what people asked first."""
    return fetch_one(
        Night,
        ledger,
        "select * from night where verify_since_us is not null and status in ('safe', 'reclaimed')"
        " and coalesce(verify_tried_us, 0) <= ?"
        " order by verify_asked_by is null, verify_since_us, id limit 1",
        [ledger.now_us() - rests_us],
    )


def unread_copies(ledger: Ledger, night: Night) -> list[str]:
    """Paths of the copies that were not read since it began, the oldest verification first."""
    rows = ledger.rows(
        "select path from deliverable where night = ? and coalesce(verified_us, 0) < ?"
        " order by coalesce(verified_us, 0), path",
        [night.id, night.verify_since_us],
    )
    return [row["path"] for row in rows]


def mend_dates(ledger: Ledger) -> None:
    """What was begun while the date was ahead began by now: else no copy is ever read since."""
    now_us = ledger.now_us()
    for column in ("verify_since_us", "verify_tried_us"):
        query = f"select id from night where {column} > ?"  # noqa: S608 - constants
        for night in ledger.rows(query, [now_us]):
            ledger.update("night", night["id"], **{column: now_us})


def note_tried(ledger: Ledger, night: int) -> None:
    """It was tried just now, and nothing was found out."""
    ledger.update("night", night, verify_tried_us=ledger.now_us())


def end(ledger: Ledger, night: int) -> None:
    """Every copy was read."""
    ledger.update("night", night, verify_since_us=None, verify_asked_by=None)


def record(
    ledger: Ledger, night: int, place: str, *, files: int, wrong: int, error: str | None, why: str
) -> None:
    """Keep that a whole night was verified again: how many of its *files* were *wrong*.

    With an *error*, nothing was found out.
    """
    ledger.insert(
        "verification",
        night=night,
        place=place,
        files=files,
        wrong=wrong,
        error=error,
        **ledger.stamp(why),
    )
