"""`vampd abandon DATE`: a night is given up."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("abandon")
@acting.options
@acting.yes_option
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    why: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give a night up: no more work is done for it, and later nights do not wait for it.

    Its raw files are kept.
    """
    acting.act(
        context, "abandon", date, kind, {"why": why}, dry_run=dry_run, as_json=as_json, yes=yes
    )
