"""Which quarantined files a sidecar takes as they are: those that can be read, up to a limit.

What fills a disk is no help to anybody. The smallest go first, for most of them are timing files
and short cubes; what is too much, or mostly holes, such as no camera writes, stays where it is and
is listed. It lies nowhere else, so that the night's raw files are not given back while it is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace

from vampd.errors import InputError, IntegrityError, OperatorError
from vampd.io.beneath import Beneath
from vampd.io.raw import RawFile
from vampd.stages.sidecar_job import SidecarFile
from vampd.stages.sidecar_reading import Reading

_BLOCK_BYTES = 1 << 20
_STAT_BLOCK_BYTES = 512  # whatever the file system's own are: stat(2)
# A file system that compresses gets cameras' noise to a half. Small files may have no block at all.
_LEAST_SHARE_ON_DISK = 0.25
_LEAST_SPARSE_BYTES = 1 << 20
#: Nobody waits for the digest of a larger one that is left where it is: half a minute of reading.
_MOST_DIGESTED_BYTES = 50_000_000_000


class LeftOut(Struct, frozen=True, kw_only=True):
    """A quarantined file that is not in the sidecar."""

    file: SidecarFile
    sha256: str | None
    why: str

    def line(self) -> dict[str, str | int | None]:
        """What the index says of it."""
        return {
            "path": self.file.path,
            "state": self.file.state,
            "size_bytes": self.file.who.size_bytes,
            "modified_ns": self.file.who.modified_ns,
            "sha256": self.sha256,
            "why": self.why,
        }


class Choice(Struct, frozen=True, kw_only=True):
    """The quarantined files of a sidecar, and those that are not in it; by path."""

    taken: tuple[SidecarFile, ...]  #: with their digests
    left: tuple[LeftOut, ...]


def choose(night: Beneath, files: Sequence[SidecarFile], most_bytes: float) -> Choice:
    """Read *files*, quarantined ones, and choose those that go into the sidecar as they are.

    They are bad already, and none of them stops its night: what cannot be read is left out, too.
    """
    taken: list[SidecarFile] = []
    left: list[LeftOut] = []
    left_bytes = most_bytes
    for file in sorted(files, key=lambda each: (each.who.size_bytes, each.path)):
        if file.who.size_bytes > left_bytes:
            why = (
                f"quarantined files have {most_bytes / 1e9:g} GB of a sidecar (disk.quarantined_gb)"
            )
        else:
            why = None
        try:
            why, sha256 = _read(night, file, why)
        except (InputError, IntegrityError, OperatorError) as error:
            why, sha256 = str(error), None
        if why is None:
            taken.append(replace(file, sha256=sha256))
            left_bytes -= file.who.size_bytes
        else:
            left.append(LeftOut(file=file, sha256=sha256, why=why))
    return Choice(
        taken=tuple(sorted(taken, key=lambda each: each.path)),
        left=tuple(sorted(left, key=lambda each: each.file.path)),
    )


def _read(night: Beneath, file: SidecarFile, why: str | None) -> tuple[str | None, str | None]:
    """Why a file is left out, *why* if that is known already, and its digest; None: it is not."""
    with closing(RawFile(night, file.path, file.who)) as raw:
        on_disk = os.fstat(raw.descriptor).st_blocks * _STAT_BLOCK_BYTES
        size_bytes = file.who.size_bytes
        if size_bytes >= _LEAST_SPARSE_BYTES and on_disk < size_bytes * _LEAST_SHARE_ON_DISK:
            return f"mostly holes: {size_bytes} bytes, of which the disk holds {on_disk}", None
        if why is not None and size_bytes > _MOST_DIGESTED_BYTES:
            return why, None
        source = Reading(raw, [(0, size_bytes)])
        while source.read(_BLOCK_BYTES):
            pass
        raw.check_unchanged()
    return why, source.digest.hexdigest()
