"""A copy of the whole ledger as one packed file, that proves itself: made, listed, taken out again.

`ledger-20251107T030000Z-SHA256.sqlite3.gz`: when it was made, UTC, and the digest of the file's own
bytes. One that has its name is whole, and what is in it passed SQLite's own checks.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

from msgspec import Struct

from vampd.errors import IntegrityError, RetryableError
from vampd.io.beneath import Beneath
from vampd.io.disk import free_bytes
from vampd.io.private import FILE_MODE, make_private_file, make_private_folder
from vampd.io.stream import ScratchStream
from vampd.ledger.address import address

_NAME = re.compile(r"ledger-([0-9]{8}T[0-9]{6})Z-([0-9a-f]{64})\.sqlite3\.gz")
_TIME = "%Y%m%dT%H%M%S"
_PLAIN, _PACKED = "ledger-copy.part", "ledger-copy.packed"  # while a copy is made

#: Pages are of 4096 bytes: so many are copied at once, and so many others could be damaged at most.
_PAGES = 4096
_SPARE_BYTES = 64 << 20
_BUSY_MS = 30_000
#: Level 1 packs a ledger to a quarter at 100 MB/s; level 4 takes twice as long for a tenth less.
_LEVEL = 1
_READ_BYTES = 1 << 20
#: A name that tells a time so far ahead was given under a wrong date: it is no newest one.
_AHEAD_US = 86_400_000_000


class CopyFile(Struct, frozen=True, kw_only=True):
    """A copy that lies in a folder."""

    path: Path
    made_us: int
    sha256: str


class MadeCopy(Struct, frozen=True, kw_only=True):
    """A copy that was just made."""

    name: str
    size_bytes: int
    sha256: str
    event: int  #: the last one that is in it
    made_us: int


class Digest(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """See more bytes."""


def described(path: Path) -> CopyFile | None:
    """What the name of a copy tells; None: it is no copy's."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        made = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return CopyFile(path=path, made_us=round(made.timestamp()) * 1_000_000, sha256=match[2])


def copies_in(folder: Path, now_us: int) -> list[CopyFile]:
    """The copies in *folder*, the newest first; last those whose names tell of times to come."""
    try:
        found = [copy for path in folder.iterdir() if (copy := described(path)) is not None]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        found, key=lambda copy: (copy.made_us <= now_us + _AHEAD_US, copy.made_us), reverse=True
    )


def make_copy(ledger: Path, folder: Path, *, keep: int, now_us: int) -> MadeCopy:
    """Copy the *ledger* into *folder*, as it is at one moment; leave *keep* copies there.

    1. What a killed one left goes.
    2. SQLite's online copy, in one read transaction: whoever writes goes on. Then its own checks of
       every page, row and reference.
    3. Packed, read back from the disk, and published under its name, which replaces nothing.
    4. Older ones go, the oldest first.

    RetryableError: there is no space, or the ledger cannot be read now. IntegrityError: the ledger
    itself is damaged; no copy goes then.
    """
    make_private_folder(folder)
    _clear(folder)
    size_bytes = ledger.stat().st_size
    if free_bytes(folder) < 2 * size_bytes + _SPARE_BYTES:
        msg = f"{folder}: too little space for a copy of the ledger ({size_bytes / 1e6:.0f} MB)"
        raise RetryableError(msg)
    made = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime(_TIME)
    try:
        event = _copy_pages(ledger, folder / _PLAIN)
        name, packed = _pack(folder / _PLAIN, folder, made)
    finally:
        _clear(folder)
    for copy in copies_in(folder, now_us)[keep:]:
        copy.path.unlink()
    return MadeCopy(
        name=name,
        size_bytes=packed.size_bytes,
        sha256=packed.sha256,
        event=event,
        made_us=now_us,
    )


