"""`vampd keep DATE`: nothing of a night is given back."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("keep")
@acting.options
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, why: str, dry_run: bool, as_json: bool
) -> None:
    """Keep the raw files and the outputs of a night on this machine, until `vampd unkeep`."""
    acting.act(context, "keep", date, kind, {"why": why}, dry_run=dry_run, as_json=as_json)
