"""Which copies of the ledger there are: the newest here, and at each destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vampd.ledger.connection import Ledger
from vampd.ledger.reading import Reader
from vampd.ledger.rows import Record, fetch_all, fetch_one

if TYPE_CHECKING:  # what makes copies loads numpy, and every answer reads which there are
    from vampd.ledger.copy_files import MadeCopy

HERE = ""  #: the place of copies on this machine


class KeptCopy(Record, frozen=True, kw_only=True):
    """The newest copy that is right at a place, and the last try to have another there."""

    place: str
    name: str | None  #: None: there is none yet
    size_bytes: int | None
    event: int | None
    made_us: int | None
    tried_us: int
    error: str | None
    failing_since_us: int | None
    is_damaged: bool  #: the ledger itself, by that error


def at(ledger: Ledger, place: str) -> KeptCopy | None:
    """What is known of the copies at *place*."""
    return fetch_one(KeptCopy, ledger, "select * from ledger_copy where place = ?", [place])


def everywhere(reader: Reader) -> list[KeptCopy]:
    """What is known of the copies at every place, here first."""
    return fetch_all(KeptCopy, reader, "select * from ledger_copy order by place")


def since_us(reader: Reader) -> int:
    """Since when there is something that a copy could keep: the first daemon's start."""
    (begun_us,) = reader.execute("select min(started_us) from daemon").fetchone()
    return int(begun_us or 0)


def last_event(reader: Reader) -> int:
    """The last event of the ledger; 0: nothing happened yet."""
    (number,) = reader.execute("select coalesce(max(id), 0) from event").fetchone()
    return int(number)


def record(ledger: Ledger, place: str, made: MadeCopy) -> None:
    """The copy *made* is right at *place*."""
    ledger.execute(
        "insert into ledger_copy (place, name, size_bytes, event, made_us, tried_us)"
        " values (:place, :name, :size_bytes, :event, :made_us, :now_us)"
        " on conflict (place) do update set name = :name, size_bytes = :size_bytes,"
        " event = :event, made_us = :made_us, tried_us = :now_us, error = null,"
        " failing_since_us = null, is_damaged = 0",
        {
            "place": place,
            "name": made.name,
            "size_bytes": made.size_bytes,
            "event": made.event,
            "made_us": made.made_us,
            "now_us": ledger.now_us(),
        },
    )


def record_failure(ledger: Ledger, place: str, error: str, *, is_damaged: bool = False) -> None:
    """There is no new copy at *place*, for the reason *error*: that the ledger *is_damaged*."""
    ledger.execute(
        "insert into ledger_copy (place, tried_us, error, failing_since_us, is_damaged)"
        " values (:place, :now_us, :error, :now_us, :is_damaged)"
        " on conflict (place) do update set tried_us = :now_us, error = :error,"
        " is_damaged = :is_damaged, failing_since_us = coalesce(failing_since_us, :now_us)",
        {
            "place": place,
            "error": error,
            "now_us": ledger.now_us(),
            "is_damaged": int(is_damaged),
        },
    )
