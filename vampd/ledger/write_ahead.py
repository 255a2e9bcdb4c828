"""The ledger's write-ahead log, which grows as long as anybody reads an old state of the ledger.

Commits go to the end of the log, and are folded into the ledger when nobody reads what they
replace (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files"). The daemon folds it in as
often as it grows, and its readers for other users end by themselves. A process that its user
stopped in the middle of reading, or a database tool that somebody left open, keeps the log
growing, and SQLite knows no remedy: so it is found by the locks that it holds, and told.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from vampd.io.held_by import locks_on, process_text

#: From this size on the daemon folds the log in; SQLite itself tries at 4 MB, without waiting.
FOLD_BYTES = 16 << 20

#: A log of this size has been kept from being folded in: worth a word.
TOLD_BYTES = 128 << 20

#: Those who come and go are waited for that long. The daemon's loop stands meanwhile.
_WAIT_MS = 200

#: Bytes of the `-shm` file that SQLite locks (sqlite.org/walformat.html, section 2.3).
_WRITER = 120
_READERS = range(123, 128)

#: Who reads at both ends of this time stays, or is succeeded by himself.
_STAY_SECONDS = 1.0


def log_bytes(database: Path) -> int:
    """The size of the log of *database*; 0: there is none, or it is not this user's to see."""
    try:
        return database.with_name(f"{database.name}-wal").stat().st_size
    except (FileNotFoundError, PermissionError):
        return 0


def fold_in(connection: sqlite3.Connection, database: Path) -> bool:
    """Fold a log that has grown into *database*, so that it begins anew; return whether it did.

    The *connection* is outside a transaction. Who reads for a moment is waited for; False: somebody
    stays. True, too, of a log that is small.
    """
    if log_bytes(database) < FOLD_BYTES:
        return True
    (before,) = connection.execute("pragma busy_timeout").fetchone()
    connection.execute(f"pragma busy_timeout = {_WAIT_MS}")
    try:
        busy, _, _ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    finally:
        connection.execute(f"pragma busy_timeout = {before}")
    return not busy


def too_long(database: Path) -> str | None:
    """That the log of *database* has grown long, who reads it, and what to do; None: it has not."""
    size = log_bytes(database)
    if size < TOLD_BYTES:
        return None
    who = _staying(database)
    done = "nobody reads it now: it is folded in by the daemon within a minute"
    if who:
        pids = " ".join(map(str, who))
        done = (
            f"for {' and '.join(map(process_text, who))} has been reading an old state of it and"
            f" stays: end that (kill {pids}); nothing is lost"
        )
    return f"{database}-wal has grown to {size / 1e6:.0f} MB, {done}"


def who_writes(database: Path) -> str:
    """Who else writes into *database* now, as the end of a sentence; empty: nobody is seen."""
    pids = _pids(database, range(_WRITER, _WRITER + 1), writes=True)
    return f" (held by {' and '.join(map(process_text, sorted(pids)))})" if pids else ""


def _staying(database: Path) -> list[int]:
    first = _pids(database, _READERS, writes=False)
    if not first:
        return []
    time.sleep(_STAY_SECONDS)
    return sorted(first & _pids(database, _READERS, writes=False))


def _pids(database: Path, places: range, *, writes: bool) -> set[int]:
    """The processes but this one that have locked one of these bytes of the shared index."""
    index = database.with_name(f"{database.name}-shm")
    return {
        lock.pid
        for lock in locks_on(index)
        if lock.writes is writes
        and lock.first < places.stop
        and (lock.last is None or lock.last >= places.start)
        and lock.pid != os.getpid()
    }
