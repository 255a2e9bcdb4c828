"""Opening the ledger, its migrations, and its one connection that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from vampd.errors import OperatorError, RetryableError
from vampd.io.clock import Clock, SystemClock
from vampd.io.private import make_private_file
from vampd.ledger.address import address
from vampd.ledger.backups import copy_before
from vampd.ledger.write_ahead import FOLD_BYTES, fold_in, who_writes
from vampd.plain_text import plain_text
from vampd.shipped import migrations_folder

LEDGER_NAME = "ledger.sqlite3"
HEADERS_NAME = "headers.sqlite3"  #: see `vampd.ledger.headers`

Row: TypeAlias = sqlite3.Row
"""A row of the ledger; columns by name."""

_BUSY_MS = 30_000

_INTEGERS = range(-(1 << 63), 1 << 63)
_PRIMARY_CODE = 0xFF  # without the details in the upper bits: sqlite.org/rescode.html
#: What SQLite says of a value or a statement, and not of the file, its disk or its other users.
_OF_VALUES = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # a sum that overflows, JSON that is none
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_MISUSE,
    }
)


class Schema(Struct, frozen=True, kw_only=True):
    """What tables a ledger has: the migrations of a folder below `migrations/`, by their set."""

    name: str
    folder: str = ""


#: Of the daemon that carries nights.
NIGHTS = Schema(name="vampd")


class Ledger:
    """The one connection that writes. All methods are for one thread.

    Every change is made as somebody (*actor*), at the clock's time.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.connection = connection
        self.clock = clock
        self.actor = "vampd"

    @property
    def changes(self) -> int:
        """How many rows were changed so far: equal twice, nothing was written in between."""
        return self.connection.total_changes

    def now_us(self) -> int:
        """UTC, microseconds."""
        return self.clock.now_us()

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, if there is one."""
        row: sqlite3.Row | None = self.execute(sql, parameters).fetchone()
        return row

    def value(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, parameters)
        return None if row is None else row[0]

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        """Change something; alone, it is durable when this returns.

        Text that is no UTF-8, as a file's name or a program's words may be, is stored with escapes.
        OverflowError: a whole number has more than 64 bits.
        """
        try:
            return self.connection.execute(sql, parameters)
        except UnicodeEncodeError:
            return self.connection.execute(sql, _encodable(parameters))

    def stamp(self, why: str | None = None) -> dict[str, Any]:
        """The columns that say when, who and why."""
        return {"changed_us": self.now_us(), "changed_by": self.actor, "why": why}

    def insert(self, table: str, **columns: Any) -> int:
        """Insert one row and return its number."""
        names = ", ".join(columns)
        places = ", ".join(f":{name}" for name in columns)
        with _naming(table, columns):
            cursor = self.execute(f"insert into {table} ({names}) values ({places})", columns)  # noqa: S608
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def update(self, table: str, number: int, **columns: Any) -> None:
        """Change columns of one row."""
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        with _naming(table, columns):
            self.execute(f"update {table} set {changes} where id = :id", {**columns, "id": number})  # noqa: S608

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Inside another one, it belongs to that one."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("begin immediate")
        try:
            yield
            self.connection.execute("commit")
        except BaseException:
            self.undo()
            raise

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that can be undone alone: the rest goes on without it."""
        self.connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            # A full disk makes SQLite roll back the whole transaction, and the savepoint with it.
            if self.connection.in_transaction:
                self.connection.execute("rollback to part")
                self.connection.execute("release part")
            raise
        self.connection.execute("release part")

    def undo(self) -> None:
        """Roll back what is open, if anything still is."""
        if self.connection.in_transaction:
            self.connection.execute("rollback")

    @contextmanager
    def in_vain(self) -> Iterator[None]:
        """See what a transaction would do, and undo it."""
        assert not self.connection.in_transaction
        self.connection.execute("begin immediate")
        try:
            yield
        finally:
            self.connection.execute("rollback")

    @property
    def path(self) -> Path:
        """Where it lies."""
        (name,) = (row["file"] for row in self.rows("pragma database_list") if row["seq"] == 0)
        return Path(name)

    def fold_in(self) -> bool:
        """Fold a write-ahead log that has grown into the ledger; False: somebody reads it still."""
        return fold_in(self.connection, self.path)

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded in."""
        self.connection.close()


@contextmanager
def _naming(table: str, columns: Mapping[str, Any]) -> Iterator[None]:
    """Name the value that has too many bits: SQLite's own error does not."""
    try:
        yield
    except OverflowError as error:
        too_large = [
            f"{table}.{name} = {value}"
            for name, value in columns.items()
            if isinstance(value, int) and value not in _INTEGERS
        ]
        msg = f"{', '.join(too_large) or table}: more than 64 bits"
        raise OverflowError(msg) from error


def _encodable(parameters: Sequence[Any] | dict[str, Any]) -> Sequence[Any] | dict[str, Any]:
    def plain(value: Any) -> Any:
        return plain_text(value) if isinstance(value, str) else value

    if isinstance(parameters, dict):
        return {name: plain(value) for name, value in parameters.items()}
    return [plain(value) for value in parameters]


