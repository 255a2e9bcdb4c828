"""Trees of files: their bytes, their identities, and names in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vampd.io.beneath import Beneath
from vampd.records import FileIdentity


def below(path: Path) -> Beneath:
    """*path*, as a name in a folder that is named outright."""
    return Beneath(path.parent, (path.name,))


def digests_of_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below *folder*, by its path in there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identities_of_tree(folder: Path) -> dict[str, FileIdentity]:
    """What tells an untouched file from a rewritten one, for every file below *folder*."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = FileIdentity(
                inode=status.st_ino,
                size_bytes=status.st_size,
                modified_ns=status.st_mtime_ns,
            )
    return found
