"""A failure in three lines: what, in the tool's own words; what is safe; the next command."""

from __future__ import annotations

from collections.abc import Mapping

from vampd.causes import CauseCode
from vampd.states import HoldCode, Kind, NightStatus
from vampd.value_words import count_text
from vampd.views import causes
from vampd.views.explanations_held import NOBODY
from vampd.views.summaries import Summary, why_held

#: Statuses that operators must be told about.
TOLD = frozenset({NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD})

#: Of a program's last words, so many lines; `vampd show` has them all.
_LINES = 4


#: Holds of which the sentence is too short to be understood.
_HOLDS: Mapping[CauseCode | None, str] = {
    HoldCode.RESTORED: "restored: what vampd had made of it is deleted"
}


def cause_of(summary: Summary) -> str | None:
    """Why the night is not going on, in one text; None where it is."""
    night, trouble = summary.night, summary.trouble
    if night.cause:
        return f"{night.cause} ({summary.left} left)" if summary.left else night.cause
    if night.hold:
        return night.hold
    if trouble is not None and night.status in TOLD:
        return trouble.line
    return None


def what(summary: Summary) -> str:
    """What is wrong: the stage, and the tool's own words."""
    night, trouble = summary.night, summary.trouble
    if night.status is NightStatus.HELD and night.hold is not None:
        return _shortened(f"{night.status}: {_HOLDS.get(why_held(night), night.hold)}")
    cause = cause_of(summary) or "no reason was recorded"
    if trouble is None or not (trouble.line in cause or cause in trouble.line):
        # What stops any work of the night; that some of it went wrong before is not the cause.
        return _shortened(f"{night.status}: {cause}")
    unit = f" of {trouble.unit}" if trouble.unit else ""
    times = f", {trouble.attempts} times" if trouble.attempts > 1 else ""
    return _shortened(f"{night.status}: {trouble.stage}{unit}{times}: {trouble.line}")


def what_is_safe(summary: Summary, *, both_kinds: bool = False) -> str:
    """What cannot be lost by what happened."""
    raw = f"vampd changed no raw file ({count_text(summary.raw_files, 'cube')})"
    if special := causes.cause(summary, both_kinds=both_kinds).safe:
        raw = special
    if not summary.outputs:
        return raw
    built = f"{summary.built} of {count_text(summary.outputs, 'output')} built"
    return f"{raw}; {built}, {summary.verified} verified at the far end"


def next_step(summary: Summary, *, both_kinds: bool) -> str:
    """What to type. *both_kinds*: the date has a night of each kind."""
    return causes.cause(summary, both_kinds=both_kinds).next_step


def needs_somebody(summary: Summary) -> bool:
    """Whether the night does not go on by itself."""
    return summary.night.status is NightStatus.FAILED or (
        causes.cause(summary, both_kinds=False).who != NOBODY
    )


def both_kinds(summaries: list[Summary]) -> set[str]:
    """The dates of which there is a night of each kind."""
    dates: dict[str, set[Kind]] = {}
    for summary in summaries:
        dates.setdefault(summary.night.date, set()).add(summary.night.kind)
    return {date for date, kinds in dates.items() if len(kinds) > 1}


def _shortened(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) <= _LINES:
        return "\n".join(lines)
    # The first line says what was tried, the last ones what went wrong.
    return "\n".join([lines[0], "...", *lines[-(_LINES - 2) :]])
