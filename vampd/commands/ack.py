"""`vampd ack DATE`: the archive said that it has a night's files."""

from __future__ import annotations

import click

from vampd.commands import acting
from vampd.errors import UsageError


@click.command("ack")
@acting.options
@click.option("--note", metavar="TEXT", help="What the archive wrote, or where.")
@click.option("--force", is_flag=True, help="Also for a night that vampd never mailed (--why).")
@click.option("--revoke", is_flag=True, help="Take it back: it was a mistake (--why).")
@click.option("--why", metavar="TEXT", help="The reason, for the ledger.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    note: str | None,
    force: bool,
    revoke: bool,
    why: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Record that the archive acknowledged all that it was told of a night so far.

    It holds for the manifests as they are now; raw files may be deleted on this word.
    """
    if (force or revoke) and not why:
        msg = "--force and --revoke need --why TEXT"
        raise UsageError(msg)
    arguments = {"note": note, "force": force, "revoke": revoke, "why": why}
    acting.act(context, "ack", date, kind, arguments, dry_run=dry_run, as_json=as_json)
