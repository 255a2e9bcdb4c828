"""Disks: their space, what tells one from another, and how many folders can be watched."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from vampd.errors import OperatorError
from vampd.io.beneath import (
    Beneath,
    create,
    exists,
    is_empty,
    read_start,
    remove,
    rename_without_replacing,
    sync_folder,
)

MARKER_NAME = ".vampd-root"

_MARKER = re.compile(rb"vampd-root ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n")
_MARKER_NOTE = "# vampd knows this disk by the line above; do not copy, change or delete it.\n"
_MAX_MARKER_BYTES = 4096
_INOTIFY = Path("/proc/sys/fs/inotify")


class MarkerState(StrEnum):
    """Whether a root is the disk that it was."""

    OK = "ok"  #: the marker is the one that was written at the first start
    MISSING = "missing"  #: no marker, or it cannot be read: not mounted, perhaps
    FOREIGN = "foreign"  #: a marker, but another one: another disk


class InotifyLimits(Struct, frozen=True, kw_only=True):
    """What the kernel allows each user; None where it does not say."""

    max_user_watches: int | None
    max_user_instances: int | None
    max_queued_events: int | None


def free_bytes(path: Path) -> int:
    """Bytes that a user without privileges may still write where *path* lies.

    Raises OSError when the file system does not answer.
    """
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def is_mount_point(path: Path) -> bool:
    """Whether a file system of its own is mounted at *path*.

    By device number, not by the list of mounts: a service's sandbox bind-mounts every
    writable path onto itself, so there an absent disk would look like a mounted one.
    """
    return path.is_mount()


def claim_root(root: Path) -> str | None:
    """Read the root's marker, or write one, and return its identifier.

    None when there is nothing to mark: the root is missing, or it is an empty folder that
    is no mount point, which is what an absent disk leaves behind. Raises OperatorError when
    the root cannot be read or written, or holds a marker that is none.
    """
    try:
        if exists(Beneath(root) / MARKER_NAME):
            return _existing_marker(root)
        if not root.is_dir() or not (is_mount_point(root) or not is_empty(Beneath(root))):
            return None
        return _write_marker(root)
    except OSError as error:
        msg = f"{root}: cannot mark this root: {error.strerror}"
        raise OperatorError(msg) from error


def check_marker(root: Path, expected: str) -> MarkerState:
    """Whether the root is the disk that bore *expected* at the first start.

    Anything but OK means: touch nothing. A missing or foreign disk is not an empty one.
    """
    try:
        found = read_marker(root)
    except OSError:
        return MarkerState.MISSING
    return MarkerState.OK if found == expected else MarkerState.FOREIGN


def read_marker(root: Path) -> str | None:
    """The identifier in the root's marker; None when the file holds none.

    Raises OSError when there is no marker or it cannot be read.
    """
    match = _MARKER.match(read_start(Beneath(root) / MARKER_NAME, _MAX_MARKER_BYTES))
    return match[1].decode() if match else None


def _existing_marker(root: Path) -> str:
    identifier = read_marker(root)
    if identifier is None:
        msg = f"{root / MARKER_NAME}: not a marker of vampd; look at it, then move it away"
        raise OperatorError(msg)
    return identifier


def _write_marker(root: Path) -> str:
    """Write the marker beside, then name it, so that it appears whole and replaces nothing."""
    # Late: `vampd status` reads markers, and writes none; this import takes 3 ms of its 150.
    import uuid

    identifier = str(uuid.uuid4())
    marker = Beneath(root) / MARKER_NAME
    scratch = marker.with_name(f"{MARKER_NAME}.{identifier}")
    try:
        _write_durably(scratch, f"vampd-root {identifier}\n{_MARKER_NOTE}".encode())
        rename_without_replacing(scratch, marker)
    except BaseException:
        remove(scratch, missing_ok=True)
        raise
    sync_folder(marker.parent)
    return identifier


def _write_durably(where: Beneath, content: bytes) -> None:
    with os.fdopen(create(where), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def inotify_limits() -> InotifyLimits:
    """How many folders and observers this host lets one user watch."""
    return InotifyLimits(
        max_user_watches=_limit("max_user_watches"),
        max_user_instances=_limit("max_user_instances"),
        max_queued_events=_limit("max_queued_events"),
    )


def _limit(name: str) -> int | None:
    try:
        return int((_INOTIFY / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
