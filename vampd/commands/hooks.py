"""`vampd admin hooks DATE`: how the site's own commands ended."""

from __future__ import annotations

import click

from vampd.commands import acting, dates
from vampd.commands.screen import (
    Screen,
    duration_text,
    echo_json,
    paragraph,
    record_json,
    time_text,
)
from vampd.ledger.hooks import HookRun, runs
from vampd.ledger.reading import reading
from vampd.views.summaries import nights


@click.command("hooks")
@dates.date_argument
@click.option("--again", is_flag=True, help="Run those that failed once more.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tell of the commands that the settings name in [hooks]: how each ended, and what it said.

    They run once a night is safe; a night is safe whatever becomes of them.
    """
    if again:
        acting.act(context, "hooks_again", date, kind, {}, dry_run=dry_run, as_json=as_json)
        return
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        found = {
            night: runs(ledger, night.id) for night in dates.to_read(nights(ledger), date, kind)
        }
    if as_json:
        rows = [
            {"kind": night.kind, "date": night.date, "hooks": [record_json(run) for run in each]}
            for night, each in found.items()
        ]
        echo_json({"nights": rows})
        return
    for night, each in found.items():
        click.echo(f"{night}:{'' if each else ' no command ran for it'}")
        for run in each:
            _tell(run)


def _tell(run: HookRun) -> None:
    took = ""
    if run.started_us is not None and run.finished_us is not None:
        took = f" after {duration_text(run.finished_us - run.started_us)}"
    since = f", begun {time_text(run.started_us)}" if run.started_us is not None else ""
    click.echo(f"  {Screen.of_stdout().word(run.state)}{took}{since}")
    click.echo(paragraph("    command  ", run.command))
    if run.error:
        click.echo(paragraph("    error    ", run.error))
    if run.output:
        click.echo(paragraph("    said     ", run.output))
