"""`vampd close DATE`: a night is over because somebody says so."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("close")
@acting.options
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, dry_run: bool, as_json: bool
) -> None:
    """Say that a night is over, without waiting for its date to end and its files to be quiet.

    Files that are not whole by then are quarantined with their reason.
    """
    acting.act(context, "close", date, kind, {}, dry_run=dry_run, as_json=as_json)