def is_broken(error: BaseException) -> bool:
    """Whether *error* says that the ledger itself, or its disk, fails: no value is to blame.

    A full disk, a read error, a damaged file, another process that does not let go. A value that
    SQLite cannot take is none of these, whatever it raises: the next one may be taken.
    """
    if not isinstance(error, sqlite3.Error):
        return False
    code: int | None = getattr(error, "sqlite_errorcode", None)  # None: Python's own complaint
    return code is not None and code & _PRIMARY_CODE not in _OF_VALUES


def ledger_path(state_directory: Path) -> Path:
    """Where the ledger lies."""
    return state_directory / LEDGER_NAME


def open_ledger(
    state_directory: Path, *, version: str, clock: Clock, schema: Schema = NIGHTS
) -> Ledger:
    """Open the ledger for writing, made and migrated where needed.

    The caller holds the lock of *state_directory*. OperatorError: it cannot be opened, is
    damaged, or was written by a newer vampd.
    """
    path = ledger_path(state_directory)
    try:
        make_private_file(path)  # what SQLite makes beside it has its mode
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000)
        connection.row_factory = sqlite3.Row
        _set_up(connection)
        _migrate(connection, path, schema)
        connection.execute("update version set text = ?", [version])
    except (sqlite3.Error, OSError) as error:
        msg = f"{path}: {error}{who_writes(path)}; is it a ledger of vampd, its folder writable?"
        raise OperatorError(msg) from error
    return Ledger(connection, clock)


@contextmanager
def looked_into(path: Path) -> Iterator[Ledger]:
    """The ledger at *path* as a worker sees it: at one moment, and without changing anything.

    RetryableError: it cannot be read now.
    """
    try:
        connection = sqlite3.connect(address(path, "ro"), uri=True, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute(f"pragma busy_timeout = {_BUSY_MS}")
            connection.execute("begin")
            yield Ledger(connection, SystemClock())
        finally:
            connection.close()
    except sqlite3.Error as error:
        msg = f"{path}: {error}"
        raise RetryableError(msg) from error


def pending_migrations(path: Path) -> list[str]:
    """Names of the migrations that *path* lacks; all of them where it does not exist yet.

    OperatorError: it was written by a newer vampd.
    """
    names = [file.stem for file in _migration_files(NIGHTS)]
    if not path.exists():
        return names
    connection = sqlite3.connect(address(path, "ro"), uri=True)
    try:
        applied = _applied(connection, NIGHTS)
    finally:
        connection.close()
    _refuse_newer(path, applied, names)
    return [name for name in names if name not in applied]


def _refuse_newer(path: Path, applied: set[str], names: list[str]) -> None:
    unknown = applied - set(names)
    if unknown:
        msg = f"{path}: written by a newer vampd (it has {', '.join(sorted(unknown))})"
        raise OperatorError(msg)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("pragma journal_mode = wal")
    # FULL, not NORMAL: in WAL mode NORMAL may lose the last commits in a power cut, and
    # frame IDs must never be dealt again, nor raw data deleted on a lost commit's word.
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    # What a large transaction left of the log is cut off when it begins anew.
    connection.execute(f"pragma journal_size_limit = {FOLD_BYTES}")
    connection.execute(f"pragma busy_timeout = {_BUSY_MS}")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    import sqlite_utils
    from sqlite_utils.migrations import Migrations

    files = _migration_files(schema)
    applied = _applied(connection, schema)
    _refuse_newer(path, applied, [file.stem for file in files])
    pending = [file.stem for file in files if file.stem not in applied]
    if applied and pending and _was_used(connection):
        copy_before(connection, path, pending[0])
    migrations = Migrations(schema.name)
    for file in files:
        migrations(name=file.stem)(_runner(file))
    migrations.apply(sqlite_utils.Database(connection))


def _was_used(connection: sqlite3.Connection) -> bool:
    """Whether anything happened in it; if not, its making was broken off, and nothing is in it."""
    tables = "select name from sqlite_master where type = 'table' and name in ('daemon', 'event')"
    return any(
        connection.execute(f"select exists (select 1 from {name})").fetchone()[0]  # noqa: S608
        for (name,) in connection.execute(tables).fetchall()
    )


def _runner(file: Path) -> Any:
    def run(database: Any) -> None:
        for statement in _statements(file.read_text()):
            database.conn.execute(statement)

    return run


def _statements(script: str) -> Iterator[str]:
    """Split a script, so that it runs within the transaction that records it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():  # the last one, without its semicolon, or a comment: both can be run
        yield statement


def _migration_files(schema: Schema) -> list[Path]:
    return sorted((migrations_folder() / schema.folder).glob("[0-9]*.sql"))


def _applied(connection: sqlite3.Connection, schema: Schema) -> set[str]:
    table = "select 1 from sqlite_master where name = '_sqlite_migrations'"
    if connection.execute(table).fetchone() is None:
        return set()
    rows = connection.execute(
        "select name from _sqlite_migrations where migration_set = ?", [schema.name]
    ).fetchall()
    return {row[0] for row in rows}
