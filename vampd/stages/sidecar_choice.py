"""Which quarantined files a sidecar takes as they are: those that can be read, up to a limit.

What fills a disk is no help to anybody. The smallest go first, for most of them are timing files
and short cubes; what is too much, or mostly holes, such as no camera writes, stays where it is and
is listed. It lies nowhere else, so that the night's raw files are not given back while it is there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from vampd.errors import InputError, IntegrityError, OperatorError
from vampd.io.beneath import Beneath
from vampd.io.raw import RawFile
from vampd.records import FileIdentity
from vampd.stages.sidecar_reading import Reading

_BLOCK_BYTES = 1 << 20
_STAT_BLOCK_BYTES = 512  # whatever the file system's own are: stat(2)
# A file system that compresses gets cameras' noise to a half. Small files may have no block at all.
_LEAST_SHARE_ON_DISK = 0.25
_LEAST_SPARSE_BYTES = 1 << 20
#: Nobody waits for the digest of a larger one that is left where it is: half a minute of reading.
_MOST_DIGESTED_BYTES = 50_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The quarantined files of a sidecar, and those that are not in it."""

    taken: list[dict[str, Any]] = field(default_factory=list)  #: of the job, with their digests
    left: list[dict[str, Any]] = field(default_factory=list)  #: for the index, with "why"


def choose(night: Beneath, files: Sequence[Mapping[str, Any]], most_bytes: float) -> Choice:
    """Read *files*, quarantined ones, and choose those that go into the sidecar as they are.

    They are bad already, and none of them stops its night: what cannot be read is left out, too.
    """
    choice = Choice()
    left_bytes = most_bytes
    for file in sorted(files, key=lambda each: (each["size_bytes"], each["path"])):
        if file["size_bytes"] > left_bytes:
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
            choice.taken.append({**file, "sha256": sha256})
            left_bytes -= file["size_bytes"]
        else:
            choice.left.append(_line(file, sha256, why))
    for each in (choice.taken, choice.left):
        each.sort(key=lambda file: str(file["path"]))
    return choice


def _read(
    night: Beneath, file: Mapping[str, Any], why: str | None
) -> tuple[str | None, str | None]:
    """Why a file is left out, *why* if that is known already, and its digest; None: it is not."""
    with closing(RawFile(night, file["path"], _identity(file))) as raw:
        on_disk = os.fstat(raw.descriptor).st_blocks * _STAT_BLOCK_BYTES
        size_bytes = file["size_bytes"]
        if size_bytes >= _LEAST_SPARSE_BYTES and on_disk < size_bytes * _LEAST_SHARE_ON_DISK:
            return f"mostly holes: {size_bytes} bytes, of which the disk holds {on_disk}", None
        if why is not None and size_bytes > _MOST_DIGESTED_BYTES:
            return why, None
        source = Reading(raw, [(0, size_bytes)])
        while source.read(_BLOCK_BYTES):
            pass
        raw.check_unchanged()
    return why, source.digest.hexdigest()


def _line(file: Mapping[str, Any], sha256: str | None, why: str) -> dict[str, Any]:
    line = {name: file[name] for name in ("path", "state", "size_bytes", "modified_ns")}
    return {**line, "sha256": sha256, "why": why}


def _identity(file: Mapping[str, Any]) -> FileIdentity:
    return FileIdentity(
        inode=file["inode"], size_bytes=file["size_bytes"], modified_ns=file["modified_ns"]
    )
