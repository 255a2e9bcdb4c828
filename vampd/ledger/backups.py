"""The copy of the ledger that is made before its schema changes, and the way back to it.

An older vampd refuses a ledger that a newer one has migrated. To go back to the older one is to
go back to the copy; and that is allowed only while nothing would be forgotten that was done.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from vampd.errors import OperatorError
from vampd.io.private import make_private_file
from vampd.ledger.address import address

#: Of these the folders tell everything again; all other events are of work that was done.
_DONE_SINCE = """
    select subject || ' ' || became, count(*) from event
    where id > ? and subject not in ('night', 'raw_file') group by 1 order by 1
"""


def copy_before(connection: sqlite3.Connection, path: Path, migration: str) -> Path:
    """Copy the ledger *path* of *connection* beside itself, before *migration*; durably."""
    return _copy(connection, path.with_name(f"{path.stem}.before-{migration}{path.suffix}"))


def newest_copy(path: Path) -> Path:
    """The copy that was made before the newest migration. OperatorError: there is none."""
    copies = sorted(path.parent.glob(f"{path.stem}.before-*{path.suffix}"))
    if not copies:
        msg = f"{path}: no migration of it left a copy to go back to"
        raise OperatorError(msg)
    return copies[-1]


def go_back(path: Path, *, dry_run: bool) -> list[str]:
    """Make the ledger *path* what its newest copy is; return what was done, in sentences.

    The caller holds the lock. What the ledger was is kept beside it. OperatorError: work was
    done since, which would be forgotten.
    """
    copy = newest_copy(path)
    with closing(_opened(copy, "ro")) as before, closing(_opened(path, "rw")) as now:
        _refuse_forgetting(path, before, now)
        undone = path.with_name(copy.name.replace(".before-", ".undone-"))
        if not dry_run:
            _copy(now, undone)
            before.backup(now)  # one transaction: it is the one or the other, whatever happens
    if not dry_run:
        copy.unlink()
    return [f"{path} is what it was before its last migration", f"what it was is kept in {undone}"]


def _refuse_forgetting(path: Path, before: sqlite3.Connection, now: sqlite3.Connection) -> None:
    (last,) = before.execute("select coalesce(max(id), 0) from event").fetchone()
    done = now.execute(_DONE_SINCE, [last]).fetchall()
    if done:
        told = ", ".join(f"{count} times {what}" for what, count in done)
        msg = (
            f"{path}: work was done since its last migration ({told}), and going back would forget"
            " it, frame IDs too: stay with the newer version"
        )
        raise OperatorError(msg)


def _copy(connection: sqlite3.Connection, target: Path) -> Path:
    scratch = target.with_name(f"{target.name}.part")
    scratch.unlink(missing_ok=True)
    make_private_file(scratch)
    with closing(sqlite3.connect(scratch, isolation_level=None)) as copy:
        connection.backup(copy)
    _sync(scratch)
    scratch.replace(target)
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    return sqlite3.connect(address(path, mode), uri=True, isolation_level=None)
