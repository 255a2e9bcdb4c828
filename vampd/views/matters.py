"""What of the nights needs somebody: one list, the worst first, of which all views are made. Pure.

Nights that stand for the same cause are one matter, which is told once, with its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from vampd.states import ErrorClass, HoldCode, Kind, NightStatus, Severity
from vampd.value_words import count_text
from vampd.views import advice, causes
from vampd.views.summaries import Summary

#: Data may be lost, or are not where they were.
_AT_RISK = frozenset(
    f"hold: {code}"
    for code in (
        HoldCode.COPIES_WRONG,
        HoldCode.RAW_GONE,
        HoldCode.RAW_CHANGED,
        HoldCode.RAW_UNREADABLE,
        HoldCode.RECORDS_LOST,
        HoldCode.FOLDER_AWAY,
    )
) | {f"{NightStatus.HELD}: {ErrorClass.INTEGRITY}"}

_RANKS = {NightStatus.FAILED: 1, NightStatus.HELD: 2}
_LAST_RANK = 3

#: Of dates that do not follow each other, so many runs are told.
_MOST_RUNS = 3


class Matter(Struct, frozen=True, kw_only=True):
    """Something that does not go on without a person; *summaries*: the nights, the oldest first."""

    rank: int  #: 0 is the worst
    rule: str
    cause: str  #: the same for nights of the same kind, status and rule that are told as one
    summaries: Sequence[Summary]

    @property
    def first(self) -> Summary:
        """The night of which its words are."""
        return self.summaries[0]

    @property
    def severity(self) -> Severity:
        """How urgent it is."""
        return Severity.CRITICAL if self.rank < _LAST_RANK else Severity.WARNING

    @property
    def title(self) -> str:
        """Which nights, in short: `archive 20251107`, `3 archive nights: 20251107..20251109`."""
        night = self.first.night
        if len(self.summaries) == 1:
            return str(night)
        dates = date_runs([each.night.date for each in self.summaries])
        shown = ", ".join(dates[:_MOST_RUNS]) + (", ..." if len(dates) > _MOST_RUNS else "")
        return f"{count_text(len(self.summaries), f'{night.kind} night')}: {shown}"


def matters(summaries: Sequence[Summary]) -> list[Matter]:
    """What needs somebody, the worst first, then what holds up most nights, then the oldest."""
    groups: dict[tuple[Kind, NightStatus, str, str], list[Summary]] = {}
    for summary in summaries:
        night = summary.night
        if night.status in advice.TOLD and advice.needs_somebody(summary):
            rule, _ = causes.rule_of(summary)
            groups.setdefault((night.kind, night.status, rule, _like(summary)), []).append(summary)
    found = [
        Matter(rank=_rank(status, rule), rule=rule, cause=cause, summaries=group)
        for (_, status, rule, cause), group in groups.items()
    ]
    return sorted(
        found,
        key=lambda each: (each.rank, -len(each.summaries), each.first.night.date),
    )


def date_runs(dates: Sequence[str]) -> list[str]:
    """Dates in runs of days that follow each other: `20251101..20251106`, `20251108`."""
    runs: list[list[str]] = []
    for date in dates:
        if runs and _day_after(runs[-1][-1]) == date:
            runs[-1].append(date)
        else:
            runs.append([date])
    return [run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs]


def _day_after(date: str) -> str:
    try:
        return f"{datetime.strptime(date, '%Y%m%d') + timedelta(days=1):%Y%m%d}"  # noqa: DTZ007
    except ValueError:  # eight digits that are no date
        return ""


def _rank(status: NightStatus, rule: str) -> int:
    return 0 if rule in _AT_RISK else _RANKS.get(status, _LAST_RANK)


def _like(summary: Summary) -> str:
    """The same for nights that stand for the same cause, whatever their dates."""
    trouble, date = summary.trouble, summary.night.date
    words = advice.cause_of(summary) or ""
    if summary.night.hold is None and trouble is not None:
        words = f"{trouble.stage} {trouble.code or trouble.line}"
    return words.replace(date, "DATE")
