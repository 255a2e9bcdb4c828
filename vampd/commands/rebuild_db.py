"""`vampd admin rebuild-db`: a lost ledger, made again from the papers in the nights' folders."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vampd import __version__
from vampd.commands import acting
from vampd.commands.screen import count_text, echo_json, paragraph
from vampd.errors import OperatorError
from vampd.io.beneath import Beneath, rename_without_replacing, sync_folder
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.io.private import make_private_folder
from vampd.ledger.connection import LEDGER_NAME, ledger_path, open_ledger
from vampd.settings.sections import Config
from vampd.stages import lost_ledger
from vampd.stages.lost_ledger import NightAgain

_SCRATCH = "ledger-made-again"
#: Of many notes, so many are shown to people; programs get all of them.
_LINES = 5


@click.command("rebuild-db")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Another folder than state_dir, which must exist.",
)
@click.option("--digests", is_flag=True, help="Read every output; else its size must do.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, into: Path | None, digests: bool, dry_run: bool, as_json: bool
) -> None:
    """Make a lost ledger again from what lies beside each night.

    Plans, frame IDs, digests and history come back. What cannot be proved again does not: every
    night is verified at the far end before it is safe once more; the daemon does that by itself.
    Refused where a ledger is, while a daemon runs, and while a root's disk is absent.
    """
    config = context.obj.config()
    folder = into or config.state_dir
    if into is None:
        make_private_folder(folder)
    path = ledger_path(folder)
    _check_roots(config)
    with StateLock.acquire(folder):
        if path.exists():
            msg = f"{path} is there; move it away first, or name another folder with --into"
            raise OperatorError(msg)
        found = _make(config, folder, digests=digests, dry_run=dry_run)
    if as_json:
        echo_json({"path": str(path), "dry_run": dry_run, "nights": [_as_json(n) for n in found]})
        return
    _show(path, found, dry_run=dry_run)


def _check_roots(config: Config) -> None:
    """OperatorError: a root is not there. Its nights would come to be processed a second time."""
    for root in config.roots:
        if not root.path.is_dir() or not any(root.path.iterdir()):
            msg = (
                f"{root.path}: not there, or empty, as if its disk were absent; without it its"
                " nights and their frame IDs would be unknown to the new ledger"
            )
            raise OperatorError(msg)


def _make(config: Config, folder: Path, *, digests: bool, dry_run: bool) -> list[NightAgain]:
    """Make the ledger beside its place; it gets its name when it is whole."""
    scratch = folder / _SCRATCH
    make_private_folder(scratch)
    _clear(scratch)
    try:
        ledger = open_ledger(scratch, version=__version__, clock=SystemClock())
        try:
            ledger.actor = acting.actor()
            roots = [(root.kind, root.path) for root in config.roots]
            found = lost_ledger.make_again(ledger, roots, digests=digests)
        finally:
            ledger.close()
        if not dry_run:
            place = Beneath(folder)
            rename_without_replacing(place / f"{_SCRATCH}/{LEDGER_NAME}", place / LEDGER_NAME)
            sync_folder(place)
    finally:
        _clear(scratch)
        with contextlib.suppress(OSError):
            scratch.rmdir()
    return found


def _clear(scratch: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (scratch / f"{LEDGER_NAME}{suffix}").unlink(missing_ok=True)


def _show(path: Path, found: Sequence[NightAgain], *, dry_run: bool) -> None:
    what = "would be made" if dry_run else "made"
    click.echo(f"{path}: {what} from {count_text(len(found), 'night')}")
    for night in found:
        counts = f"{count_text(night.outputs, 'output')}, {count_text(night.frame_ids, 'frame ID')}"
        click.echo(f"  {night.label}: {night.status}, {counts}")
        for note in night.notes[:_LINES]:
            click.echo(paragraph("    ", note))
        if len(night.notes) > _LINES:
            click.echo(f"    and {len(night.notes) - _LINES} more (--json has all)")
    if found and not dry_run:
        click.echo("nothing counts as verified before the daemon read it again at the far end")


def _as_json(night: NightAgain) -> dict[str, Any]:
    return {
        "night": night.label,
        "folder": str(night.folder),
        "status": night.status,
        "outputs": night.outputs,
        "frame_ids": night.frame_ids,
        "notes": list(night.notes),
    }
