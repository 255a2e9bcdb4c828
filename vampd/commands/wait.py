"""`vampd wait DATE`: for scripts, until a night is where it is to be, or cannot get there alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum

import click
from msgspec import Struct

from vampd.commands import dates
from vampd.commands.screen import echo_json
from vampd.errors import OperatorError, RetryableError
from vampd.ledger.reading import daemon_lock, has_ledger, reading
from vampd.ledger.records import Night
from vampd.plain_text import first_line
from vampd.settings.sections import Config
from vampd.states import FINAL, NightStatus
from vampd.views import advice
from vampd.views.summaries import Summary, is_at_rest, nights, summarise

_LOOK_SECONDS = 2.0

#: The road of a night: who waits for one of these is content with a later one.
_ROAD = (
    NightStatus.COLLECTING,
    NightStatus.READY,
    NightStatus.RUNNING,
    NightStatus.SAFE,
    NightStatus.RECLAIMED,
)


class Reached(StrEnum):
    """How far a night is on its way to what is waited for."""

    THERE = "there"
    NOT_YET = "not yet"
    STUCK = "stuck"  #: it does not get there without somebody


class Judged(Struct, frozen=True, kw_only=True):
    """A night, and why it is not there."""

    night: str
    status: NightStatus | None  #: None: it was not seen yet
    reached: Reached
    why: str


@click.command("wait")
@click.argument("date", metavar="DATE", shell_complete=dates.complete)
@click.argument(
    "wanted",
    metavar="[STATE]",
    type=click.Choice([str(status) for status in NightStatus]),
    default=str(NightStatus.SAFE),
)
@dates.kind_option
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0), help="No longer.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    wanted: str,
    kind: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Wait until a night is safe, or in STATE; each night, where DATE means several.

    Exit status: 0 it is there; 1 it does not get there without somebody, and why; 75 the time is
    over. Who waits for ready, running or safe is content with a later one. A night of today or
    later that was not seen yet is waited for.
    """
    config = context.obj.config()
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        found = _look(config, date, kind, NightStatus(wanted))
        is_over = all(each.reached is Reached.THERE for each in found)
        is_stuck = any(each.reached is Reached.STUCK for each in found)
        is_late = deadline is not None and time.monotonic() >= deadline
        if is_over or is_stuck or is_late:
            break
        time.sleep(_LOOK_SECONDS)
    _tell(found, as_json=as_json)
    left = "; ".join(
        f"{each.night}: {each.why}" for each in found if each.reached is not Reached.THERE
    )
    if is_stuck:
        raise OperatorError(left)
    if not is_over:
        raise RetryableError(left)


def judge(summary: Summary, wanted: NightStatus, *, both_kinds: bool, daemon_runs: bool) -> Judged:
    """How far a night is on its way to *wanted*. Pure."""
    night = summary.night
    reached, why = Reached.NOT_YET, f"it is {night.status}"
    if night.status is wanted or _is_past(night, wanted):
        reached = Reached.THERE
    elif night.status in FINAL - {NightStatus.SAFE} or (is_at_rest(night) and not _may_move(night)):
        reached, why = Reached.STUCK, f"it is {night.status}, and nothing more is done of it"
    elif night.status in advice.TOLD and advice.needs_somebody(summary):
        what = first_line(advice.what(summary))
        reached = Reached.STUCK
        why = f"{what}; next: {advice.next_step(summary, both_kinds=both_kinds)}"
    elif not daemon_runs:
        reached, why = Reached.STUCK, f"{why}, and the daemon does not run: systemctl start vampd"
    return Judged(night=str(night), status=night.status, reached=reached, why=why)


def _is_past(night: Night, wanted: NightStatus) -> bool:
    if night.status not in _ROAD or wanted not in _ROAD:
        return False
    return _ROAD.index(night.status) >= _ROAD.index(wanted)


def _may_move(night: Night) -> bool:
    """A safe night goes on by itself: its space may be given back."""
    return night.status is NightStatus.SAFE


def _look(config: Config, date: str, kind: str | None, wanted: NightStatus) -> Sequence[Judged]:
    """Every night that *date* means. OperatorError: there is none, and none is to come."""
    if not has_ledger(config.state_dir, config.reading_socket):
        return [_unseen(date)]
    daemon_runs = daemon_lock(config.state_dir, config.reading_socket) is not None
    with reading(config.state_dir, config.reading_socket) as ledger:
        every = nights(ledger)
        asked = dates.parse(date)
        if asked.last >= dates.day(0) and asked.last not in {night.date for night in every}:
            return [_unseen(date)]
        chosen = summarise(ledger, dates.chosen(every, [date], kind))
    both = advice.both_kinds(chosen)
    return [
        judge(each, wanted, both_kinds=each.night.date in both, daemon_runs=daemon_runs)
        for each in chosen
    ]


def _unseen(date: str) -> Judged:
    return Judged(night=date, status=None, reached=Reached.NOT_YET, why="it was not seen yet")


def _tell(found: Sequence[Judged], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "night": each.night,
                "status": each.status,
                "reached": each.reached,
                "why": None if each.reached is Reached.THERE else each.why,
            }
            for each in found
        ]
        echo_json({"nights": rows})
        return
    for each in found:
        if each.reached is Reached.THERE:
            click.echo(f"{each.night} is {each.status}")
