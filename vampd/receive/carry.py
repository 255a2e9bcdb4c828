"""Verify delivered files, and move them on to where they belong. A worker's part: files only.

Each file is read through from the disk, and goes on only with a digest that a list told. On one
file system it is renamed, without replacing anything; to another one it is copied, synced, read
back and compared before it gets its name, and only then the one in the inbox goes. A kill at any
moment leaves the file here, there, or in both places: the next turn goes on from that. A list is
moved on only once the ledger has what it tells: nothing else would ask for it again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct

from vampd.errors import NotPlainError, ResourceError, RetryableError, VampdError
from vampd.io.beneath import (
    Beneath,
    create_folders,
    exists,
    open_file,
    opened_folder,
    read_start,
    remove,
    rename_without_replacing,
    status,
    sync_folder,
)
from vampd.io.disk import MarkerState, check_marker, claim_root, free_bytes
from vampd.io.no_replace import move_without_replacing
from vampd.io.publish import digest_file, digest_open
from vampd.io.stream import ScratchStream
from vampd.layout import OWN_FOLDER

_READ_BYTES = 1 << 20
_MOST_LIST_BYTES = 64 << 20

_MOST_ERRORS = 20  # of files that cannot be moved on, before the disk is taken as failing
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What the system says of a file's own names: the next file may have better ones.
_OF_NAMES = frozenset({errno.ENOTDIR, errno.ENAMETOOLONG})

#: Where an older version goes that the receiver itself had moved on, below the night's place.
OLDER = f"{OWN_FOLDER}/older"

Word = Literal["placed", "there already", "listed", "different", "in the way", "odd", "absent"]


class CarryFile(Struct, frozen=True, kw_only=True):
    """A file that is to be moved on."""

    path: str  #: relative to the night
    digests: Sequence[str]  #: any of these is right, the first one is the newest
    ours: str | None  #: the digest of what the receiver moved on under this path before
    is_list: bool = False  #: a list not taken yet: its content is told, and it stays


class CarryJob(Struct, frozen=True, kw_only=True):
    """What is to be known for moving files of one night on."""

    night: str  #: for messages, e.g. "archive 20251106"
    inbox: str  #: the folder into which nights are delivered, absolute
    date: str  #: YYYYMMDD
    base: str  #: the folder, which must be there, below which the night belongs
    place: str  #: the night's own, relative to *base*
    marker: str | None  #: of the disk of *base*, where it is known
    keep_free_bytes: int
    files: list[CarryFile]


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one file.

    placed: it was moved on. there already: the same bytes lay there. listed: a list that is right,
    and stays where it is until what it tells is known. different: its digest is none of the listed
    ones. in the way: other bytes lie where it belongs. odd: it cannot be read as a file. absent: it
    lies in neither place.
    """

    path: str
    word: Word
    sha256: str | None  #: of the file, or of what lies where it belongs
    there: str | None  #: the digest of what is in the way
    size_bytes: int | None
    identity: str | None
    why: str
    content: str | None  #: of a list that was right


class Carried(Struct, kw_only=True):
    """What came of a job so far."""

    marker: str | None
    verdicts: list[Verdict]


def work(job: CarryJob) -> Carried:
    """Move on what is right. An error's *progress* is what was done before it.

    ResourceError, OSError: a disk is full, and it may go on later. RetryableError: the disk on
    which the night belongs is not there.
    """
    done = Carried(marker=job.marker, verdicts=[])
    try:
        done.marker = _demand_disk(Path(job.base), job.marker)
        place = create_folders(Beneath(Path(job.base)), job.place)
        with _synced() as folders:
            _carry_all(job, place, done.verdicts, folders)
    except OSError as error:
        if isinstance(error, VampdError):
            error.progress = done
            raise
        raise _said(job, error, done) from error
    except VampdError as error:
        error.progress = done
        raise
    return done


def _carry_all(
    job: CarryJob, place: Beneath, verdicts: list[Verdict], folders: set[Beneath]
) -> None:
    """A file that cannot be moved on now keeps no other one; the first such error is raised last.

    A full disk is an error at once, and so are many errors: the disk may hang, a minute each.
    """
    errors: list[OSError | VampdError] = []
    for file in job.files:
        try:
            verdicts.append(_carry(_Move.of(job, file, place), folders))
        except ResourceError:
            raise
        except (OSError, VampdError) as error:
            errors.append(error)
            if getattr(error, "errno", None) in _FULL or len(errors) == _MOST_ERRORS:
                raise
    if errors:
        raise errors[0]


