"""A name that replaces nothing, on file systems that have a call for that, and on others."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress

_RENAME_NOREPLACE = 1
# File systems without the flag say EINVAL, kernels without the call ENOSYS.
_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

_libc = ctypes.CDLL(None, use_errno=True)


def move_without_replacing(old_folder: int, old: str, new_folder: int, new: str) -> None:
    """Rename in one step, in folders that are held open.

    FileExistsError where *new* exists, even as a dangling link.
    """
    before, after = os.fsencode(old), os.fsencode(new)
    if _libc.renameat2(old_folder, before, new_folder, after, _RENAME_NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in _NOT_SUPPORTED:
        raise OSError(number, os.strerror(number), old, None, new)
    # NFS, say. Killed in between, the file has both names; the scratch name is cleared at the next
    # try. A server whose answer was lost is asked again, and then says that it was done before.
    try:
        os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False)
    except FileExistsError:
        if not _are_one(old_folder, old, new_folder, new):
            raise
    with suppress(FileNotFoundError):
        os.unlink(old, dir_fd=old_folder)


def _are_one(folder: int, name: str, other_folder: int, other: str) -> bool:
    """Whether two names are of one and the same file."""
    here = os.stat(name, dir_fd=folder, follow_symlinks=False)
    there = os.stat(other, dir_fd=other_folder, follow_symlinks=False)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
