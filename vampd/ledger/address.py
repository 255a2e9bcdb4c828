"""How SQLite is told which file to open, and how.

In an address `#` and `?` end the path, and `%` begins a byte in hexadecimal (RFC 3986): a path
that holds one of them would name another file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote


def address(path: Path, mode: Literal["ro", "rw"], *, immutable: bool = False) -> str:
    """The address of the database *path*, for `sqlite3.connect(..., uri=True)`.

    *immutable*: nobody changes the file, so it is read without any lock.
    """
    never_changes = "&immutable=1" if immutable else ""
    return f"file://{quote(os.fsencode(path.absolute()))}?mode={mode}{never_changes}"
