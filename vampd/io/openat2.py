"""Open what lies below a folder, and never through a symbolic link.

The kernel's openat2 (Linux 5.6) resolves the whole way in one call. Where a kernel or a sandbox
does not have it, the way is gone step by step: each folder is opened from the one before, and
no link is followed. Either way nobody who swaps a folder for a link meanwhile leads us out.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache

_NUMBER = 437  # of the call, on every machine that is not an Alpha
_AT_FDCWD = -100
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08  # linux/openat2.h

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    """struct open_how."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_below(folder: int, names: Sequence[str], flags: int, mode: int = 0) -> int:
    """A descriptor of what *names* lead to from the descriptor *folder*; without names, of itself.

    OSError: it cannot be had; ELOOP or ENOTDIR where a symbolic link lies on the way or in the end.
    """
    way = kernel_open if is_available() else stepwise_open
    return way(folder, names, flags, mode)


@cache
def is_available() -> bool:
    """Whether this kernel has openat2, and lets us call it."""
    try:
        descriptor = _call(_AT_FDCWD, "/", _How(flags=_STEP))
    except OSError:
        return False
    os.close(descriptor)
    return True


def kernel_open(folder: int, names: Sequence[str], flags: int, mode: int = 0) -> int:
    """`open_below` by one call of the kernel's."""
    how = _How(
        flags=flags | os.O_NOFOLLOW | os.O_CLOEXEC,
        mode=mode,
        resolve=_BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS,
    )
    return _call(folder, "/".join(names) or ".", how)


def stepwise_open(folder: int, names: Sequence[str], flags: int, mode: int = 0) -> int:
    """`open_below` folder by folder."""
    *above, last = names or (".",)
    with ExitStack() as stack:
        for name in above:
            folder = os.open(name, _STEP, dir_fd=folder)
            stack.callback(os.close, folder)
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)


def _call(folder: int, path: str, how: _How) -> int:
    while True:
        descriptor: int = _libc.syscall(
            ctypes.c_long(_NUMBER),
            ctypes.c_int(folder),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), path)