def take_out(copy: Path, ledger: Path) -> int:
    """Unpack a *copy* as the new file *ledger*, and check it; return its last event.

    IntegrityError: it is damaged, or none.
    """
    make_private_file(ledger)
    digest = hashlib.sha256()
    try:
        with copy.open("rb") as packed, ledger.open("wb") as into:
            for piece in _unpacked(packed, digest):
                into.write(piece)
            into.flush()
            os.fsync(into.fileno())
    except (OSError, zlib.error, EOFError) as error:
        msg = f"{copy}: cannot be unpacked: {error}"
        raise IntegrityError(msg) from error
    named = described(copy)
    if named is not None and named.sha256 != digest.hexdigest():
        msg = f"{copy}: its digest is {digest.hexdigest()}, and it is named by another"
        raise IntegrityError(msg)
    return _check(ledger, copy)


def _copy_pages(ledger: Path, plain: Path) -> int:
    make_private_file(plain)
    try:
        with closing(_opened(ledger, "ro")) as source:
            source.execute(f"pragma busy_timeout = {_BUSY_MS}")
            # The read transaction makes all pages those of one moment, however many others write.
            source.execute("begin")
            source.execute("select 1 from version").fetchone()
            with closing(_opened(plain, "rw")) as target:
                source.backup(target, pages=_PAGES, sleep=0.0)
                target.execute("pragma journal_mode = delete")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            msg = f"{ledger}: it cannot be copied now: {error}"
            raise RetryableError(msg) from error
        msg = f"{ledger}: damaged: {error}; {_ADVICE}"
        raise IntegrityError(msg) from error
    return _check(plain, ledger)


_ADVICE = "stop the daemon, keep this file, and `vampd admin rebuild-db` makes the ledger again"


def _check(path: Path, named: Path) -> int:
    """What SQLite finds in the database *path*; its last event. *named*: as people know it."""
    try:
        with closing(_opened(path, "ro")) as connection:
            (found,) = connection.execute("pragma integrity_check(1)").fetchone()
            strays = connection.execute("pragma foreign_key_check").fetchone()
            (event,) = connection.execute("select coalesce(max(id), 0) from event").fetchone()
    except sqlite3.Error as error:
        msg = f"{named}: damaged, or no ledger: {error}; {_ADVICE}"
        raise IntegrityError(msg) from error
    if found != "ok" or strays is not None:
        what = found if found != "ok" else f"a row of {strays[0]} belongs to none of {strays[2]}"
        msg = f"{named}: damaged: {what}; {_ADVICE}"
        raise IntegrityError(msg)
    return int(event)


def _pack(plain: Path, folder: Path, made: str) -> tuple[str, ScratchStream]:
    """Pack *plain* into *folder* and publish it; its name, and what is known of it."""
    place = Beneath(folder)
    with ScratchStream(place / _PACKED) as stream:
        (folder / _PACKED).chmod(FILE_MODE)
        # Neither a name nor a time in it: the same ledger gives the same bytes.
        with (
            plain.open("rb") as source,
            gzip.GzipFile(
                filename="",
                mode="wb",
                fileobj=cast("BinaryIO", stream),
                compresslevel=_LEVEL,
                mtime=0,
            ) as packed,
        ):
            shutil.copyfileobj(source, packed, _READ_BYTES)
        name = f"ledger-{made}Z-{stream.sha256}.sqlite3.gz"
        stream.publish(place / name)
        return name, stream


def _unpacked(packed: BinaryIO, digest: Digest) -> Iterator[bytes]:
    """What is in the file *packed*, piece by piece; *digest* sees the bytes of the file itself."""
    unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    while piece := packed.read(_READ_BYTES):
        digest.update(piece)
        yield unpack.decompress(piece)
    yield unpack.flush()
    if not unpack.eof or unpack.unused_data:
        msg = "it ends too early, or goes on after its end"
        raise EOFError(msg)


def _clear(folder: Path) -> None:
    for name in (_PLAIN, _PACKED, *(f"{_PLAIN}-{end}" for end in ("journal", "wal", "shm"))):
        (folder / name).unlink(missing_ok=True)


def _opened(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    return sqlite3.connect(address(path, mode), uri=True, isolation_level=None)
