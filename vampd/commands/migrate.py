"""`vampd admin migrate`: bring the ledger to this version's schema."""

from __future__ import annotations

import click

from vampd import __version__
from vampd.commands import acting
from vampd.commands.screen import echo_json
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger.backups import go_back
from vampd.ledger.connection import ledger_path, open_ledger, pending_migrations


@click.command("migrate")
@click.option("--back", is_flag=True, help="Undo it, for an older vampd to read the ledger.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, back: bool, dry_run: bool, as_json: bool) -> None:
    """Apply the migrations that the ledger lacks, as the daemon does when it starts.

    The ledger is copied beside itself before. --back makes that copy the ledger again; it is
    refused once work was done that would be forgotten. Refused while a daemon runs.
    """
    folder = context.obj.config().state_dir
    path = ledger_path(folder)
    if back:
        with StateLock.acquire(folder):
            lines = go_back(path, dry_run=dry_run)
        if as_json:
            echo_json({"path": str(path), "lines": lines, "applied": not dry_run})
        for line in [] if as_json else lines:
            click.echo(line)
        return
    pending = pending_migrations(path)
    if pending and not dry_run:
        with StateLock.acquire(folder):
            open_ledger(folder, version=__version__, clock=SystemClock()).close()
    if as_json:
        echo_json({"path": str(path), "migrations": pending, "applied": not dry_run})
        return
    if not pending:
        click.echo(f"{path}: nothing to apply")
    for name in pending:
        click.echo(f"{path}: {'would apply' if dry_run else 'applied'} {name}")
