"""How far the records in a night's folder go: its journal of events, and its rows.

The table `paper` says for each night up to which event they were written, and when.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import Record, fetch_each, fetch_one

#: A night at work has many events a second, and of a large one the rows are some 10^5.
_QUIET_US = 60_000_000
_LONG_US = 10 * _QUIET_US  # for rows, as long as no stage of a night ends

#: Up to which event the papers go; how many stages of the night have ended.
_LAST = "(select max(id) from event where night = night.id)"
_ENDED = (
    "(select count(*) from (select 1 from tally where night = night.id and subject = 'task'"
    " and items > 0 group by part, batch having sum(state != 'done') = 0))"
)
_IS_DUMP_DUE = (
    "(coalesce(dumped_us, 0) <= :now_us - :quiet_us or dumped_us > :now_us)"
    " and (night.status in ('safe', 'reclaimed', 'empty', 'abandoned') or dumped_us > :now_us"
    " or coalesce(dumped_us, 0) <= :now_us - :long_us"
    # Of a night that goes on no stage has ended: each begins anew, every minute, as more comes.
    f" or (night.closed_us is not null and {_ENDED} != coalesce(paper.ended, 0)))"
)


class Written(Struct, frozen=True, kw_only=True):
    """How far the records of a night go."""

    event: int  #: the last in the journal
    with_dump: bool
    ended: int  #: stages that had ended


class NightToExport(Night, frozen=True, kw_only=True):
    """A night of which records are to be written."""

    with_dump: bool  #: its rows as well


class Event(Record, frozen=True, kw_only=True):
    """One change, as the ledger's own triggers wrote it."""

    id: int
    at_us: int
    subject: str
    subject_id: int
    night: int | None
    was: str | None
    became: str
    actor: str
    why: str | None
    version: str
    about: str | None


def next_to_export(ledger: Ledger, quiet_us: int = _QUIET_US) -> NightToExport | None:
    """A night of which the papers are behind its events, and were not written for *quiet_us*.

    Its column `with_dump` says whether its rows are to be written as well: when a stage of a closed
    night has ended, and now and then. Only of nights that something was made of, or that a number
    was dealt to: of all others a daemon finds out everything again by looking.
    """
    return fetch_one(
        NightToExport,
        ledger,
        f"select night.*, {_IS_DUMP_DUE} as with_dump from night"  # noqa: S608 - constants
        " left join paper on paper.night = night.id"
        f" where {_LAST} > coalesce(paper.dump_event, 0)"
        " and (coalesce(paper.written_us, 0) <= :now_us - :quiet_us or paper.written_us > :now_us)"
        " and (paper.night is not null"
        " or exists (select 1 from output where night = night.id)"
        " or exists (select 1 from frame_id where night = night.id))"
        f" and ({_LAST} > coalesce(paper.event, 0) or {_IS_DUMP_DUE})"
        " limit 1",
        {"now_us": ledger.now_us(), "quiet_us": quiet_us, "long_us": _LONG_US},
    )


def stages_ended(ledger: Ledger, night: int) -> int:
    """How many stages of a night have ended, each batch counted."""
    ended: int = ledger.value(f"select {_ENDED} from night where id = ?", [night])  # noqa: S608
    return ended


def last_event(ledger: Ledger, night: int) -> int:
    """The number of the last event of a night; 0 where it has none."""
    number: int = ledger.value("select coalesce(max(id), 0) from event where night = ?", [night])
    return number


def event_of(ledger: Ledger, night: int, number: int) -> Event | None:
    """An event of a night by its number; None: it is another night's, or there is none."""
    return fetch_one(
        Event, ledger, "select * from event where id = ? and night = ?", [number, night]
    )


def events_after(ledger: Ledger, night: int, after: int) -> Iterator[Event]:
    """The events of a night that follow the one numbered *after*, one by one: they may be many."""
    return fetch_each(
        Event, ledger, "select * from event where night = ? and id > ? order by id", [night, after]
    )


def record_written(ledger: Ledger, night: int, told: Written | None) -> None:
    """The records of a night were written, as far as *told*; None: they were tried in vain."""
    now_us = ledger.now_us()
    ledger.execute(
        "insert into paper (night, event, written_us) values (?1, 0, ?2)"
        " on conflict do update set written_us = ?2",
        [night, now_us],
    )
    if told is None:
        return
    ledger.execute("update paper set event = ? where night = ?", [told.event, night])
    if told.with_dump:
        ledger.execute(
            "update paper set dump_event = ?, dumped_us = ?, ended = ? where night = ?",
            [told.event, now_us, told.ended, night],
        )
