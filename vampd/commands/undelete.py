"""`vampd undelete DATE`: what lies in the trash goes back into its place."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("undelete")
@acting.options
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, dry_run: bool, as_json: bool
) -> None:
    """Put back what lies in the trash of a night; nothing that lies in its place is replaced.

    What is being given back of the night stops. `vampd keep` has it stay.
    """
    acting.act(context, "undelete", date, kind, {}, dry_run=dry_run, as_json=as_json)
