"""A failure in three lines: what, in the tool's own words; what is safe; the next command."""

from __future__ import annotations

from vampd.commands.screen import count_text, time_text
from vampd.ledger.summaries import Summary
from vampd.states import Kind, NightStatus

#: Statuses that operators must be told about.
TOLD = frozenset({NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD})

#: Of a program's last words, so many lines; `vampd show` has them all.
_LINES = 4


def cause_of(summary: Summary) -> str | None:
    """Why the night is not going on, in one text; None where it is."""
    night, trouble = summary.night, summary.trouble
    if night.cause:
        return night.cause
    if night.hold:
        return night.hold
    if trouble is not None and night.status in TOLD:
        return trouble.error
    return None


def what(summary: Summary) -> str:
    """What is wrong: the stage, and the tool's own words."""
    night, trouble = summary.night, summary.trouble
    cause = cause_of(summary) or "no reason was recorded"
    if trouble is None:
        return _shortened(f"{night.status}: {cause}")
    unit = f" of {trouble.unit}" if trouble.unit else ""
    times = f", {trouble.attempts} times" if trouble.attempts > 1 else ""
    first = f"{night.status}: {trouble.stage}{unit}{times}: "
    text = trouble.error if trouble.error in cause or cause in trouble.error else cause
    return _shortened(first + text)


def what_is_safe(summary: Summary) -> str:
    """What cannot be lost by what happened."""
    raw = f"vampd changed no raw file ({count_text(summary.raw_files, 'cube')})"
    if not summary.outputs:
        return raw
    built = f"{summary.built} of {count_text(summary.outputs, 'output')} built"
    return f"{raw}; {built}, {summary.verified} verified at the far end"


def next_step(summary: Summary, *, both_kinds: bool) -> str:
    """What to type. *both_kinds*: the date has a night of each kind."""
    night, trouble = summary.night, summary.trouble
    name = f"{night.date} --kind {night.kind}" if both_kinds else night.date
    if night.status is NightStatus.WAITING:
        due = trouble.due_us if trouble is not None else 0
        when = f"it goes on by itself at {time_text(due)}" if due else "it goes on by itself"
        return f"{when}; at once: vampd retry {name}"
    if night.status is NightStatus.HELD:
        verb = "release" if trouble is None else "retry"
        return f"decide (vampd show {name}), then: vampd {verb} {name}"
    return f"mend that, then: vampd retry {name}"


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
