"""The only way to what lies below a root: names of files and folders, and what is done with them.

A root is a folder that somebody named outright, in the settings or on a command line; it may be a
link or a mount itself. Below it no symbolic link is ever followed, by nobody who swaps a folder
for one in the middle of it either: everything is reached through a descriptor of the root. A file
is a regular file: a pipe or a device under its name is not waited for, and not read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from vampd.errors import NotPlainError
from vampd.io.clock import SystemClock
from vampd.io.no_replace import move_without_replacing
from vampd.io.openat2 import open_below

_MODE = 0o644
_YOUNG_NS = 60_000_000_000
_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_HANDLE = os.O_PATH | os.O_DIRECTORY
_FILE = os.O_NONBLOCK | os.O_NOCTTY
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL

_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO

# What is told where a link, a pipe or a socket lies on the way.
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EXDEV, errno.ENXIO})

_LINK = (
    "a symbolic link to {target!r}; vampd reads, writes and deletes nothing through links below its"
    " roots: put there what it leads to (a mount will do), or move it away"
)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class Beneath(Struct, frozen=True, order=True):
    """What *names* lead to from *root*. A value: it touches nothing, and `open` does not take it.

    ValueError: a name that would lead elsewhere.
    """

    root: Path
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                msg = f"{name!r} is not a name below {self.root}"
                raise ValueError(msg)

    def __truediv__(self, relative: str) -> Beneath:
        return Beneath(self.root, (*self.names, *relative.split("/")))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """As it is told to people and to other programs."""
        return self.root.joinpath(*self.names)

    @property
    def name(self) -> str:
        """The last name."""
        return self.path.name

    @property
    def parent(self) -> Beneath:
        """The folder in which it lies. ValueError: of the root itself, nobody knows."""
        if not self.names:
            msg = f"{self.root} is a root"
            raise ValueError(msg)
        return Beneath(self.root, self.names[:-1])

    def with_name(self, name: str) -> Beneath:
        """Another name in the same folder."""
        return self.parent / name

    def relative_to(self, folder: Beneath) -> str:
        """The names that lead here from *folder*, which lies above."""
        assert (folder.root, folder.names) == (self.root, self.names[: len(folder.names)])
        return "/".join(self.names[len(folder.names) :])


def night_folder(folder: str | Path) -> Beneath:
    """A night's folder, in its root."""
    path = Path(folder)
    return Beneath(path.parent, (path.name,))


