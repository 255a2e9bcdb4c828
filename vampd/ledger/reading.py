"""Read the ledger, daemon or not: a read-only connection, with sqlite3 and nothing else.

All that is read within one `reading` is one moment's state.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

from vampd.errors import DaemonUnreachableError, OperatorError, RetryableError
from vampd.io.lock import holder
from vampd.io.unix_socket import as_owner, connect, peer
from vampd.ledger.address import address
from vampd.ledger.connection import HEADERS_NAME, LEDGER_NAME, ledger_path, pending_migrations
from vampd.ledger.rows import NoColumnError
from vampd.ledger.write_ahead import who_writes

#: A writer holds the ledger for milliseconds; more than this is a fault.
_BUSY_SECONDS = 5.0

#: Result codes of SQLite, without their details in the upper bits: see sqlite.org/rescode.html.
_PRIMARY_CODE = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

Reader: TypeAlias = sqlite3.Connection


#: The files of the state directory that are read, by the names by which the daemon knows them.
DATABASES = {"ledger": LEDGER_NAME, "headers": HEADERS_NAME}

_NOT_YET = {
    LEDGER_NAME: "no ledger yet; `vampd admin run` makes it at its first start",
    HEADERS_NAME: "no header was read yet; the daemon reads them as files become whole",
}

#: What stops a command at its terminal: held back while it reads.
_STOPS = frozenset({signal.SIGTSTP, signal.SIGTTOU})


def has_ledger(state_directory: Path, socket: Path | None = None) -> bool:
    """Whether a daemon ever ran on this state directory.

    One that is closed to this user is a daemon's; then its *socket* is asked for all else.
    OperatorError: the directory is missing, or closed to this user and there is no *socket*.
    """
    try:
        if not state_directory.is_dir():
            msg = f"{state_directory}: no such folder; set state_dir, or start the daemon once"
            raise OperatorError(msg)
        return ledger_path(state_directory).exists()
    except PermissionError as error:
        if socket is not None:
            return True
        msg = f"{state_directory}: is not open to this user; {as_owner(state_directory)}"
        raise OperatorError(msg) from error


def daemon_lock(state_directory: Path, socket: Path) -> str | None:
    """Who holds the daemon's lock; None: nobody.

    A user who may not look at it takes the word of the daemon's *socket*. OperatorError: he may
    not use that either.
    """
    try:
        return holder(state_directory)
    except PermissionError:
        pass
    try:
        with connect(socket, seconds=_BUSY_SECONDS) as connection:
            return f"pid {peer(connection).pid} host {os.uname().nodename}"
    except OSError:
        return None


@contextmanager
def reading(state_directory: Path, socket: Path | None = None) -> Iterator[Reader]:
    """A connection to the ledger that cannot write, in one transaction.

    A user who may not open the ledger reads it through the daemon's reading *socket*.

    OperatorError: there is no ledger, this user may not read it, or another version made it.
    RetryableError: a writer held it for longer than it should, or it is being made just now.
    DaemonUnreachableError: this user reads through the daemon, and none runs.
    """
    with _reading(state_directory, "ledger", socket) as ledger:
        yield ledger


@contextmanager
def reading_headers(state_directory: Path, socket: Path | None = None) -> Iterator[Reader]:
    """As `reading`, of the table of headers."""
    with _reading(state_directory, "headers", socket) as book:
        yield book


@contextmanager
def _reading(state_directory: Path, name: str, socket: Path | None) -> Iterator[Reader]:
    path = state_directory / DATABASES[name]
    if socket is None or not _is_closed(path):
        has_ledger(state_directory)  # for what it says of a folder that is not there
        with opened(path) as database:
            yield database
        return
    # Late: `vampd status` starts faster without it.
    from vampd.ledger.asking import UnansweredError, asking

    try:
        with asking(socket, name) as database:
            yield database
    except UnansweredError as error:
        msg = (
            f"{socket}: no daemon answers, and without one only its own user reads the ledger"
            f" ({as_owner(state_directory)}): {error}"
        )
        raise DaemonUnreachableError(msg) from error
    except (sqlite3.Error, NoColumnError) as error:
        raise _explained(path, error) from error


def _is_closed(path: Path) -> bool:
    """Whether *path* is there, as far as this user can tell, and he may not read it."""
    try:
        return path.exists() and not os.access(path, os.R_OK)
    except PermissionError:
        return True


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """A connection to the very file *path*, one of `DATABASES`; it cannot write.

    It is in one transaction, which keeps the daemon's write-ahead log from being folded in: so
    Ctrl-Z stops the command only after it.
    """
    if not path.exists():
        msg = f"{path}: {_NOT_YET[path.name]}"
        raise OperatorError(msg)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        with closing(_open(path)) as database:
            yield database
    except (sqlite3.Error, NoColumnError) as error:
        raise _explained(path, error) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE


def _explained(path: Path, error: Exception) -> OperatorError | RetryableError:
    code = _code(error)
    if code in _BUSY:
        held = who_writes(path)
        return RetryableError(f"{path}: {error}{held}, for {_BUSY_SECONDS:g} s; try again")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return OperatorError(
            f"{path}: {error}. This user may not read it, or not make the -shm file that "
            f"reading needs while no daemon runs: {as_owner(path.parent)}"
        )
    if isinstance(error, NoColumnError) or str(error).startswith("no such "):
        return _of_another_version(path, error)
    return OperatorError(f"{path}: {error}")


def _of_another_version(path: Path, error: Exception) -> OperatorError | RetryableError:
    """Why the ledger lacks what this vampd reads of it."""
    another = f"{path}: {error}. The ledger was made by another version of vampd"
    if path.name != LEDGER_NAME or _is_closed(path):
        return OperatorError(f"{another}: see `vampd admin migrate --dry-run`")
    try:
        pending = pending_migrations(path)
        daemon = holder(path.parent)
    except OperatorError as newer:
        return newer
    except (OSError, sqlite3.Error):
        pending, daemon = [], None
    if not pending:
        return OperatorError(f"{another}: see `vampd admin migrate --dry-run`")
    lacks = f"{path}: older than this vampd, it lacks {pending[0]}"
    if daemon is None:
        return OperatorError(
            f"{lacks}: `vampd admin migrate` brings it up to date, as a daemon's start does"
        )
    return RetryableError(
        f"{lacks}: its daemon ({daemon}) brings it up to date just now: try again; if it stays so,"
        " the daemon is of an older version: restart it"
    )
