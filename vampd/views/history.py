"""The ledger's events, for the commands that tell what happened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from vampd.ledger import exports
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_each, fetch_one

# What an event is about is in the event where its row may be gone, else in the row.
_COLUMNS = (
    "select event.*, night.kind, night.date, raw_file.path, task.stage, task.unit, output.name"
    " from event"
    " left join night on night.id = event.night"
    " left join raw_file on event.subject = 'raw_file' and raw_file.id = event.subject_id"
    " left join task on event.subject = 'task' and task.id = event.subject_id"
    " left join output on event.subject = 'output' and output.id = event.subject_id"
)


class Event(Struct, frozen=True, kw_only=True):
    """One change of one thing: what, when, who, why."""

    id: int
    at_us: int
    night: str | None  #: `archive 20251106`
    kind: str | None
    date: str | None
    subject: str
    subject_id: int
    about: str  #: which one, in words: a path, a name, a stage with its unit; may be empty
    was: str | None
    became: str
    actor: str
    why: str | None
    version: str


class _EventRow(exports.Event, frozen=True, kw_only=True):
    """An event with what may be known of its subject."""

    kind: str | None
    date: str | None
    path: str | None
    stage: str | None
    unit: str | None
    name: str | None


class Move(Struct, frozen=True, kw_only=True):
    """How a night came into its status."""

    at_us: int
    actor: str
    why: str | None


def events(
    ledger: Reader,
    *,
    nights: Collection[Night] | None = None,
    since_us: int | None = None,
    after: int = 0,
    newest: int | None = None,
) -> list[Event]:
    """Events in the order in which they happened.

    *nights*: of these alone. *since_us*: not before. *after*: later than that one. *newest*: only
    so many of the last ones.
    """
    where, values = ["event.id > ?"], [after]
    if nights is not None:
        where.append(f"event.night in ({', '.join('?' * len(nights))})")
        values += [night.id for night in nights]
    if since_us is not None:
        where.append("event.at_us >= ?")
        values.append(since_us)
    query = f"{_COLUMNS} where {' and '.join(where)} order by event.id"
    if newest is None:
        return [_event(row) for row in fetch_each(_EventRow, ledger, query, values)]
    rows = fetch_all(_EventRow, ledger, f"{query} desc limit ?", [*values, newest])
    return [_event(row) for row in reversed(rows)]


def last_event(ledger: Reader) -> int:
    """The number of the newest event; 0 before the first."""
    return int(ledger.execute("select coalesce(max(id), 0) from event").fetchone()[0])


def events_of(ledger: Reader, subject: str, number: int, night: int) -> list[Event]:
    """What happened to one raw file, output, task or frame ID of a night."""
    query = (
        f"{_COLUMNS} where event.night = ? and event.subject = ? and event.subject_id = ?"
        " order by event.id"
    )
    return [_event(row) for row in fetch_all(_EventRow, ledger, query, (night, subject, number))]


def last_move(ledger: Reader, night: Night) -> Move | None:
    """When, by whom and why the night came into the status that it has."""
    return fetch_one(
        Move,
        ledger,
        "select at_us, actor, why from event where night = ? and subject = 'night'"
        " and was is not became order by id desc limit 1",
        (night.id,),
    )


def _event(row: _EventRow) -> Event:
    return Event(
        id=row.id,
        at_us=row.at_us,
        night=f"{row.kind} {row.date}" if row.kind else None,
        kind=row.kind,
        date=row.date,
        subject=row.subject,
        subject_id=row.subject_id,
        about=_about(row),
        was=row.was,
        became=row.became,
        actor=row.actor,
        why=row.why,
        version=row.version,
    )


def _about(row: _EventRow) -> str:
    known: dict[str, Any] = {
        "raw_file": row.path,
        "task": f"{row.stage or ''} {row.unit or ''}".strip(),
        "output": row.name,
        "frame_id": frame_id_text(row.subject_id) if row.subject == "frame_id" else "",
    }
    return str(row.about or known.get(row.subject) or "")
