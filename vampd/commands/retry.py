"""`vampd retry DATE`: resume a night at what failed."""

from __future__ import annotations

import click

from vampd.commands import acting
from vampd.states import Stage


@click.command("retry")
@acting.options
@acting.yes_option
@click.option(
    "--from",
    "stage",
    type=click.Choice([stage.value for stage in Stage]),
    help="Do this stage and all after it again.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    stage: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Resume a night that failed, waits or is held, at the unit of work that failed.

    Never asks for new frame IDs where bound ones exist. From sync on, it deletes what vampd made of
    the night, as `vampd restore` does, and asks before.
    """
    acting.act(
        context,
        "retry",
        date,
        kind,
        {"from": stage},
        dry_run=dry_run,
        as_json=as_json,
        yes=yes or stage != Stage.SYNC,
    )
