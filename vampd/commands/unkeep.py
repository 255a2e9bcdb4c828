"""`vampd unkeep DATE`: a night's space may be given back when its time comes."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("unkeep")
@acting.options
@click.option("--why", metavar="TEXT", help="The reason, for the ledger.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    why: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let the space of a night that was kept be given back when its time comes."""
    acting.act(context, "unkeep", date, kind, {"why": why}, dry_run=dry_run, as_json=as_json)