def _said(job: CarryJob, error: OSError, done: Carried) -> VampdError:
    is_full = error.errno in _FULL
    where = f"{error.filename}: " if error.filename else ""
    msg = f"{job.night}: {where}{error.strerror or error}"
    told = ResourceError(msg) if is_full else RetryableError(msg)
    told.progress = done
    return told


def _demand_disk(base: Path, marker: str | None) -> str:
    """The marker by which the disk of *base* is known. RetryableError: it is not that one."""
    if marker is None:
        marker = claim_root(base)
        if marker is None:
            msg = (
                f"{base} is missing, or empty and no mount point, as if its disk were not mounted:"
                " mount it; is that all there is, put a file into it"
            )
            raise RetryableError(msg)
        return marker
    if check_marker(base, marker) is not MarkerState.OK:
        msg = f"{base} is not the disk that it was: its marker is missing, or another one"
        raise RetryableError(msg)
    return marker


@contextmanager
def _synced() -> Iterator[set[Beneath]]:
    """Folders that are durable afterwards, whatever happens: nothing is told before they are."""
    folders: set[Beneath] = set()
    try:
        yield folders
    finally:
        for folder in sorted(folders):
            sync_folder(folder)


class _Move(Struct, frozen=True, kw_only=True):
    """One file on its way."""

    file: CarryFile
    source: Beneath
    place: Beneath
    final: Beneath
    keep_free_bytes: int

    @classmethod
    def of(cls, job: CarryJob, file: CarryFile, place: Beneath) -> _Move:
        return cls(
            file=file,
            source=Beneath(Path(job.inbox)) / job.date / file.path,
            place=place,
            final=place / file.path,
            keep_free_bytes=job.keep_free_bytes,
        )

    def verdict(
        self,
        word: Word,
        why: str,
        *,
        sha256: str | None = None,
        there: str | None = None,
        found: os.stat_result | None = None,
        content: str | None = None,
    ) -> Verdict:
        who = None if found is None else f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
        return Verdict(
            path=self.file.path,
            word=word,
            sha256=sha256,
            there=there,
            size_bytes=None if found is None else found.st_size,
            identity=who,
            why=why,
            content=content,
        )


