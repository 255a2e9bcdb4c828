"""Files that only the service's user may open: all that lies in the state directory.

Whoever may open a file for reading may also lock it, and a lock of a stranger's on the daemon's
lock file, or on the ledger's shared index, keeps the daemon out for as long as he likes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

FOLDER_MODE = 0o700
FILE_MODE = 0o600

#: What a shadow's mirror of a root holds, and nothing else does.
MIRROR_NAME = "mirror-of.txt"

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: What names of vampd's own in the state directory begin with. It is also the home of the
#: service's user, where ssh and others keep theirs behind a dot.
_OURS = ("ledger.", "ledger-", "headers.sqlite3", "vampd.", "vampd-", "watchdog.json", "shadow")
_HOME = (".", "lost+found")


class Open(Struct, frozen=True, kw_only=True):
    """A file or folder of the state directory that others than its owner may open."""

    path: Path
    mode: int
    stranger: str = ""  #: for whose sake the folder cannot be closed: it is not vampd's


def make_private_folder(path: Path) -> None:
    """Make the folder *path*, where there is none, for its owner alone."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE)
        descriptor = os.open(path, _OPEN | os.O_DIRECTORY)
        try:
            _give_to_owner(descriptor, path.parent)
        finally:
            os.close(descriptor)


def make_private_file(path: Path) -> None:
    """Make an empty file *path*, where there is none, for its owner alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        os.close(open_private(path, flags))


def open_private(path: Path, flags: int) -> int:
    """Open *path*; where that makes it, it is its owner's alone. Returns the descriptor."""
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        if os.fstat(descriptor).st_uid != path.parent.stat().st_uid:
            _give_to_owner(descriptor, path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def too_open(folder: Path) -> Iterator[Open]:
    """What of the state directory *folder* others may open: its files of vampd's, and itself."""
    paths = sorted(folder.iterdir())
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # SQLite removes what it no longer needs
            continue
        if path.name.startswith(_OURS) and stat.S_ISREG(mode) and mode & _OTHERS:
            yield Open(path=path, mode=stat.S_IMODE(mode))
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS:
        strangers = [path.name for path in paths if not _is_ours(path)]
        yield Open(path=folder, mode=mode, stranger=strangers[0] if strangers else "")


def tighten(folder: Path) -> list[str]:
    """Close to others what of the state directory *folder* is open; say what was done, or not.

    A folder that holds anything but vampd's own is left as it is: it may be a disk that the
    cameras need. Its files are closed all the same.
    """
    return [_closed(each) for each in list(too_open(folder))]


def _is_ours(path: Path) -> bool:
    """Whether the service keeps this in its folder; a shadow keeps its mirrors there."""
    if path.name.startswith((*_OURS, *_HOME)):
        return True
    try:
        return (path / MIRROR_NAME).is_file()
    except PermissionError:
        return False


def _closed(each: Open) -> str:
    mode = FOLDER_MODE if each.path.is_dir() else FILE_MODE
    was = f"{each.path} was open to other users (mode {each.mode:04o})"
    if each.stranger:
        return (
            f"{was}, and is left so, for it holds {each.stranger}, which is not vampd's: set"
            " state_dir to a folder of vampd's own"
        )
    try:
        descriptor = os.open(each.path, _OPEN)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        return (
            f"{was}, and cannot be closed ({error.strerror}): chmod {mode:o} {each.path}, as root"
        )
    return f"{was}; it is its owner's alone now ({mode:04o})"


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Let what root made in the service's folder be the service's: it must open it later."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
