"""One lock on the state directory: two daemons never act at once."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from vampd.errors import OperatorError
from vampd.io.held_by import locks_on, process_text
from vampd.io.private import open_private, tighten

log = logging.getLogger(__name__)

LOCK_NAME = "vampd.lock"

_MAX_TEXT_BYTES = 4096


class StateLock:
    """The held lock of one state directory; made by `acquire`, a context manager.

    flock, not a POSIX record lock: those are dropped when any descriptor of the file is
    closed anywhere in the process. The descriptor is closed on exec, so that no program
    that the daemon starts keeps the lock after the daemon died.
    """

    def __init__(self, path: Path, descriptor: int, text: bytes) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._text = text

    @classmethod
    def acquire(cls, state_directory: Path) -> Self:
        """Take the lock, or refuse at once.

        The directory is closed to other users first, and what was open is told: whoever can
        read the file can lock it.

        Raises OperatorError naming the holder's pid when another process has it, and when
        the directory cannot be written.
        """
        path = state_directory / LOCK_NAME
        try:
            for sentence in tighten(state_directory):
                log.warning("%s", sentence)
            text = f"pid {os.getpid()} host {os.uname().nodename}\n".encode()
            descriptor = _locked_descriptor(path, text)
        except OSError as error:
            msg = f"{path}: {error.strerror}; is the state directory there, and writable?"
            raise OperatorError(msg) from error
        return cls(path, descriptor, text)

    def still_held(self) -> bool:
        """Whether the lock is still ours: the same file is at its path, says so, is locked.

        False after somebody removed or replaced the file (another daemon could then have
        locked the new one), and after another holder wrote its name into it.
        """
        descriptor = self._descriptor
        if descriptor is None:
            return False
        try:
            if not _is_at(self.path, descriptor):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.pread(descriptor, _MAX_TEXT_BYTES, 0) == self._text
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock back. Twice is once. The file stays: removing it would race."""
        if self._descriptor is not None:
            # Unlock by name: a forked child may still have a copy of the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def holder(state_directory: Path) -> str | None:
    """Who holds the lock ("pid 123 host scexao5"), None when nobody does.

    Tries the lock for an instant, shared, and so never takes it from anyone. PermissionError: the
    directory is another user's.
    """
    path = state_directory / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_of(descriptor, path)
    finally:
        os.close(descriptor)
    return None


def _locked_descriptor(path: Path, text: bytes) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        descriptor = open_private(path, flags)
        try:
            _lock_or_refuse(descriptor, path)
            if _is_at(path, descriptor):
                _write_text(descriptor, text)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The file was replaced between opening and locking: that lock would guard nothing.
        os.close(descriptor)


def _lock_or_refuse(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"{path}: held by {_holder_of(descriptor, path)}; stop that one first"
        raise OperatorError(msg) from error


def _is_at(path: Path, descriptor: int) -> bool:
    ours = os.fstat(descriptor)
    try:
        theirs = path.lstat()
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def _write_text(descriptor: int, text: bytes) -> None:
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _holder_of(descriptor: int, path: Path) -> str:
    """Who holds the lock: what the file says, unless the kernel names another process."""
    text = _text_of(descriptor)
    pids = {lock.pid for lock in locks_on(path) if lock.kind == "FLOCK"}
    strangers = sorted(pid for pid in pids if f"pid {pid} " not in f"{text} ")
    if not strangers or len(strangers) < len(pids):
        return text
    return f"{' and '.join(map(process_text, strangers))}, no daemon of vampd's"


def _text_of(descriptor: int) -> str:
    text = os.pread(descriptor, _MAX_TEXT_BYTES, 0).decode(errors="replace").strip()
    return text or "a process that has not yet written its name"
