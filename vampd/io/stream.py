"""A new file, written front to back, of which the digest is known when it is done."""

from __future__ import annotations

import hashlib
import os
from types import TracebackType
from typing import Self

from vampd.io.beneath import Beneath, create, remove
from vampd.io.cache import WriteBehind
from vampd.io.publish import Published, Written, prove_written, publish


class ScratchStream:
    """The new file *path*, which must not exist; it is gone again unless it is published.

    Memory and the page cache do not grow with it. OSError: it cannot be made or written.
    """

    def __init__(self, path: Beneath) -> None:
        self.path = path
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        self._descriptor = create(path)
        self._behind = WriteBehind(self._descriptor, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        remove(self.path, missing_ok=True)

    def write(self, content: bytes | memoryview) -> int:
        """Append *content*; the number of its bytes."""
        rest = memoryview(content)
        self._digest.update(rest)
        while rest:
            written = os.write(self._descriptor, rest)
            self.size_bytes += written
            rest = rest[written:]
        self._behind.advance(self.size_bytes)
        return len(content)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def publish(self, final: Beneath, *, modified_ns: int | None = None) -> str:
        """Prove that the disk holds what was written, and give it its *final* name; its digest.

        With *modified_ns*, the file gets that time. What is there already is not replaced: see
        `publish`. IntegrityError: it is something else, or the disk gives back other bytes.
        """
        if modified_ns is not None:
            os.utime(self._descriptor, ns=(modified_ns, modified_ns))
        written = Written(size_bytes=self.size_bytes, sha256=self.sha256)
        sha256 = prove_written(self._descriptor, written, path=self.path)
        publish(self.path, final, Published(size_bytes=self.size_bytes, sha256=sha256))
        return sha256
