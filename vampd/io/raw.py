"""Read raw cubes: frame by frame, never written to, never mapped into memory.

A memory map of a file that shrinks kills the process; a frame read with `pread` is at
worst too short. That the file is the one that was planned for is asked when it is
opened, and again after the last frame.
"""

from __future__ import annotations

import errno
import os
import stat

import numpy as np
from numpy.typing import NDArray

from vampd.errors import (
    InputError,
    IntegrityError,
    NotPlainError,
    OperatorError,
    ResourceError,
)
from vampd.io.beneath import Beneath, open_quietly
from vampd.io.cache import ReadBehind, forget, read_ahead
from vampd.io.header import RawHeader, check_size, read_header
from vampd.io.mirror import raw_file
from vampd.io.pixels import STORED, stored_bytes
from vampd.records import FileIdentity

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class RawFile:
    """A raw file, open for reading, with the *identity* that was recorded of it.

    *path* is relative to *night* and names the file in every error. IntegrityError: it
    is gone, or another. InputError: it cannot be read. OperatorError: it may not be read.
    """

    def __init__(self, night: Beneath, path: str, identity: FileIdentity) -> None:
        self.path = path
        self._identity = identity
        self.descriptor = self._open(night, path)
        try:
            self.check_unchanged()
        except BaseException:
            self.close()
            raise

    def check_unchanged(self) -> None:
        """IntegrityError: the file is not, or no longer, what was recorded of it."""
        status = os.fstat(self.descriptor)
        found = FileIdentity(
            inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns
        )
        if found != self._identity or not stat.S_ISREG(status.st_mode):
            msg = f"{self.path}: raw file changed: it was {self._identity}, and is {found}"
            raise IntegrityError(msg)

    def read_all(self) -> bytes:
        """The whole content; for small files."""
        content = bytearray(self._identity.size_bytes)
        self.fill(memoryview(content), 0)
        return bytes(content)

    def fill(self, buffer: memoryview, offset: int) -> None:
        """Fill *buffer* (bytes) from *offset* on. InputError: read error, or file too short."""
        while buffer:
            try:
                count = os.preadv(self.descriptor, [buffer], offset)
            except OSError as error:
                msg = f"{self.path}: read error at byte {offset}: {error.strerror}"
                raise InputError(msg, path=self.path) from error
            if count == 0:
                msg = f"{self.path}: ends at byte {offset}, {len(buffer)} bytes too early"
                raise InputError(msg, path=self.path)
            buffer, offset = buffer[count:], offset + count

    def close(self) -> None:
        """Close the file; nothing can be read any more."""
        os.close(self.descriptor)

    def _open(self, night: Beneath, path: str) -> int:
        try:
            return open_quietly(raw_file(night, path))
        except NotPlainError as error:
            msg = f"{self.path}: the raw file is gone: {error}"
            raise IntegrityError(msg) from error
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> Exception:
        text = f"{self.path}: {error.strerror}"
        if error.errno in _SHORTAGES:
            return ResourceError(text)
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return IntegrityError(f"{text}: the raw file is gone")
        if error.errno in {errno.EACCES, errno.EPERM}:
            return OperatorError(text)
        return InputError(text, path=self.path)


class RawCubeFile(RawFile):
    """A raw cube whose size is what its header says."""

    def __init__(self, night: Beneath, path: str, identity: FileIdentity) -> None:
        super().__init__(night, path, identity)
        try:
            self.header: RawHeader = self._read_header()
        except BaseException:
            self.close()
            raise
        read_ahead(self.descriptor)
        self._behind = ReadBehind(self.descriptor)

    def read_frame(self, frame: int, pixels: NDArray[np.int16]) -> None:
        """Read one frame into *pixels*, (height, width): the file's own values and byte order.

        They are the pixels less 32768.
        """
        if not 0 <= frame < self.header.frames:
            msg = f"{self.path}: frame {frame} of {self.header.frames} was planned for"
            raise IntegrityError(msg)
        offset = self.header.data_offset + frame * self.header.frame_bytes
        self.fill(stored_bytes(pixels), offset)
        self._behind.advance(offset)

    def close(self) -> None:
        """Close the file, and leave none of its pages in the cache."""
        forget(self.descriptor)
        super().close()

    def empty_frame(self) -> NDArray[np.int16]:
        """A place for one frame, (height, width)."""
        return np.empty((self.header.height, self.header.width), dtype=STORED)

    def _read_header(self) -> RawHeader:
        try:
            header = read_header(self.descriptor, path=self.path)
        except OSError as error:
            msg = f"{self.path}: read error in its header: {error.strerror}"
            raise InputError(msg, path=self.path) from error
        check_size(header, self._identity.size_bytes, path=self.path)
        return header
