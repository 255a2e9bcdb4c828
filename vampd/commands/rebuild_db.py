"""`vampd admin rebuild-db`: a lost ledger, made again from a copy of it and the nights' papers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from vampd import __version__
from vampd.commands import acting
from vampd.commands.screen import count_text, echo_json, paragraph
from vampd.errors import IntegrityError, OperatorError, UsageError
from vampd.io.beneath import Beneath, rename_without_replacing, sync_folder
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.io.private import make_private_folder
from vampd.ledger.connection import LEDGER_NAME, ledger_path, open_ledger
from vampd.ledger.copy_files import copies_in, take_out
from vampd.settings.sections import Config
from vampd.stages import ledger_again
from vampd.stages.lost_ledger import NightAgain

_SCRATCH = "ledger-made-again"
#: Of many notes, so many are shown to people; programs get all of them.
_LINES = 5

_UNPROVED = "nothing counts as verified before the daemon read it again at the far end"
_BELIEVED = (
    "what happened since the copy counts as verified when the daemon read it again at the far end;"
    " orders since then that belong to no night (vampd archive ids used, dismiss) are lost"
)


@click.command("rebuild-db")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Another folder than state_dir, which must exist.",
)
@click.option(
    "--copy",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Begin with this copy of the ledger, not with the newest one in ledger_copies.folder.",
)
@click.option("--no-copy", is_flag=True, help="Begin with none: the nights' folders tell all.")
@click.option("--digests", is_flag=True, help="Read every output; else its size must do.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    into: Path | None,
    copy: Path | None,
    no_copy: bool,
    digests: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a lost ledger again from its newest copy and from what lies beside each night.

    Plans, frame IDs, digests and history come back. A night to which nothing happened since the
    copy is as it was. What cannot be proved again is not believed of any other: it is verified at
    the far end before it is safe once more; the daemon does that by itself. A copy that was
    delivered (.ledger-copies, beside the nights) is brought here by hand: --copy FILE.
    Refused where a ledger is, while a daemon runs, and while a root's disk is absent.
    """
    if copy is not None and no_copy:
        msg = "--copy and --no-copy contradict each other"
        raise UsageError(msg)
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
        source = _Source(given=copy, folder=None if no_copy else config.copies_folder)
        made = _make(config, folder, source, digests=digests, dry_run=dry_run)
    if as_json:
        echo_json(
            {
                "path": str(path),
                "dry_run": dry_run,
                "copy": None if made.copy is None else str(made.copy),
                "notes": list(made.notes),
                "nights": [_as_json(night) for night in made.nights],
            }
        )
        return
    _show(path, made, dry_run=dry_run)


class _Source(Struct, frozen=True, kw_only=True):
    """With which copy to begin."""

    given: Path | None  #: this one
    folder: Path | None  #: else the newest there that is whole


class _Made(Struct, frozen=True, kw_only=True):
    """What came of it."""

    copy: Path | None  #: with which it was begun
    notes: tuple[str, ...]  #: copies that are damaged
    nights: list[NightAgain]


def _check_roots(config: Config) -> None:
    """OperatorError: a root is not there. Its nights would come to be processed a second time."""
    for root in config.roots:
        if not root.path.is_dir() or not any(root.path.iterdir()):
            msg = (
                f"{root.path}: not there, or empty, as if its disk were absent; without it its"
                " nights and their frame IDs would be unknown to the new ledger"
            )
            raise OperatorError(msg)


def _make(config: Config, folder: Path, source: _Source, *, digests: bool, dry_run: bool) -> _Made:
    """Make the ledger beside its place; it gets its name when it is whole."""
    scratch = folder / _SCRATCH
    make_private_folder(scratch)
    _clear(scratch)
    try:
        copy, notes = _begin(source, scratch)
        ledger = open_ledger(scratch, version=__version__, clock=SystemClock())
        try:
            ledger.actor = acting.actor()
            roots = [(root.kind, root.path) for root in config.roots]
            found = ledger_again.make_again(ledger, roots, digests=digests)
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
    return _Made(copy=copy, notes=tuple(notes), nights=found)


def _begin(source: _Source, scratch: Path) -> tuple[Path | None, list[str]]:
    """Take the copy out that is to be begun with, if there is one; it, and what others lack.

    IntegrityError: the one that was named is damaged.
    """
    if source.given is not None:
        take_out(source.given, scratch / LEDGER_NAME)
        return source.given, []
    notes = []
    copies = [] if source.folder is None else copies_in(source.folder, SystemClock().now_us())
    for copy in copies:
        try:
            take_out(copy.path, scratch / LEDGER_NAME)
        except IntegrityError as error:
            notes.append(str(error))
            _clear(scratch)
            continue
        return copy.path, notes
    return None, notes


def _clear(scratch: Path) -> None:
    """Remove what was made there; an older copy's migration leaves a copy of its own."""
    for path in scratch.glob(f"{Path(LEDGER_NAME).stem}*"):
        path.unlink(missing_ok=True)


def _show(path: Path, made: _Made, *, dry_run: bool) -> None:
    found = made.nights
    for note in made.notes:
        click.echo(paragraph("", note))
    what = "would be made" if dry_run else "made"
    base = "" if made.copy is None else f"{made.copy.name} and "
    click.echo(f"{path}: {what} from {base}{count_text(len(found), 'night')}")
    for night in found:
        counts = f"{count_text(night.outputs, 'output')}, {count_text(night.frame_ids, 'frame ID')}"
        click.echo(f"  {night.label}: {night.status}, {counts}")
        for note in night.notes[:_LINES]:
            click.echo(paragraph("    ", note))
        if len(night.notes) > _LINES:
            click.echo(f"    and {len(night.notes) - _LINES} more (--json has all)")
    if found and not dry_run:
        click.echo(_BELIEVED if made.copy is not None else _UNPROVED)


def _as_json(night: NightAgain) -> dict[str, Any]:
    return {
        "night": night.label,
        "folder": str(night.folder),
        "status": night.status,
        "outputs": night.outputs,
        "frame_ids": night.frame_ids,
        "notes": list(night.notes),
    }
