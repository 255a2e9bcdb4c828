"""Files as the ledger lists them, for the stages that handle finished files."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from msgspec import Struct

from vampd.errors import IntegrityError
from vampd.io.beneath import Beneath, status


class ListedFile(Struct, frozen=True, kw_only=True):
    """A file as the ledger lists it."""

    path: str  #: relative to the night's folder
    size_bytes: int
    sha256: str  #: hexadecimal, lower case


def check_sizes(folder: Beneath, files: Sequence[ListedFile]) -> None:
    """IntegrityError: a file is missing, no regular file, or not of its listed size."""
    for file in files:
        path = folder / file.path
        try:
            found = status(path)
        except (FileNotFoundError, NotADirectoryError):
            msg = f"{path} is gone; the ledger lists {file.size_bytes} bytes"
            raise IntegrityError(msg) from None
        if not stat.S_ISREG(found.st_mode):
            msg = f"{path} is no regular file any more"
            raise IntegrityError(msg)
        if found.st_size != file.size_bytes:
            msg = f"{path} has {found.st_size} bytes; the ledger lists {file.size_bytes}"
            raise IntegrityError(msg)
