"""Leave no trace in the page cache, and no bursts in the disk's queue.

The cameras write to the same disks. A reader or writer of terabytes that leaves its
pages behind evicts theirs, and the kernel's own write-back comes in bursts that delay
them; both are avoided by telling the kernel, a few MiB at a time, what we are done with.
"""

from __future__ import annotations

import ctypes
import errno
import os

STEP_BYTES = 8 << 20

_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # SYNC_FILE_RANGE_*, linux/fs.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

# Pipes and some file systems know nothing of ranges; the final fsync writes all the same.
_NO_RANGES = frozenset({errno.ESPIPE, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def forget(descriptor: int, offset: int = 0, length: int = 0) -> None:
    """Drop clean pages of a range from the cache; a *length* of 0 means to the end."""
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def read_ahead(descriptor: int) -> None:
    """Say that the file will be read from front to back."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)


class ReadBehind:
    """Drops what lies behind a reader that moves forward."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropped_to = 0

    def advance(self, position: int) -> None:
        """Everything before *position* has been read."""
        if position - self.dropped_to >= STEP_BYTES:
            forget(self.descriptor, self.dropped_to, position - self.dropped_to)
            self.dropped_to = position


class WriteBehind:
    """Keeps a writer's dirty pages few: starts write-back, waits for the step before."""

    def __init__(self, descriptor: int, start: int) -> None:
        self.descriptor = descriptor
        self.started_to = start
        self.written_to = start

    def advance(self, position: int) -> None:
        """Everything before *position* has been written. OSError: a write-back failed."""
        if position - self.started_to < STEP_BYTES:
            return
        self._sync(self.started_to, position, _WRITE)
        self._sync(self.written_to, self.started_to, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        if self.started_to > self.written_to:
            forget(self.descriptor, self.written_to, self.started_to - self.written_to)
        self.written_to, self.started_to = self.started_to, position

    def _sync(self, start: int, end: int, flags: int) -> None:
        if start == end:  # a length of 0 would mean: to the end of the file
            return
        if _libc.sync_file_range(self.descriptor, start, end - start, flags) != 0:
            number = ctypes.get_errno()
            if number not in _NO_RANGES:
                raise OSError(number, os.strerror(number))
