"""Raw files as tarfile reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from vampd.io.raw import RawFile

_BLOCK_BYTES = 1 << 20


class Reading:
    """Some bytes of a raw file as tarfile reads them, digested on their way."""

    def __init__(self, raw: RawFile, parts: Sequence[tuple[int, int]]) -> None:
        """*parts* are places and sizes, bytes."""
        self.digest = hashlib.sha256()
        self._blocks = _blocks(raw, parts)
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """The next *size* bytes; fewer only at the end, for tarfile takes that for one."""
        content = bytearray()
        while size < 0 or len(content) < size:
            if not self._rest:
                self._rest = memoryview(next(self._blocks, b""))
            if not self._rest:
                break
            taken = len(self._rest) if size < 0 else size - len(content)
            content += self._rest[:taken]
            self._rest = self._rest[taken:]
        self.digest.update(content)
        return bytes(content)


def _blocks(raw: RawFile, parts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for offset, size_bytes in parts:
        for start in range(offset, offset + size_bytes, _BLOCK_BYTES):
            block = bytearray(min(_BLOCK_BYTES, offset + size_bytes - start))
            raw.fill(memoryview(block), start)
            yield bytes(block)