def open_file(where: Beneath, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file that is there.

    NotPlainError: it is something else, or a link leads there. OSError: it cannot be had.
    """
    descriptor = _open(where, flags | _FILE)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotPlainError(str(where), f"{_kind(mode)}, not a regular file")
    return descriptor


def open_quietly(where: Beneath) -> int:
    """`open_file`, for reading; its time of access stays, where we may decide about that."""
    try:
        return open_file(where, os.O_RDONLY | os.O_NOATIME)
    except PermissionError:  # only a file's owner may
        return open_file(where)


def read_start(where: Beneath, most_bytes: int) -> bytes:
    """The first *most_bytes* of a file, all of it where it is smaller."""
    with open(open_file(where), "rb") as file:
        return file.read(most_bytes)


def create(where: Beneath) -> int:
    """A descriptor, for reading and writing, of the new and empty file *where*."""
    descriptor = _open(where, _NEW_FILE, _MODE)
    os.fchmod(descriptor, _MODE)  # whatever the umask says
    return descriptor


@contextmanager
def opened_folder(where: Beneath) -> Iterator[int]:
    """A descriptor of a folder: to list it, to make its names durable, to lend it to a program."""
    descriptor = _open(where, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def entries(folder: Beneath) -> Iterator[os.DirEntry[str]]:
    """What lies in *folder*; all of it in one and the same folder."""
    with opened_folder(folder) as descriptor, os.scandir(descriptor) as found:
        yield from found


def names_in(folder: Beneath) -> list[str]:
    """The names in *folder*, in order."""
    with opened_folder(folder) as descriptor:
        return sorted(os.listdir(descriptor))  # noqa: PTH208 - of a descriptor


def is_empty(folder: Beneath) -> bool:
    """Whether nothing at all lies in *folder*."""
    with opened_folder(folder) as descriptor, os.scandir(descriptor) as found:
        return next(found, None) is None


def status(where: Beneath) -> os.stat_result:
    """What lies there; a symbolic link is told as one."""
    if not where.names:
        return where.root.stat()
    with _explaining(where), _holding(where) as (folder, name):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


def exists(where: Beneath) -> bool:
    """Whether anything lies there. NotPlainError: a link leads there, so nobody looked."""
    return _mode(where) != 0


def is_file(where: Beneath) -> bool:
    """Whether a regular file lies there. NotPlainError: a link leads there, so nobody looked."""
    return stat.S_ISREG(_mode(where))


def is_folder(where: Beneath) -> bool:
    """Whether a real folder lies there. NotPlainError: a link leads there, so nobody looked."""
    return stat.S_ISDIR(_mode(where))


def is_link(where: Beneath) -> bool:
    """Whether a symbolic link lies there. NotPlainError: one leads there."""
    return stat.S_ISLNK(_mode(where))


def link_target(where: Beneath) -> Path:
    """Where a symbolic link leads to, as it says itself; nothing is looked at there."""
    with _explaining(where), _holding(where) as (folder, name):
        return Path(os.readlink(name, dir_fd=folder))


def create_link(where: Beneath, target: Path) -> None:
    """Make a symbolic link: a shadow's own, in its mirror (see `vampd.io.mirror`)."""
    with _explaining(where), _holding(where) as (folder, name):
        os.symlink(target, name, dir_fd=folder)


def create_folder(folder: Beneath, *, is_scratch: bool = False) -> None:
    """Create *folder*, durably, in a folder that exists; once is enough.

    One that is there is durable: whoever made it says so at once. Only in a folder in which a name
    was made a moment ago it may be just being made, so that it is made durable here as well; not
    if it *is_scratch*, in which nothing is meant to outlive its maker.

    NotPlainError: a link or something else has its name.
    """
    with _explaining(folder), _holding(folder) as (above, name):
        is_young = True
        try:
            os.mkdir(name, dir_fd=above)
        except FileExistsError:
            with opened_folder(folder):
                pass
            if is_scratch:
                return
            since_ns = SystemClock().now_us() * 1000 - os.fstat(above).st_mtime_ns
            is_young = abs(since_ns) < _YOUNG_NS
    if is_young:
        sync_folder(folder.parent)


def create_folders(above: Beneath, relative: str, *, is_scratch: bool = False) -> Beneath:
    """Create every folder on the way from *above* to *relative*; the last one."""
    folder = above
    for name in relative.split("/"):
        folder /= name
        create_folder(folder, is_scratch=is_scratch)
    return folder


def create_passing_folder(folder: Beneath) -> None:
    """Create a new *folder*, which need not outlive a power cut. FileExistsError: it is there."""
    with _explaining(folder), _holding(folder) as (above, name):
        os.mkdir(name, dir_fd=above)


@contextmanager
def new_folder(where: Beneath) -> Iterator[int]:
    """A descriptor of a new folder in which nobody else can write: for what other programs make.

    It is gone afterwards, with the files in it.
    """
    with _holding(where) as (above, name):
        with _explaining(where):
            os.mkdir(name, 0o700, dir_fd=above)
            folder = open_below(above, (name,), _FOLDER)
        try:
            found = os.fstat(folder)
            if found.st_uid != os.geteuid() or found.st_mode & _OF_OTHERS:
                raise NotPlainError(str(where), "not the folder that was made just now")
            try:
                yield folder
            finally:
                for left in os.listdir(folder):  # noqa: PTH208 - of a descriptor
                    os.unlink(left, dir_fd=folder)
                os.rmdir(name, dir_fd=above)
        finally:
            os.close(folder)


def clear(where: Beneath) -> None:
    """Remove a file, or a folder that holds nothing but files; nothing may be there either."""
    if not is_folder(where):
        remove(where, missing_ok=True)
        return
    for name in names_in(where):
        remove(where / name)
    remove_folder(where)


def lent(descriptor: int) -> str:
    """The path by which a program that inherits *descriptor* reaches that very file or folder."""
    return f"/proc/self/fd/{descriptor}"


def remove(where: Beneath, *, missing_ok: bool = False) -> None:
    """Take a name away from its file, or a link away."""
    try:
        with _explaining(where), _holding(where) as (folder, name):
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        if not missing_ok:
            raise


def remove_folder(folder: Beneath) -> None:
    """Remove a folder that is empty."""
    with _explaining(folder), _holding(folder) as (above, name):
        os.rmdir(name, dir_fd=above)


def replace(old: Beneath, new: Beneath) -> None:
    """Rename in one step; what had the name *new* is no more."""
    with _explaining(old, new), _holding(old) as (source, name), _holding(new) as (target, as_name):
        os.replace(name, as_name, src_dir_fd=source, dst_dir_fd=target)


def rename_without_replacing(old: Beneath, new: Beneath) -> None:
    """Rename in one step; FileExistsError where *new* exists, even as a dangling link."""
    with _explaining(old, new), _holding(old) as (source, name), _holding(new) as (target, as_name):
        move_without_replacing(source, name, target, as_name)


def sync_folder(folder: Beneath) -> None:
    """Make the names in *folder* durable."""
    with opened_folder(folder) as descriptor:
        os.fsync(descriptor)


def _open(where: Beneath, flags: int, mode: int = 0) -> int:
    with _explaining(where):
        root = os.open(where.root, _ROOT)
        try:
            return open_below(root, where.names, flags, mode)
        finally:
            os.close(root)


@contextmanager
def _holding(where: Beneath) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder in which *where* lies, and its name in there."""
    folder = _open(where.parent, _HANDLE)
    try:
        yield folder, where.names[-1]
    finally:
        os.close(folder)


@contextmanager
def _explaining(where: Beneath, to: Beneath | None = None) -> Iterator[None]:
    """An error tells the whole path; one of a link tells the link, and where that leads."""
    try:
        yield
    except NotPlainError:
        raise
    except OSError as error:
        if error.errno in _IN_THE_WAY:
            _refuse_odd(where, error.errno)
        new = None if to is None else str(to)
        raise OSError(error.errno, error.strerror, str(where), None, new) from error


def _refuse_odd(where: Beneath, number: int) -> None:
    """NotPlainError: the first name on the way that is neither a folder nor a regular file."""
    folder = os.open(where.root, _ROOT)
    try:
        for depth, name in enumerate(where.names, start=1):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            here = str(Beneath(where.root, where.names[:depth]))
            if stat.S_ISLNK(mode):
                target = os.readlink(name, dir_fd=folder)
                raise NotPlainError(here, _LINK.format(target=target))
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise NotPlainError(here, f"{_kind(mode)} where a file or a folder belongs")
            if depth < len(where.names):
                below = open_below(folder, (name,), _HANDLE)
                os.close(folder)
                folder = below
    except FileNotFoundError:
        pass
    finally:
        os.close(folder)
    if number in {errno.ELOOP, errno.EXDEV}:  # somebody is quicker than we are
        raise NotPlainError(str(where), "reached through a symbolic link, or was a moment ago")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "no file")


def _mode(where: Beneath) -> int:
    """Of what lies there; 0: nothing does."""
    try:
        return status(where).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
