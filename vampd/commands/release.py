"""`vampd release DATE`: a held night goes on."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("release")
@acting.options
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, dry_run: bool, as_json: bool
) -> None:
    """Let a held night go on where it stopped."""
    acting.act(context, "release", date, kind, {}, dry_run=dry_run, as_json=as_json)