def _carry(move: _Move, folders: set[Beneath]) -> Verdict:
    try:
        descriptor = open_file(move.source)
    except (FileNotFoundError, NotADirectoryError):
        return _of_absent(move)
    except PermissionError as error:
        return move.verdict("odd", f"it cannot be read: {error.strerror}")
    except OSError as error:
        return move.verdict("odd", _of_names(error))
    try:
        return _carry_open(move, descriptor, folders)
    except OSError as error:  # a link, or a file, where a folder belongs
        return move.verdict("odd", _of_names(error), found=os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _of_names(error: OSError) -> str:
    """What is wrong with the names of one file, in words; any other *error* is raised again."""
    if isinstance(error, NotPlainError):
        return str(error)
    if error.errno not in _OF_NAMES:
        raise error
    return f"{error.filename}: {error.strerror}"


def _of_absent(move: _Move) -> Verdict:
    """What is not in the inbox may lie where it belongs: a killed worker moved it, or a hand."""
    try:
        found = digest_file(move.final)
    except (FileNotFoundError, NotADirectoryError, NotPlainError):
        return move.verdict("absent", "it is not here yet")
    if found.sha256 != move.file.digests[0]:  # an older version is not the one that is awaited
        return move.verdict("absent", "it is not here yet, and another file has its name there")
    return move.verdict(
        "there already",
        "it lay there with the digest that was listed",
        sha256=found.sha256,
        found=status(move.final),
        content=_content(move, move.final),
    )


def _carry_open(move: _Move, descriptor: int, folders: set[Beneath]) -> Verdict:
    before = os.fstat(descriptor)
    sha256 = digest_open(descriptor).sha256
    if sha256 not in move.file.digests:
        told = f"its digest is {sha256}, and {move.file.digests[0]} was listed"
        return move.verdict("different", told, sha256=sha256, found=before)
    if move.file.is_list:
        content = _content(move, move.source)
        return move.verdict("listed", "it is right", sha256=sha256, found=before, content=content)
    _make_folders(move)
    way = _way(move, sha256, folders)
    if way.word == "taken":
        return move.verdict("in the way", way.why, sha256=sha256, there=way.there, found=before)
    if way.word == "same":
        sync_folder(move.final.parent)  # whoever put it there may not have
        _remove_source(move, before)
    else:
        _move(move, descriptor, before, sha256)
    folders |= {move.final.parent, move.source.parent}
    word: Word = "there already" if way.word == "same" else "placed"
    return move.verdict(word, way.why, sha256=sha256, found=before)


class _Way(Struct, frozen=True, kw_only=True):
    """Whether the final name is free; *there*: the digest of what has it."""

    word: Literal["free", "same", "taken"]
    why: str
    there: str | None = None


def _way(move: _Move, sha256: str, folders: set[Beneath]) -> _Way:
    """Look at the final name. An older version that the receiver put there itself is set aside."""
    if not exists(move.final):
        return _Way(word="free", why=f"verified and moved on to {move.final.path.parent}")
    there = digest_file(move.final).sha256
    if there == sha256:
        return _Way(word="same", why="the same file lay there already", there=there)
    taken = f"{sha256} was delivered, and {there} lies at {move.final}, which was not touched"
    if there != move.file.ours:
        return _Way(word="taken", why=taken, there=there)
    above = f"{OLDER}/{move.file.path}".rpartition("/")[0]
    older = create_folders(move.place, above)
    aside = older / f"{move.final.name}.sha256-{there}"
    try:
        rename_without_replacing(move.final, aside)
    except FileExistsError:
        return _Way(word="taken", why=f"{taken}, for {aside} is taken", there=there)
    folders |= {older, move.final.parent}
    return _Way(word="free", why=f"moved on; the version before is {aside} now")


def _make_folders(move: _Move) -> None:
    above = move.file.path.rpartition("/")[0]
    if above:
        create_folders(move.place, above)


def _move(move: _Move, descriptor: int, before: os.stat_result, sha256: str) -> None:
    with opened_folder(move.source.parent) as here, opened_folder(move.final.parent) as there:
        try:
            move_without_replacing(here, move.source.name, there, move.final.name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(move, descriptor, before, sha256)
            return
        moved = status(move.final)
        if _what(moved) != _what(before):
            move_without_replacing(there, move.final.name, here, move.source.name)
            msg = f"{move.source} was put in place of another one while that was read"
            raise RetryableError(msg)


def _copy(move: _Move, descriptor: int, before: os.stat_result, sha256: str) -> None:
    """To another file system: proved before it gets its name; then the source goes."""
    free = free_bytes(move.place.path)
    if free - before.st_size < move.keep_free_bytes:
        msg = (
            f"{move.place}: {free / 1e9:.1f} GB are free, and {move.file.path} of"
            f" {before.st_size / 1e9:.3f} GB would leave less than disk.keep_free_gb"
            f" ({move.keep_free_bytes / 1e9:g})"
        )
        raise ResourceError(msg)
    scratch = move.final.with_name(f".{sha256[:32]}.vampd-receive")
    remove(scratch, missing_ok=True)  # a killed worker's: a night has one at a time
    with ScratchStream(scratch) as stream:
        offset = 0
        while block := os.pread(descriptor, _READ_BYTES, offset):
            stream.write(block)
            offset += len(block)
        if stream.sha256 != sha256:
            msg = f"{move.source} changed while it was copied"
            raise RetryableError(msg)
        stream.publish(move.final, modified_ns=before.st_mtime_ns)
    sync_folder(move.final.parent)
    _remove_source(move, before)


def _remove_source(move: _Move, before: os.stat_result) -> None:
    """The file in the inbox goes, if it is still the one that was read."""
    if _what(status(move.source)) == _what(before):
        remove(move.source)


def _what(found: os.stat_result) -> tuple[int, int, int, int]:
    """What tells a file from another one, and from what it was."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _content(move: _Move, where: Beneath) -> str | None:
    if not move.file.is_list:
        return None
    return read_start(where, _MOST_LIST_BYTES).decode("ascii", "replace")
