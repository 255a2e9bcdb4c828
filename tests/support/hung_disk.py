"""A disk that hangs, as a network disk does whose server is gone."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def hanging_disk(folder: Path) -> Iterator[Path]:
    """Mount at *folder* a file system whose server takes every request and answers none.

    Skips the test where this user may not mount one.
    """
    folder.mkdir(exist_ok=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("needs /dev/fuse")
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hanging", str(folder).encode(), b"fuse", 0, options.encode()):
        os.close(server)
        pytest.skip(f"may not mount: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        os.close(server)  # now everybody who waits gets an error
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
