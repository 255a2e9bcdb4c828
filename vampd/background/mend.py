"""A damaged file of vampd's own is mended from its copy at the far end, and never from doubt.

The far copy is fetched beside the damaged file, and the digest of the bytes that the disk gives
back is the one on record, or nothing is done. What is damaged is set aside, never removed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vampd.errors import IntegrityError
from vampd.io.beneath import (
    Beneath,
    create,
    create_folders,
    names_in,
    remove,
    rename_without_replacing,
    status,
    sync_folder,
)
from vampd.io.clock import SystemClock
from vampd.io.listed_files import ListedFile
from vampd.io.publish import Published, digest_open, publish
from vampd.layout import DAMAGED_FOLDER, SCRATCH_FOLDER
from vampd.ledger import local_copies
from vampd.ledger.connection import looked_into
from vampd.ledger.local_copies import LocalFile
from vampd.remote.location import Location
from vampd.remote.table import store_of
from vampd.stages.verify import VerifyJob

#: Who a file is: inode, size and time of change of its bytes.
Identity = tuple[int, int, int]

_MARK = ".damaged-"
_UNFINISHED_MARK = ".being-mended-"


class FarCopyWrongError(IntegrityError):
    """The copy at the far end was fetched, and is not what is on record either."""


class MendJob(Struct, frozen=True, kw_only=True):
    """A file that is not what is on record."""

    night: int
    folder: Beneath
    file: LocalFile
    status: Identity | None  #: of what was read; None: there was nothing to be read
    far: VerifyJob
    ledger: str


def identity(found: os.stat_result) -> Identity:
    """Who a file is."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def mend(job: MendJob) -> str:
    """Publish what is right over there in place of what is damaged here; return what was done.

    1. A file that is missing was not damaged: somebody took it away. It is mended only where an
       earlier mending was ended after it had set the damaged one aside, whose name says so.
    2. The far copy is fetched into scratch, synchronised and read back. Nothing goes on unless its
       size and digest are those on record: no marker of its disk could tell more.
    3. Nothing goes on unless the ledger still lists that digest, the night is still at rest, and
       what has the name is still the file that was read.
    4. That is set aside in `.vampd/damaged`, then the new one is published, which replaces nothing.

    IntegrityError: one of these does not hold; FarCopyWrongError: the second. RetryableError,
    OperatorError: the far side does not answer, or may not be read.
    """
    if job.status is None and not _was_set_aside(job):
        msg = "it was taken away, and not by vampd; put it back, or build it anew"
        raise IntegrityError(msg)
    scratch, fetched = _fetch(job)
    try:
        return _put_in_place(job, scratch, fetched)
    finally:
        remove(scratch, missing_ok=True)


def _fetch(job: MendJob) -> tuple[Beneath, Published]:
    """The far copy in scratch, proved. IntegrityError: it is not right either."""
    place = Location.parse(job.far.verify_at)
    above = create_folders(job.folder, SCRATCH_FOLDER, is_scratch=True)
    scratch = above / f"mend-{job.night}"
    remove(scratch, missing_ok=True)
    descriptor = create(scratch)
    try:
        store = store_of(job.far, place)
        listed = ListedFile(
            path=job.file.path,
            size_bytes=job.file.size_bytes,
            sha256=job.file.sha256,
        )
        store.fetch(listed, descriptor)
        fetched = digest_open(descriptor)
        if fetched != Published(size_bytes=job.file.size_bytes, sha256=job.file.sha256):
            msg = (
                f"its copy at {place} is not right either: its digest is {fetched.sha256} in"
                f" {fetched.size_bytes} bytes"
            )
            raise FarCopyWrongError(msg)  # noqa: TRY301 - the scratch goes, whatever is wrong
    except BaseException:
        remove(scratch, missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return scratch, fetched


def _put_in_place(job: MendJob, scratch: Beneath, fetched: Published) -> str:
    final = job.folder / job.file.path
    with looked_into(Path(job.ledger)) as ledger:
        if not local_copies.may_mend(ledger, job.night, job.file):
            msg = "the night goes on, or another digest is on record meanwhile"
            raise IntegrityError(msg)
    if job.status is not None:
        if identity(status(final)) != job.status:
            msg = "another file has its name meanwhile"
            raise IntegrityError(msg)
        _set_aside(job, final)
    publish(scratch, final, fetched)
    kept = _finish(job)
    what = f"; what was damaged is {', '.join(kept)}" if kept else ""
    return f"mended from {job.far.verify_at}, whose bytes have the digest on record{what}"


def _set_aside(job: MendJob, final: Beneath) -> None:
    folder, name = _evidence(job)
    above = create_folders(job.folder, folder)
    rename_without_replacing(final, above / f"{name}{_UNFINISHED_MARK}{SystemClock().now_us()}")
    sync_folder(above)
    sync_folder(final.parent)


def _finish(job: MendJob) -> list[str]:
    """What was set aside is evidence from now on; where it lies, below the night's folder."""
    folder, name = _evidence(job)
    kept = []
    for each in _unfinished(job):
        old = job.folder / folder / each
        new = old.with_name(each.replace(f"{name}{_UNFINISHED_MARK}", f"{name}{_MARK}", 1))
        rename_without_replacing(old, new)
        kept.append(new.relative_to(job.folder))
    return kept


def _was_set_aside(job: MendJob) -> bool:
    return bool(_unfinished(job))


def _unfinished(job: MendJob) -> list[str]:
    folder, name = _evidence(job)
    with suppress(FileNotFoundError, NotADirectoryError):
        names = names_in(job.folder / folder)
        return [each for each in names if each.startswith(f"{name}{_UNFINISHED_MARK}")]
    return []


def _evidence(job: MendJob) -> tuple[str, str]:
    """The folder in which a damaged file is kept, and its name before the mark."""
    folder, _, name = f"{DAMAGED_FOLDER}/{job.file.path}".rpartition("/")
    return folder, name
