"""`vampd log [DATE]`: what happened, in words: when, who, what, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from vampd.commands import dates
from vampd.commands.live import until_interrupted
from vampd.commands.moments import parse_moment
from vampd.commands.screen import (
    Screen,
    count_text,
    echo_json,
    hst_text,
    paragraph,
    record_json,
    time_text,
)
from vampd.io.clock import SystemClock
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.plain_json import plain_json
from vampd.settings.sections import Config
from vampd.states import TaskState
from vampd.time_units import SECOND_US
from vampd.views.history import Event, events, last_event
from vampd.views.summaries import nights

#: Without a night and a time, so many lines are told: what fits a screen.
_LINES = 40


#: Of so many events at most these lines are made.
_NEWEST = 20_000

#: What a night has thousands of: told together, unless each is asked for.
_MANY = frozenset({"raw_file", "output", "frame_id", "stray"})
_NOUNS = {"raw_file": "raw file", "stray": "raw file", "frame_id": "frame ID", "task": "unit"}


class Told(Struct, frozen=True, kw_only=True):
    """One line: an event, or several of one sort."""

    event: Event  #: the first
    last: Event
    count: int


class _Asked(Struct, frozen=True, kw_only=True):
    """Which events."""

    config: Config
    date: str | None
    kind: str | None
    since_us: int | None


@click.command("log")
@click.argument("date", metavar="[DATE]", required=False, shell_complete=dates.complete)
@dates.kind_option
@click.option("--since", metavar="TIME", help="Not before: 2025-11-06T05:10 (UT), 2h, 3d.")
@click.option("--each", is_flag=True, help="Every file and unit on a line of its own.")
@click.option("--follow", is_flag=True, help="Go on with what happens now, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON; with --follow, in lines.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str | None,
    kind: str | None,
    since: str | None,
    each: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Tell what happened, to DATE's nights or at all: when, what, who, why.

    Without DATE and --since: the newest. What a night has many of is told together.
    """
    since_us = None if since is None else parse_moment(since, now_us=SystemClock().now_us())
    asked = _Asked(config=context.obj.config(), date=date, kind=kind, since_us=since_us)
    found, newest = _events(asked)
    if as_json and not follow:
        echo_json({"events": [_as_json(event) for event in found]})
        return
    printer = _Printer(screen=Screen.of_stdout(), each=each, as_json=as_json)
    limit = _LINES if date is None and since is None else None
    printer.print(found, limit)
    if follow:
        until_interrupted(lambda: _go_on(asked, printer, newest))


def _go_on(asked: _Asked, printer: _Printer, after: int) -> Iterator[None]:
    """Print what is new since event *after*; once for each step."""
    while True:
        found, after = _events(asked, after=after)
        printer.print(found)
        yield


def _events(asked: _Asked, after: int = 0) -> tuple[list[Event], int]:
    """The events asked for that are later than *after*, and the number of the last of all."""
    config = asked.config
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen: list[Night] | None = None
        if asked.date is not None:
            chosen = dates.chosen(nights(ledger), [asked.date], asked.kind)
        elif asked.kind is not None:
            chosen = [night for night in nights(ledger) if night.kind == asked.kind]
        everything = asked.date is not None or asked.since_us is not None or after
        found = events(
            ledger,
            nights=chosen,
            since_us=asked.since_us,
            after=after,
            newest=None if everything else _NEWEST,
        )
        return found, last_event(ledger)


