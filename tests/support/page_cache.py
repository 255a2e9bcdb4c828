"""What the kernel keeps of a file in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from pathlib import Path

PAGE = mmap.PAGESIZE


def cached_bytes(descriptor: int) -> int:
    """How much of the file is in the page cache, by mincore(2)."""
    size = os.fstat(descriptor).st_size
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    address = ctypes.c_void_p(libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0))
    present = (ctypes.c_ubyte * -(-size // PAGE))()
    assert libc.mincore(address, ctypes.c_size_t(size), present) == 0
    libc.munmap(address, ctypes.c_size_t(size))
    return PAGE * sum(page & 1 for page in present)


def drops_pages(folder: Path) -> bool:
    """Whether the file system of *folder* can forget pages at all."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * PAGE)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return cached_bytes(file.fileno()) == 0
