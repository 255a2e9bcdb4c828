"""Builders of other hosts, as the daemon last saw them: for people. Nothing is decided by it."""

from __future__ import annotations

from msgspec import Struct

from vampd.ledger.connection import Ledger
from vampd.ledger.reading import Reader
from vampd.ledger.rows import fetch_all
from vampd.states import BuilderState


class Builder(Struct, frozen=True, kw_only=True):
    """A builder of another host."""

    address: str  #: where Dask reaches it
    host: str
    pid: int | None = None
    state: BuilderState = BuilderState.REFUSED
    why: str = ""  #: it is refused
    since_us: int = 0


class Roster(Struct, frozen=True, kw_only=True):
    """All builders that are known, and who leads to them."""

    scheduler: str
    away: str | None  #: why the scheduler does not answer
    since_us: int  #: it does, or does not
    builders: tuple[Builder, ...]


def keep(ledger: Ledger, roster: Roster) -> None:
    """Keep who is there now, in place of what was."""
    with ledger.transaction():
        forget(ledger)
        ledger.insert(
            "dask", id=1, scheduler=roster.scheduler, away=roster.away, since_us=roster.since_us
        )
        for each in roster.builders:
            ledger.insert(
                "builder",
                address=each.address,
                host=each.host,
                pid=each.pid,
                state=each.state,
                why=each.why,
                since_us=each.since_us,
            )


def forget(ledger: Ledger) -> None:
    """There are none."""
    ledger.execute("delete from builder")
    ledger.execute("delete from dask")


def roster_of(reader: Reader) -> Roster | None:
    """Who was there last; None: all work is done on the daemon's machine."""
    row = reader.execute("select scheduler, away, since_us from dask").fetchone()
    if row is None:
        return None
    scheduler, away, since_us = row
    return Roster(
        scheduler=scheduler,
        away=away,
        since_us=since_us,
        builders=tuple(fetch_all(Builder, reader, "select * from builder order by host, address")),
    )
