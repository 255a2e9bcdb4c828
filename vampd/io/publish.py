"""Make files appear under their final names: whole, durable, proved, or not at all.

Write beside; fsync; drop the cache; read back from the disk and compare; rename
without replacing; fsync the folder. A file that is already there, with the same bytes, is
what a start after a crash finds: it is adopted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import IntegrityError
from vampd.io.beneath import (
    Beneath,
    create,
    open_file,
    remove,
    rename_without_replacing,
    sync_folder,
)
from vampd.io.cache import ReadBehind, forget, read_ahead
from vampd.io.checksum import BlockSums

_READ_BYTES = 1 << 20


class Region(Struct, frozen=True, kw_only=True):
    """Some bytes of a file as they were meant to be written."""

    offset: int
    size_bytes: int
    sums: NDArray[np.uint64]  #: `BlockSums` of them


class Written(Struct, frozen=True, kw_only=True):
    """A whole file as it was meant to be written.

    What was written front to back has a digest, what was not has regions that leave no gap.
    """

    size_bytes: int
    sha256: str = ""  #: hexadecimal, lower case
    regions: tuple[Region, ...] = ()


class Published(Struct, frozen=True, kw_only=True):
    """A file that is durable under its final name."""

    size_bytes: int
    sha256: str  #: hexadecimal, lower case, computed over what the disk gave back


def prove_written(descriptor: int, written: Written, *, path: Beneath) -> str:
    """SHA-256 of a file that the disk gives back exactly as it was meant to be written.

    The file is synchronised, its pages are dropped, and it is read again. IntegrityError:
    it has another size, or other bytes in the region that the message names.
    """
    os.fsync(descriptor)
    forget(descriptor)
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes != written.size_bytes:
        msg = f"{path}: read back with {size_bytes} bytes, not {written.size_bytes}"
        raise IntegrityError(msg)
    read_ahead(descriptor)
    whole = hashlib.sha256()
    for region in written.regions:
        sums = BlockSums()
        for block in _blocks(descriptor, region.offset, region.size_bytes):
            whole.update(block)
            sums.update(block)
        if not np.array_equal(sums.finish(), region.sums):
            raise _differing(path, region.offset, region.size_bytes)
    if not written.regions:
        for block in _blocks(descriptor, 0, size_bytes):
            whole.update(block)
        if whole.hexdigest() != written.sha256:
            raise _differing(path, 0, size_bytes)
    return whole.hexdigest()


def _differing(path: Beneath, offset: int, size_bytes: int) -> IntegrityError:
    last = offset + size_bytes - 1
    return IntegrityError(f"{path}: bytes {offset} to {last} read back differ from those written")


def publish(scratch: Beneath, final: Beneath, published: Published) -> None:
    """Give *scratch*, on the same file system and proved, its *final* name, durably.

    A file that is already there is never replaced: with the same digest it is adopted
    and *scratch* removed; otherwise IntegrityError names both.
    """
    publish_together([(scratch, final, published)])


def publish_together(files: Iterable[tuple[Beneath, Beneath, Published]]) -> None:
    """`publish` each of *files*, in their order; their folders are made durable once, at the end.

    When it returns all are durable. Whatever it raises, some may have their names, whole.
    """
    folders: dict[Beneath, None] = {}
    for scratch, final, published in files:
        _name(scratch, final, published)
        folders[final.parent] = None
    for folder in folders:
        sync_folder(folder)


def _name(scratch: Beneath, final: Beneath, published: Published) -> None:
    try:
        rename_without_replacing(scratch, final)
    except FileExistsError:
        found = digest_file(final)
        if found != published:
            msg = (
                f"{final} exists with other bytes ({_described(found)}) than {scratch} "
                f"({_described(published)}); it was not replaced"
            )
            raise IntegrityError(msg) from None
        remove(scratch)


def publish_bytes(content: bytes, scratch: Beneath, final: Beneath) -> Published:
    """Publish a small file by way of *scratch*, which must not exist."""
    published = write_bytes(content, scratch)
    publish(scratch, final, published)
    return published


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of *content*: the system may take less of it at once, as where a disk gets full."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_bytes(content: bytes, scratch: Beneath) -> Published:
    """Write a small file, and prove what the disk gives back; *scratch* must not exist."""
    descriptor = create(scratch)
    try:
        write_all(descriptor, content)
        written = Written(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        sha256 = prove_written(descriptor, written, path=scratch)
    except BaseException:
        remove(scratch, missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return Published(size_bytes=len(content), sha256=sha256)


def _blocks(descriptor: int, offset: int, size_bytes: int) -> Iterator[memoryview]:
    """Some bytes of a file, or those before its end, piece by piece in one and the same buffer."""
    buffer = memoryview(bytearray(min(_READ_BYTES, size_bytes)))
    behind = ReadBehind(descriptor)
    end = offset + size_bytes
    while offset < end:
        count = os.preadv(descriptor, [buffer[: end - offset]], offset)
        if count == 0:
            return
        yield buffer[:count]
        offset += count
        behind.advance(offset)


def digest_file(where: Beneath) -> Published:
    """Size and digest of what the disk holds.

    NotPlainError: it is no regular file. OSError: it is missing, or cannot be read.
    """
    descriptor = open_file(where)
    try:
        return digest_open(descriptor)
    finally:
        os.close(descriptor)


def digest_open(descriptor: int) -> Published:
    """Size and digest of what the disk holds of a file that is open for reading."""
    os.fsync(descriptor)
    forget(descriptor)
    size_bytes = os.fstat(descriptor).st_size
    whole = hashlib.sha256()
    for block in _blocks(descriptor, 0, size_bytes):
        whole.update(block)
    return Published(size_bytes=size_bytes, sha256=whole.hexdigest())


def _described(found: Published) -> str:
    return f"{found.size_bytes} bytes, {found.sha256}"
