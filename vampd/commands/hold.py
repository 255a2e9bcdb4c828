"""`vampd hold DATE`: a night stops until somebody releases it."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("hold")
@acting.options
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, why: str, dry_run: bool, as_json: bool
) -> None:
    """Hand out no more work of a night, until `vampd release`."""
    acting.act(context, "hold", date, kind, {"why": why}, dry_run=dry_run, as_json=as_json)
