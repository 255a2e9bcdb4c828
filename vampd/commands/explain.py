"""`vampd explain DATE`: why a night is where it is, who must act, and what to type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct

from vampd.commands import dates, logger_words, mail_words
from vampd.commands.screen import (
    Screen,
    count_text,
    duration_text,
    echo_json,
    paragraph,
    size_text,
    time_json,
    time_text,
)
from vampd.io.clock import SystemClock
from vampd.ledger.mail_tracks import MailTrack, Track, night_track
from vampd.ledger.reading import Reader, daemon_lock, reading
from vampd.ledger.records import Night
from vampd.states import NightStatus
from vampd.views import advice, causes
from vampd.views.activity import Progress, progress
from vampd.views.causes import Cause
from vampd.views.explanations_held import NOBODY, OPERATOR
from vampd.views.history import Move, last_move
from vampd.views.summaries import Summary, is_at_rest, nights, summarise

_VERBS = {
    NightStatus.COLLECTING: "has been collecting",
    NightStatus.READY: "has been ready",
    NightStatus.RUNNING: "has been running",
    NightStatus.WAITING: "has been waiting",
}


class Explained(Struct, frozen=True, kw_only=True):
    """One night, and all that its paragraph is made of."""

    summary: Summary
    cause: Cause
    move: Move | None
    running: tuple[Progress, ...]
    daemon_runs: bool
    name: str  #: the night as commands take it
    mail: MailTrack | None = None  #: where the archive team is told


@click.command("explain")
@dates.date_argument
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, date: str, kind: str | None, as_json: bool) -> None:
    """Say why a night is where it is: what it waits for, since when, who must act, what to type."""
    config, now_us = context.obj.config(), SystemClock().now_us()
    daemon_runs = daemon_lock(config.state_dir, config.reading_socket) is not None
    with reading(config.state_dir, config.reading_socket) as ledger:
        every = nights(ledger)
        found = [
            explained(
                ledger,
                night,
                every,
                daemon_runs=daemon_runs,
                now_us=now_us,
                has_mail=config.mail.is_configured,
            )
            for night in dates.to_read(every, date, kind)
        ]
    if as_json:
        echo_json({"nights": [_as_json(each, now_us) for each in found]})
        return
    screen = Screen.of_stdout()
    for number, each in enumerate(found):
        if number:
            click.echo("")
        click.echo(paragraph("", text_of(each, now_us=now_us), screen.width))
        if each.cause.command is not None or advice.needs_somebody(each.summary):
            click.echo("\n" + paragraph("  next  ", each.cause.next_step, screen.width))


def explained(
    ledger: Reader,
    night: Night,
    every: list[Night],
    *,
    daemon_runs: bool,
    now_us: int,
    has_mail: bool = False,
) -> Explained:
    """All that the paragraph of *night* is made of; its twin is looked for in *every* night.

    *has_mail*: the archive team is told (`config.mail.is_configured`).
    """
    summary = summarise(ledger, [night])[0]
    twins = sum(other.date == night.date for other in every) > 1
    return Explained(
        summary=summary,
        cause=causes.cause(summary, both_kinds=twins),
        move=last_move(ledger, night),
        running=tuple(progress(ledger, [summary], now_us=now_us)) if daemon_runs else (),
        daemon_runs=daemon_runs,
        name=causes.name_of(summary, both_kinds=twins),
        mail=night_track(ledger, night.id, configured=True) if has_mail else None,
    )


def text_of(each: Explained, *, now_us: int) -> str:
    """The paragraph."""
    return " ".join(_sentences(each, now_us))


def _sentences(each: Explained, now_us: int) -> Iterator[str]:
    summary, cause, night = each.summary, each.cause, each.summary.night
    since_us = each.move.at_us if each.move is not None else night.changed_us
    verb = _VERBS.get(night.status, f"has been {night.status}")
    yield f"{night} {verb} since {time_text(since_us)}, for {duration_text(now_us - since_us)}."
    if night.batch > 1 and not is_at_rest(night):
        yield f"What is worked on is its supplement {night.batch - 1}: files that came later."
    yield cause.because
    yield from _own_words(each)
    yield from _work(each, now_us)
    yield cause.awaits
    if night.hold is not None and night.status is not NightStatus.HELD:
        yield f"It is to be held as soon as possible ({night.hold}): vampd release {each.name}."
    if advice.needs_somebody(summary):
        yield f"{(OPERATOR if cause.who == NOBODY else cause.who).capitalize()} must act."
    elif night.status not in {NightStatus.SAFE, NightStatus.RECLAIMED}:
        yield "Nobody needs to act."
    yield f"Safe: {advice.what_is_safe(summary)}."
    yield from _odd(each)
    if each.mail is not None and each.mail.state not in {Track.NONE, Track.NOT_YET}:
        yield f"Its mail to the archive: {mail_words.track_text(each.mail, each.name)}."
    if not each.daemon_runs and not is_at_rest(night):
        yield "But the daemon is not running, and nothing happens until it does: vampd status."


def _own_words(each: Explained) -> Iterator[str]:
    """The recorded cause, and who recorded it, where a person did."""
    night, trouble = each.summary.night, each.summary.trouble
    said = advice.cause_of(each.summary)
    if not said or night.status not in advice.TOLD | {NightStatus.ABANDONED}:
        return
    own = " ".join(said.split())
    who = ""
    if each.move is not None and each.move.actor != "vampd":
        who = f" ({each.move.actor})"
    yield f'In its own words{who}: "{own}".'
    if night.hold is not None:
        return  # then what failed before is not why
    if trouble is not None and trouble.failing_since_us is not None:
        times = count_text(trouble.attempts, "attempt")
        yield f"It fails since {time_text(trouble.failing_since_us)}, after {times}."
    elif trouble is not None and trouble.attempts > 1:
        yield f"There were {trouble.attempts} attempts."


def _work(each: Explained, now_us: int) -> Iterator[str]:
    for running in each.running:
        text = f"{running.stage} is at {running.units_done} of {running.units}"
        if running.bytes_per_second:
            text += f", {size_text(round(running.bytes_per_second))}/s"
        if (seconds := running.seconds_left) is not None:
            left_us = round(seconds * 1e6)
            text += f", {duration_text(left_us)} left, until {time_text(now_us + left_us)}"
        yield f"{text}."


def _odd(each: Explained) -> Iterator[str]:
    summary = each.summary
    if summary.quarantined_untold:
        cubes = count_text(summary.quarantined_untold, "cube")
        yield f"{cubes} quarantined, and not in what was made: vampd quarantine {each.name}."
    if summary.late:
        cubes = count_text(summary.late, "cube")
        yield f"{cubes} came after it was closed, and become its supplement once it is safe."
    if summary.elsewhere:
        files = count_text(summary.elsewhere, "file")
        yield f"{files} at the far end not moved on yet to where they count as safe."
    for text in logger_words.toll_texts(summary.tolls):
        yield f"{text}: vampd show {each.name}."
    for oddity in summary.oddities:
        if oddity.text not in (summary.night.hold or ""):
            yield f"Odd: {oddity.text}."


def _as_json(each: Explained, now_us: int) -> dict[str, Any]:
    night, cause = each.summary.night, each.cause
    return {
        "kind": night.kind,
        "date": night.date,
        "status": night.status,
        "rule": cause.rule,
        "since": time_json(each.move.at_us if each.move is not None else night.changed_us),
        "by": each.move.actor if each.move is not None else None,
        "cause": advice.cause_of(each.summary),
        "who": cause.who,
        "next": cause.next_step,
        "command": cause.command,
        "text": text_of(each, now_us=now_us),
    }
