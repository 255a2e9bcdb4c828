"""How many files and bytes arrived of a night, minute by minute: what comes in just now.

Fast like `summaries`: one query, over the raw files of a night that collects.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import NightStatus
from vampd.time_units import MINUTE_US

#: So far back it is told: half an hour of short cubes fits on one line.
MINUTES = 30


class Minute(Struct, frozen=True, kw_only=True):
    """Raw files that were first seen within a minute, and what they hold by now."""

    files: int = 0
    size_bytes: int = 0


class Inflow(Struct, frozen=True, kw_only=True):
    """The last `MINUTES` of a night, the oldest first; the last of them ends now."""

    night: Night
    minutes: Sequence[Minute]

    @property
    def last(self) -> Minute:
        """The minute that ends now."""
        return self.minutes[-1]


def inflows(ledger: Reader, every: Sequence[Night], *, now_us: int) -> list[Inflow]:
    """What came of each night that still collects, the newest night first."""
    return [
        _inflow(ledger, night, now_us)
        for night in reversed(every)
        if night.status is NightStatus.COLLECTING
    ]


def _inflow(ledger: Reader, night: Night, now_us: int) -> Inflow:
    first_us = now_us - MINUTES * MINUTE_US
    rows = ledger.execute(
        "select (? - seen_us) / ? as minutes_ago, count(*), sum(size_bytes) from raw_file"
        " where night = ? and seen_us > ? and seen_us <= ? group by minutes_ago",
        (now_us, MINUTE_US, night.id, first_us, now_us),
    )
    found = {ago: Minute(files=files, size_bytes=size) for ago, files, size in rows}
    minutes = [found.get(ago, Minute()) for ago in reversed(range(MINUTES))]
    return Inflow(night=night, minutes=minutes)
