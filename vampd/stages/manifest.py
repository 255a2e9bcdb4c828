"""Lists that travel with a night: manifest, name changes, digests. The worker's part."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from vampd.errors import IntegrityError, OperatorError
from vampd.io.beneath import (
    Beneath,
    create,
    create_folder,
    names_in,
    night_folder,
    remove,
    replace,
    sync_folder,
)
from vampd.io.listed_files import ListedFile, check_sizes
from vampd.io.publish import publish_bytes
from vampd.io.scratch import is_over, own, owned, owner_of
from vampd.layout import (
    CHECKSUMS,
    OUTPUT_FOLDER,
    OWN_FOLDER,
    manifest_name,
    name_changes_name,
)
from vampd.ledger import deliveries, outputs
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.records import Night, Output
from vampd.ledger.tasks import Task
from vampd.settings.sections import Config
from vampd.stages.handler import StageHandler

_FRAME_ID = re.compile(r"VMP[A-Z]\d{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class NumberedFile(ListedFile, frozen=True, kw_only=True):
    """A listed file that has a frame ID."""

    frame_id: str


class NameChange(Struct, frozen=True, kw_only=True):
    """An output's name by its time, and its frame ID; both without ending."""

    name: str  #: e.g. vsync_05:11:38.080947.cam1.A
    frame_id: str


class ManifestJob(Struct, frozen=True, kw_only=True):
    """The lists of a night's batch."""

    attempt: int
    folder: str  #: the night's folder, absolute
    date: str  #: YYYYMMDD
    files: tuple[NumberedFile, ...]
    changes: tuple[NameChange, ...]
    digests: bool  #: add a header line, and each file's SHA-256
    batch: int  #: 1, or 2 and so on for what came after the night was closed


class ManifestResult(Struct, frozen=True, kw_only=True):
    """The lists that were written."""

    files: tuple[ListedFile, ...] = ()


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> ManifestJob:
    """The lists of a night's batch of which all outputs are built."""
    planned = outputs.outputs_of_batch(ledger, night.id, night.batch)
    return ManifestJob(
        attempt=task.attempts,
        folder=night.folder,
        date=night.date,
        files=tuple(map(_numbered, planned)),
        changes=tuple(NameChange(name=row.name, frame_id=_frame_id(row)) for row in planned),
        digests=config.manifest.digests,
        batch=night.batch,
    )


def _numbered(row: Output) -> NumberedFile:
    assert row.size_bytes is not None, row.id
    assert row.sha256 is not None, row.id
    return NumberedFile(
        frame_id=_frame_id(row),
        path=outputs.files_of_output(outputs.file_name(row))[0],
        size_bytes=row.size_bytes,
        sha256=row.sha256,
    )


def _frame_id(row: Output) -> str:
    assert row.frame_id is not None, row.id
    return frame_id_text(row.frame_id)


def work(job: ManifestJob) -> ManifestResult:
    """Write the name changes, then publish the manifest beside `vgen2/`, once and for ever.

    Of a batch without outputs, such as one of nothing but duplicates, there is nothing to list.
    IntegrityError: a listed file is not there with its size, a frame ID names two
    files, or another manifest lies there.
    """
    if not job.files:
        return ManifestResult()
    folder = night_folder(job.folder)
    check_sizes(folder, job.files)
    create_folder(folder / OUTPUT_FOLDER)
    changes = write_name_changes(folder, job.changes, job.batch)
    content = manifest_text(folder.path, job.files, digests=job.digests)
    name = manifest_name(job.date, job.batch)
    publish_bytes(content, _scratch(folder, name), folder / name)
    return ManifestResult(files=(changes, _listed(name, content)))


def record(ledger: Ledger, task: Task, result: ManifestResult) -> None:
    """List both for the other machine."""
    for listed in result.files:
        deliveries.list_file(ledger, task.night, listed.path, listed.size_bytes, listed.sha256)


def write_name_changes(folder: Beneath, changes: Sequence[NameChange], batch: int) -> ListedFile:
    """Write the batch's `vgen2/name_changes.txt`, in place of an older one."""
    return replace_file(folder, name_changes_name(batch), name_changes_text(changes))


def write_checksums(folder: Beneath, files: Sequence[ListedFile]) -> ListedFile:
    """Write `.vampd/SHA256SUMS`, in place of an older one.

    `sha256sum -c .vampd/SHA256SUMS`, typed in the night's folder, checks all of them.
    """
    return replace_file(folder, CHECKSUMS, checksums_text(files))


