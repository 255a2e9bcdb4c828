"""Make files appear under their final names: whole, durable, proved, or not at all.

Write beside; fsync; drop the cache; read back from the disk and compare digests; rename
without replacing; fsync the folder. A file that is already there, with the same bytes, is
what a start after a crash finds: it is adopted.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vampd.errors import IntegrityError
from vampd.io.cache import ReadBehind, forget, read_ahead

_MODE = 0o644
_READ_BYTES = 1 << 20
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

_libc = ctypes.CDLL(None, use_errno=True)
# File systems without the flag say EINVAL, kernels without the call ENOSYS.
_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """Some bytes of a file as they were meant to be written."""

    offset: int
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A whole file as it was meant to be written; its regions leave no gap."""

    size_bytes: int
    regions: tuple[Region, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A file that is durable under its final name."""

    size_bytes: int
    sha256: str  #: hexadecimal, lower case, computed over what the disk gave back


def create_scratch(path: Path) -> int:
    """A descriptor, for reading and writing, of the new and empty file *path*."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _MODE)
    os.fchmod(descriptor, _MODE)  # whatever the umask says
    return descriptor


def create_folder(folder: Path) -> None:
    """Create *folder*, durably, in a folder that exists; once is enough."""
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def prove_written(descriptor: int, written: Written, *, path: Path) -> str:
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
        found = _digest(descriptor, region, whole)
        if found != region.sha256:
            last = region.offset + region.size_bytes - 1
            msg = f"{path}: bytes {region.offset} to {last} read back differ from those written"
            raise IntegrityError(msg)
    return whole.hexdigest()


def publish(scratch: Path, final: Path, published: Published) -> None:
    """Give *scratch*, on the same file system and proved, its *final* name, durably.

    A file that is already there is never replaced: with the same digest it is adopted
    and *scratch* removed; otherwise IntegrityError names both.
    """
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
        scratch.unlink()
    sync_folder(final.parent)


def publish_bytes(content: bytes, scratch: Path, final: Path) -> Published:
    """Publish a small file by way of *scratch*, which must not exist."""
    descriptor = create_scratch(scratch)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        whole = Region(offset=0, size_bytes=len(content), sha256=hashlib.sha256(content).digest())
        written = Written(size_bytes=len(content), regions=(whole,))
        sha256 = prove_written(descriptor, written, path=scratch)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    published = Published(size_bytes=len(content), sha256=sha256)
    publish(scratch, final, published)
    return published


def rename_without_replacing(
    old: Path, new: Path, *, old_folder: int = _AT_FDCWD, new_folder: int = _AT_FDCWD
) -> None:
    """Rename in one step; FileExistsError where *new* exists, even as a dangling link.

    A relative path counts from the folder whose descriptor is given.
    """
    result = _libc.renameat2(
        old_folder, os.fsencode(old), new_folder, os.fsencode(new), _RENAME_NOREPLACE
    )
    if result == 0:
        return
    number = ctypes.get_errno()
    if number not in _NOT_SUPPORTED:
        raise OSError(number, os.strerror(number), os.fspath(old), None, os.fspath(new))
    # Killed in between, the file has both names; the scratch name is cleared at the next try.
    os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False)
    os.unlink(old, dir_fd=old_folder)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(descriptor: int, region: Region, whole: hashlib._Hash) -> bytes:
    """SHA-256 of a region, which is added to *whole* too."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(_READ_BYTES, region.size_bytes)))
    behind = ReadBehind(descriptor)
    position, end = region.offset, region.offset + region.size_bytes
    while position < end:
        count = os.preadv(descriptor, [buffer[: end - position]], position)
        if count == 0:
            break
        digest.update(buffer[:count])
        whole.update(buffer[:count])
        position += count
        behind.advance(position)
    return digest.digest()


def digest_file(path: Path) -> Published | None:
    """Size and digest of what the disk holds; None where *path* is no regular file.

    OSError: it is missing, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link
            return None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        os.fsync(descriptor)
        forget(descriptor)
        region = Region(offset=0, size_bytes=status.st_size, sha256=b"")
        whole = hashlib.sha256()
        _digest(descriptor, region, whole)
    finally:
        os.close(descriptor)
    return Published(size_bytes=status.st_size, sha256=whole.hexdigest())


def _described(found: Published | None) -> str:
    return "no regular file" if found is None else f"{found.size_bytes} bytes, {found.sha256}"
