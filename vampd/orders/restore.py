"""Undo derived work and keep facts: file by file from the ledger's list, never a folder.

On a folder that the earlier pipeline processed, the hard links that it left
(`vcamN_hlinkbak/`) are put back under their old name, and its `vgen2/` is set aside.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable

from msgspec import Struct, field

from vampd.errors import IntegrityError, OperatorError, RetryableError
from vampd.io.beneath import (
    Beneath,
    exists,
    is_empty,
    is_file,
    is_folder,
    names_in,
    night_folder,
    open_file,
    remove,
    remove_folder,
    rename_without_replacing,
    status,
    sync_folder,
)
from vampd.layout import (
    CAMERA_FOLDERS,
    CHECKSUMS,
    OUTPUT_ENDING,
    OUTPUT_FOLDER,
    OUTPUTS_SET_ASIDE,
    QUICK_LOOK_FOLDER,
    TIMING_ENDING,
    manifest_name,
    name_changes_name,
    sidecar_path,
)
from vampd.ledger import deliveries, files, legacy, outputs, strays
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import hold_of
from vampd.ledger.records import Night, RawFile
from vampd.records import FileIdentity
from vampd.stages.night_records import night_log_name
from vampd.stages.story import JOURNAL
from vampd.states import RAW_HOLDS
from vampd.watch.incumbent import manifest_aside
from vampd.watch.scan import identity_of

_BACKUP = "_hlinkbak"
_READ_BYTES = 16 << 20


class RestorePlan(Struct, frozen=True, kw_only=True):
    """What a restore would delete and rename; nothing is touched yet."""

    folder: Beneath
    derived: tuple[str, ...]  #: files that are there, relative to the night
    renames: tuple[tuple[str, str], ...]
    is_planned: bool  #: the ledger holds outputs

    @property
    def nothing_to_do(self) -> bool:
        """Whether the night was never processed."""
        return not (self.derived or self.renames or self.is_planned)

    def lines(self) -> list[str]:
        """What it would do, in sentences."""
        lines = [f"derived files that are deleted: {len(self.derived)}; raw files are not touched"]
        lines += [f"{old} becomes {new}" for old, new in self.renames]
        return lines


def plan_restore(ledger: Ledger, night: Night) -> RestorePlan:
    """Decide everything before touching any file."""
    folder = night_folder(night.folder)
    planned = outputs.outputs_of(ledger, night.id)
    renames = _incumbent_renames(folder, foreign=legacy.is_foreign(ledger, night.id))
    names = [
        f"{OUTPUT_FOLDER}/{outputs.file_name(row)}{ending}"
        for row in planned
        for ending in (OUTPUT_ENDING, TIMING_ENDING)
    ]
    if planned:
        names += [JOURNAL, CHECKSUMS, *_pictures(folder)]
    for batch in range(1, night.batch + 1) if planned else ():
        names += [
            name_changes_name(batch),
            manifest_name(night.date, batch),
            night_log_name(batch),
            sidecar_path(batch),
        ]
    names += [row.path for row in deliveries.deliverables_of(ledger, night.id)]
    there = [name for name in dict.fromkeys(names) if is_file(folder / name)]
    return RestorePlan(
        folder=folder, derived=tuple(there), renames=renames, is_planned=bool(planned)
    )


def _pictures(folder: Beneath) -> list[str]:
    pictures = folder / QUICK_LOOK_FOLDER
    names = names_in(pictures) if is_folder(pictures) else []
    return [f"{QUICK_LOOK_FOLDER}/{name}" for name in names]


def delete_derived(plan: RestorePlan) -> None:
    """Carry the plan out, durably: what came back after a power cut would be in the way."""
    for name in plan.derived:
        remove(plan.folder / name, missing_ok=True)
    for above in sorted({(plan.folder / name).parent for name in plan.derived}):
        sync_folder(above)
    for old, new in plan.renames:
        target = plan.folder / new
        if is_folder(target) and is_empty(target):
            remove_folder(target)
        rename_without_replacing(plan.folder / old, target)
    sync_folder(plan.folder)


class StraysSeen(Struct, frozen=True, kw_only=True):
    """What a look at the raw files found. *away*: the first that is gone, or is another."""

    away: str | None = None
    lines: list[str] = field(default_factory=list)  #: what is done first, in words


def look_at_strays(ledger: Ledger, night: Night, *, dry_run: bool) -> StraysSeen:
    """Look now where the raw files of a night lie that is held for some of them, or was.

    What is left to do of it could be done before the next look finds one that is away. Those that
    may be the recorded ones are read again by the daemon, and the night waits for that.
    """
    if hold_of(night) not in RAW_HOLDS and not strays.strays_of(ledger, night.id):
        return StraysSeen()
    rows = [row for row in _plain_raw(ledger, night) if row.batch == night.batch]
    with ledger.transaction() if not dry_run else ledger.in_vain():
        note_strays(ledger, night, rows, on_order=True)
        left = strays.holding(ledger, night)
        unread = strays.unread_counts(ledger).get(night.id, 0)
        if not left:
            strays.review(ledger, night.id)
    if left:
        return StraysSeen(away=left[0].path)
    if not unread:
        return StraysSeen()
    what = "1 raw file is" if unread == 1 else f"{unread} raw files are"
    return StraysSeen(
        lines=[f"{what} read again first: with the recorded bytes it goes on by itself"]
    )


def note_strays(
    ledger: Ledger, night: Night, rows: Iterable[RawFile], *, on_order: bool = False
) -> None:
    """Look where these raw files lie now; *on_order*: what was judged of them is judged again."""
    folder = night_folder(night.folder)
    for row in rows:
        strays.note(ledger, row, _found(folder, row), on_order=on_order)


def refuse_lost(ledger: Ledger, night: Night, beat: Callable[[], None]) -> None:
    """OperatorError: a raw file is gone of which outputs were made, which are all that is left.

    One that was made again where it lay, with the bytes that it had, is not gone.
    """
    folder = night_folder(night.folder)
    gone = [
        row.path
        for row in files.processed_and_gone(ledger, night.id)
        if not is_file(folder / row.path) or row.sha256 != _digest(folder / row.path, beat)
    ]
    if gone:
        msg = (
            f"{folder / gone[0]}: gone, and {len(gone) - 1} other raw files of which outputs were"
            f" made; nothing is restored. Put them back, or make them again from the outputs:"
            f" vampd data rebuild-raw {night.date} --to {folder}"
        )
        raise OperatorError(msg)


def prove_raw(
    ledger: Ledger, night: Night, beat: Callable[[], None], *, digests: bool
) -> list[str]:
    """Prove that the raw files are the ones that the ledger knows; with *digests*, their bytes.

    IntegrityError: one is not. RetryableError: one has another inode or time, and is read again.
    """
    folder = night_folder(night.folder)
    rows = _plain_raw(ledger, night)
    for row in rows:
        path, found = folder / row.path, _found(folder, row)
        if found != files.identity(row):
            _refuse_stray(ledger, night, row, found)
        if digests and row.sha256 not in {None, _digest(path, beat)}:
            msg = f"{path}: other bytes than were recorded"
            raise IntegrityError(msg)
    how = "identity and digest" if digests else "identity"
    return [f"{len(rows)} raw files proved by {how}"]


def _refuse_stray(ledger: Ledger, night: Night, row: RawFile, found: FileIdentity | None) -> None:
    path = night_folder(night.folder) / row.path
    if night.closed_us is not None:
        strays.note(ledger, row, found)
        if any(each.path == row.path for each in strays.unread(ledger, night.id)):
            msg = (
                f"{path}: another inode or time than was recorded; the daemon reads it again, to"
                " see whether its bytes are the same: try again once that is done"
            )
            raise RetryableError(msg)
    msg = f"{path}: not the file that was recorded; nothing is restored"
    raise IntegrityError(msg)


def _plain_raw(ledger: Ledger, night: Night) -> list[RawFile]:
    """The raw files that a plan may be made of."""
    return [
        row
        for row in files.files_of(ledger, night.id).values()
        if row.state == "whole" and row.role in {"cube", "timing"}
    ]


def _found(folder: Beneath, row: RawFile) -> FileIdentity | None:
    """Who lies now under the name of a raw file; None: no regular file does."""
    path = folder / row.path
    return identity_of(status(path)) if is_file(path) else None


def _incumbent_renames(folder: Beneath, *, foreign: bool) -> tuple[tuple[str, str], ...]:
    backups = [name for name in CAMERA_FOLDERS if is_folder(folder / f"{name}{_BACKUP}")]
    if not backups and not foreign:
        return ()
    for name in backups:
        present = folder / name
        if is_folder(present) and not is_empty(present):
            msg = (
                f"{present} holds other files; look at them before {name}{_BACKUP} takes its place"
            )
            raise OperatorError(msg)
    renames = [(f"{name}{_BACKUP}", name) for name in backups]
    manifest = manifest_name(folder.name, 1)
    for name, aside in ((OUTPUT_FOLDER, OUTPUTS_SET_ASIDE), (manifest, manifest_aside(manifest))):
        if exists(folder / name):
            if exists(folder / aside):
                msg = f"{folder / aside} is there already; move it away first"
                raise OperatorError(msg)
            renames.append((name, aside))
    return tuple(renames)


def _digest(path: Beneath, beat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with os.fdopen(open_file(path), "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            beat()
    return digest.hexdigest()
