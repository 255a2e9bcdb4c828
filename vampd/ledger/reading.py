"""Read the ledger, daemon or not: a read-only connection, with sqlite3 and nothing else.

All that is read within one `reading` is one moment's state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from vampd.errors import OperatorError, RetryableError
from vampd.ledger.address import address
from vampd.ledger.connection import ledger_path

#: A writer holds the ledger for milliseconds; more than this is a fault.
_BUSY_SECONDS = 5.0

#: Result codes of SQLite, without their details in the upper bits: see sqlite.org/rescode.html.
_PRIMARY_CODE = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

Reader: TypeAlias = sqlite3.Connection


def has_ledger(state_directory: Path) -> bool:
    """Whether a daemon ever ran on this state directory.

    OperatorError: the directory itself is missing, or closed to this user.
    """
    try:
        if not state_directory.is_dir():
            msg = f"{state_directory}: no such folder; set state_dir, or start the daemon once"
            raise OperatorError(msg)
        return ledger_path(state_directory).exists()
    except PermissionError as error:
        msg = f"{state_directory}: not open to this user; ask as the daemon's user"
        raise OperatorError(msg) from error


@contextmanager
def reading(state_directory: Path) -> Iterator[Reader]:
    """A connection that cannot write, in one transaction.

    OperatorError: there is no ledger, this user cannot read it, or another version made it.
    RetryableError: a writer held it for longer than it should.
    """
    path = ledger_path(state_directory)
    if not has_ledger(state_directory):
        msg = f"{path}: no ledger yet; `vampd run` makes it at its first start"
        raise OperatorError(msg)
    try:
        with closing(_open(path)) as ledger:
            yield ledger
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _open(path: Path) -> Reader:
    """Open *path*, where nobody has it open also for a user who cannot write its folder.

    In WAL mode even a reader needs the `-shm` file beside the ledger. While a daemon runs it is
    there; afterwards SQLite must make it, which a mere reader may not. Then, and only when no
    `-wal` file holds commits, the ledger can be read as a file that nobody changes.
    """
    try:
        return _begin(address(path, "ro"))
    except sqlite3.OperationalError as error:
        if _code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise
        if _has_open_commits(path):
            raise
        return _begin(address(path, "ro", immutable=True))


def _begin(where: str) -> Reader:
    ledger = sqlite3.connect(where, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        ledger.row_factory = sqlite3.Row
        ledger.execute("begin")
        # The first look at the file: only now is it opened, and the moment is chosen.
        ledger.execute("select count(*) from sqlite_schema").fetchone()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _has_open_commits(path: Path) -> bool:
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE


def _explained(path: Path, error: sqlite3.Error) -> OperatorError | RetryableError:
    code = _code(error)
    if code in _BUSY:
        return RetryableError(f"{path}: {error}, for {_BUSY_SECONDS:g} s; try again")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return OperatorError(
            f"{path}: {error}. This user may not read it, or not make the -shm file that "
            "reading needs while no daemon runs: ask as the daemon's user"
        )
    if str(error).startswith("no such "):
        return OperatorError(
            f"{path}: {error}. The ledger was made by another version of vampd: see "
            "`vampd migrate --dry-run`"
        )
    return OperatorError(f"{path}: {error}")
