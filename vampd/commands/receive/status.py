"""`vampd receive status`: where every delivered night is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vampd import __version__
from vampd.commands.receive.site import config_of, reading
from vampd.commands.screen import Screen, echo_json, paragraph, record_json, size_text, time_text
from vampd.io.clock import SystemClock
from vampd.io.lock import holder
from vampd.ledger.alerts import Condition
from vampd.receive.states import HOLDING, OPEN, FileState, StepState
from vampd.receive.views import Limits, ReceivedNight, conditions, nights


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Print a line for each delivered night, and what somebody should know.

    Columns: files that lie where they belong, and their size; that are still to come; that need
    somebody; that no list names; steps of the reduction that are done, of all.
    """
    config = config_of(context)
    now_us = SystemClock().now_us()
    with reading(config) as ledger:
        every = nights(ledger)
        told = conditions(ledger, Limits.of(config), now_us)
    if as_json:
        echo_json({"nights": [_json(night) for night in every], "conditions": _told_json(told)})
        return
    screen = Screen.of_stdout()
    pid = holder(config.state_dir)
    click.echo(
        f"vampd receive {__version__}  {time_text(now_us)}  {'running' if pid else 'NOT RUNNING'}"
    )
    click.echo()
    if every:
        click.echo(screen.title(_HEAD))
    for night in every:
        click.echo(_line(screen, night))
    if told:
        click.echo()
        click.echo(screen.title("to look at"))
    for each in told:
        click.echo(paragraph(f"  {each.severity:8}  ", each.text, screen.width))


_HEAD = "kind        date     state     placed       size  to come  held  unlisted  steps"


def _line(screen: Screen, night: ReceivedNight) -> str:
    counts = night.counts
    steps = f"{night.steps.get(StepState.DONE, 0)}/{sum(night.steps.values())}"
    return (
        f"{night.kind:11} {night.date} {screen.word(night.state, 9)}"
        f" {counts.get(FileState.PLACED, 0):6} {size_text(night.placed_bytes):>10}"
        f" {sum(counts.get(state, 0) for state in OPEN):8}"
        f" {sum(counts.get(state, 0) for state in HOLDING):5}"
        f" {counts.get(FileState.UNLISTED, 0):9}"
        f"  {steps if night.steps else '-'}"
    )


def _json(night: ReceivedNight) -> dict[str, object]:
    return {
        **record_json(night, "kind", "date", "state", "cause"),
        "files": {str(state): count for state, count in night.counts.items()},
        **record_json(night, "placed_bytes", "seen_us", "moved_us"),
        "steps": {str(state): count for state, count in night.steps.items()},
    }


def _told_json(told: Sequence[Condition]) -> list[dict[str, object]]:
    return [record_json(each, "name", "severity", "text", "since_us") for each in told]
