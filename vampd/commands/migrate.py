"""`vampd migrate`: bring the ledger to this version's schema."""

from __future__ import annotations

import click

from vampd import __version__
from vampd.commands import acting
from vampd.commands.screen import echo_json
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger.connection import ledger_path, open_ledger, pending_migrations


@click.command("migrate")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, dry_run: bool, as_json: bool) -> None:
    """Apply the migrations that the ledger lacks, as the daemon does when it starts.

    Refused while a daemon runs.
    """
    folder = context.obj.config().state_dir
    path = ledger_path(folder)
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