class _Printer:
    """Prints events, and a heading where the date changes."""

    def __init__(self, *, screen: Screen, each: bool, as_json: bool) -> None:
        self._screen = screen
        self._each = each
        self._as_json = as_json
        self._day = ""
        self._why: str | None = None  #: of the line before

    def print(self, found: Sequence[Event], limit: int | None = None) -> None:
        """All of them, or the last *limit* lines."""
        if self._as_json:
            for event in found:
                click.echo(plain_json({"schema": 1, **_as_json(event)}))
            return
        told = [Told(event=event, last=event, count=1) for event in found]
        if not self._each:
            told = list(together(found))
        for line in told[-limit:] if limit else told:
            self._print(line)

    def _print(self, told: Told) -> None:
        moment = datetime.fromtimestamp(told.event.at_us // 1_000_000, UTC)
        day = f"{moment:%Y-%m-%d}"
        if day != self._day:
            click.echo(self._screen.title(f"{day} UT"))
            self._day = day
        label = f"{moment:%H:%M:%S} UT ({hst_text(told.event.at_us)}) "
        text = sentence(told, why=untold_why(told, self._why))
        click.echo(paragraph(label, text, self._screen.width))
        self._why = told.last.why


def untold_why(told: Told, before: str | None) -> str | None:
    """Why it happened, unless the line *before* told that already; None: there is none to tell.

    A night fails with its stage, for the same reason.
    """
    why = told.last.why
    is_told = why is not None and before is not None and why.endswith(f": {before}")
    return None if is_told else why


def together(found: Sequence[Event]) -> Iterator[Told]:
    """Events of one sort between two that matter become one line, at the first one's time."""
    gathered: dict[tuple[str | None, ...], Told] = {}
    for event in found:
        if _matters(event):
            yield from gathered.values()
            gathered.clear()
            yield Told(event=event, last=event, count=1)
            continue
        key = _key(event)
        before = gathered.get(key)
        if before is None:
            gathered[key] = Told(event=event, last=event, count=1)
        else:
            gathered[key] = replace(before, last=event, count=before.count + 1)
    yield from gathered.values()


def _key(event: Event) -> tuple[str | None, ...]:
    """What is told together: of a night that goes on waiting, only the last cause."""
    why = None if event.subject == "night" else event.why
    stage = "" if _is_whole_stage(event) else event.about.partition(" ")[0]
    about = stage if event.subject == "task" else ""
    return (event.night, event.subject, about, event.became, event.actor, why)


def _is_whole_stage(event: Event) -> bool:
    return event.subject == "task" and " " not in event.about


def _matters(event: Event) -> bool:
    """Whether an event has a line of its own: nights, whole stages, and what went wrong."""
    if event.subject in _MANY:
        return False
    if event.subject == "night":
        return event.was != event.became or event.actor != "vampd"
    if event.subject != "task":
        return True
    went_wrong = event.became == TaskState.FAILED or (
        event.was == TaskState.RUNNING and event.became == TaskState.PENDING
    )
    return went_wrong or (_is_whole_stage(event) and event.became != TaskState.PENDING)


def sentence(told: Told, *, why: str | None) -> str:
    """What happened, until when, who did it, and *why*."""
    event = told.last
    moved = f"{event.was} -> {event.became}" if event.was != event.became else f"still {event.was}"
    moved = event.became if event.was is None else moved
    night = f"{event.night}: " if event.night is not None else ""
    text = f"{night}{_what(told)}{moved}"
    until = ""
    if event.at_us - told.event.at_us >= SECOND_US and event.subject != "night":
        until = f", until {time_text(event.at_us)[11:22]}"
    who = "" if event.actor == "vampd" else f" by {event.actor}"
    return f"{text}{until}{who}{f': {why}' if why and why != event.became else ''}"


def _what(told: Told) -> str:
    event = told.event
    if event.subject == "night":
        return ""
    noun = _NOUNS.get(event.subject, event.subject.replace("_", " "))
    if told.count > 1 and event.subject == "task":
        stage, _, unit = event.about.partition(" ")
        return f"{stage} {count_text(told.count, noun)} " if unit else f"{told.count} stages "
    if told.count > 1:
        return f"{count_text(told.count, noun)} "
    about = event.about or str(event.subject_id)
    return f"{about} " if event.subject == "task" else f"{noun} {about} "


def _as_json(event: Event) -> dict[str, Any]:
    return {
        **record_json(event, "id", "at_us", "kind", "date", "subject", "subject_id"),
        "about": event.about or None,
        **record_json(event, "was", "became", "actor", "why", "version"),
    }