def manifest_text(folder: Path, files: Sequence[NumberedFile], *, digests: bool) -> bytes:
    """`FRAMEID|absolute path|size in bytes` for each file, in the order of the frame IDs.

    With *digests*, the form with a header line that the archive's reader also takes:
    `#FRAMEID|path|size_bytes|sha256sum`.
    """
    _check_frame_ids(file.frame_id for file in files)
    lines = ["#FRAMEID|path|size_bytes|sha256sum"] if digests else []
    for file in sorted(files, key=lambda file: file.frame_id):
        path = _plain(str(folder / file.path), "|")
        fields = [file.frame_id, path, str(file.size_bytes)]
        lines.append("|".join([*fields, _digest(file)] if digests else fields))
    return _text(lines)


def name_changes_text(changes: Sequence[NameChange]) -> bytes:
    """`old-name.fits<TAB>VMPAnnnnnnnn.fits` for each output, in the order of the frame IDs."""
    _check_frame_ids(change.frame_id for change in changes)
    return _text(
        f"{_plain(change.name)}.fits\t{change.frame_id}.fits"
        for change in sorted(changes, key=lambda change: change.frame_id)
    )


def checksums_text(files: Sequence[ListedFile]) -> bytes:
    """Lines of coreutils' sha256sum, in the order of the paths.

    A backslash in a name would need that program's own escapes: refused with the rest.
    """
    return _text(
        f"{_digest(file)}  {_plain(file.path, chr(92))}"
        for file in sorted(files, key=lambda file: file.path)
    )


def _scratch(folder: Beneath, name: str) -> Beneath:
    """A scratch file of this process for *name*; what killed ones left of it is cleared away.

    A night's records are written by its stages and by a background job, perhaps at once.
    """
    place = folder / OWN_FOLDER
    create_folder(place)
    beginning = f"{(folder / name).name}."
    for left in names_in(place):
        if not (left.startswith(beginning) and left.endswith("scratch")):
            continue
        whose = owner_of(left.removesuffix(".scratch"))
        # As earlier versions named them: by nothing, or their process alone.
        is_earlier = whose is None and not Path("/proc", left.split(".")[-2]).exists()
        if is_earlier or (whose is not None and (whose[1] == own() or is_over(whose[1]))):
            remove(place / left, missing_ok=True)
    return place / f"{owned((folder / name).name)}.scratch"


def replace_file(folder: Beneath, name: str, content: bytes) -> ListedFile:
    """Let *name* hold *content*, durably: at any moment the old list is whole, or the new one."""
    with replacing(folder, name) as file:
        file.write(content)
    return _listed(name, content)


@contextmanager
def replacing(folder: Beneath, name: str) -> Iterator[BinaryIO]:
    """A file that takes the place of *name*, durably, once it is written."""
    scratch, final = _scratch(folder, name), folder / name
    with os.fdopen(create(scratch), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    replace(scratch, final)
    sync_folder(final.parent)


def _listed(path: str, content: bytes) -> ListedFile:
    digest = hashlib.sha256(content).hexdigest()
    return ListedFile(path=path, size_bytes=len(content), sha256=digest)


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _check_frame_ids(frame_ids: Iterable[str]) -> None:
    for frame_id, count in Counter(frame_ids).items():
        if _FRAME_ID.fullmatch(frame_id) is None:
            msg = f"{frame_id!r} is not a frame ID of VAMPIRES"
            raise IntegrityError(msg)
        if count > 1:
            msg = f"frame ID {frame_id} names {count} files"
            raise IntegrityError(msg)


def _digest(file: ListedFile) -> str:
    if _DIGEST.fullmatch(file.sha256) is None:
        msg = f"{file.path}: {file.sha256!r} is not a SHA-256"
        raise IntegrityError(msg)
    return file.sha256


def _plain(name: str, separator: str = "") -> str:
    """*name*, when no reader of a list can misread it."""
    if re.search(rf"[\x00-\x1f\x7f{re.escape(separator)}]", name):
        msg = f"{name!r} cannot stand in a list of files: rename its folder"
        raise OperatorError(msg)
    return name


STAGE = StageHandler(prepare=prepare, work=work, result=ManifestResult, record=record)
