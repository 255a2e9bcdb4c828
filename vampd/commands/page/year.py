"""A year of nights at a glance: a block for each month, a colour and a sign for each night."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

#: A sign beside the colour, for those who do not tell colours apart; none: nothing is to be done.
SIGNS: Mapping[str, str] = {
    "collecting": "…",
    "ready": "○",
    "running": "●",
    "waiting": "◔",
    "failed": "✗",
    "held": "■",
    "safe": "",
    "reclaimed": "",
    "empty": "∅",
    "abandoned": "†",
}


class Entry(Struct, frozen=True, kw_only=True):
    """A night in its day."""

    kind: str
    date: str
    status: str
    sign: str
    stage: str  #: the one that is at work or to come; empty when all are done


class Day(Struct, frozen=True, kw_only=True):
    """A day, and the nights of that UTC date."""

    number: int
    nights: Sequence[Entry]


class Month(Struct, frozen=True, kw_only=True):
    """A month; *blank* days of the week are before its first."""

    name: str
    blank: int
    days: Sequence[Day]


class Year(Struct, frozen=True, kw_only=True):
    """A year, and its neighbours that have nights."""

    year: int
    before: int | None
    after: int | None
    months: Sequence[Month]
    counts: Mapping[str, int]  #: nights of the year by status
    stages: Mapping[str, int]  #: nights of the year by the stage that they are in


def year_of(nights: Sequence[Mapping[str, Any]], asked: str, *, today: date) -> Year:
    """The year *asked* for, else the last of *nights*, which are as `status --json` has them."""
    entries = [_entry(night) for night in nights]
    known = sorted({int(entry.date[:4]) for entry in entries})
    usual = known[-1] if known else today.year
    year = int(asked) if asked.isascii() and asked.isdigit() and len(asked) == 4 else usual
    year = max(1, year)
    own = [entry for entry in entries if int(entry.date[:4]) == year]
    by_date: dict[str, list[Entry]] = {}
    for entry in own:
        by_date.setdefault(entry.date, []).append(entry)
    return Year(
        year=year,
        before=max((each for each in known if each < year), default=None),
        after=min((each for each in known if each > year), default=None),
        months=[_month(year, month, by_date) for month in range(1, 13)],
        counts=Counter(entry.status for entry in own),
        stages=Counter(entry.stage for entry in own if entry.stage),
    )


def _entry(night: Mapping[str, Any]) -> Entry:
    under_way = night["status"] not in {"safe", "reclaimed", "empty", "abandoned"}
    stage = next((name for name, state in night["stages"].items() if state != "done"), "")
    return Entry(
        kind=night["kind"],
        date=night["date"],
        status=night["status"],
        sign=SIGNS[night["status"]],
        stage=stage if under_way else "",
    )


def _month(year: int, month: int, by_date: Mapping[str, Sequence[Entry]]) -> Month:
    blank, length = calendar.monthrange(year, month)
    return Month(
        name=calendar.month_name[month],
        blank=blank,
        days=[
            Day(number=day, nights=by_date.get(f"{year:04d}{month:02d}{day:02d}", ()))
            for day in range(1, length + 1)
        ],
    )
