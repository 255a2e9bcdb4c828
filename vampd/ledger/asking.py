"""Reading the ledger through the daemon: a user's end of `vampd.ledger.serving`."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from vampd.errors import DaemonUnreachableError, OperatorError, RetryableError, VampdError
from vampd.io.unix_socket import connect
from vampd.ledger.wire import Values, line, packed, unpacked

#: The daemon's reader lives no longer than this, so nothing comes after.
READER_SECONDS = 60

_BROKE_OFF = (
    f"the daemon broke off: it reads for other users for {READER_SECONDS} s at a time, and for a"
    " few of them at once; try again"
)

_RAISES: dict[str, type[VampdError]] = {
    kind.__name__: kind for kind in (OperatorError, RetryableError)
}


class UnansweredError(DaemonUnreachableError):
    """No daemon listens, or it is silent."""


class _Distant(sqlite3.Connection):
    """A connection whose statements are carried out by the daemon's reader.

    What comes back is put into a table of this connection's own memory, so that its cursors and
    rows are ordinary ones.
    """

    talk: _Talk
    answers: int = 0

    def execute(  # type: ignore[override]
        self, sql: str, parameters: Values = (), /
    ) -> sqlite3.Cursor:
        """Ask for the rows of *sql*."""
        columns, rows = self.talk.ask(sql, parameters)
        if not columns:
            return super().execute("select 1 where 0")
        self.answers += 1
        table = f"answer_{self.answers}"
        names = [f"c{place}" for place in range(len(columns))]
        super().execute(f"create table {table} ({', '.join(names)})")
        self.executemany(f"insert into {table} values ({', '.join('?' * len(columns))})", rows)  # noqa: S608
        chosen = ", ".join(
            f'{name} as "{column.replace(chr(34), chr(34) * 2)}"'
            for name, column in zip(names, columns, strict=True)
        )
        return super().execute(f"select {chosen} from {table} order by rowid")  # noqa: S608


class _Talk:
    """The lines that go to the daemon's reader and back."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")

    def begin(self, database: str) -> None:
        """Choose the database. OperatorError, RetryableError: what the daemon says."""
        self._write({"database": database})
        if "open" not in (said := self._read()):
            raise _RAISES.get(said.get("kind", ""), OperatorError)(said["error"])

    def ask(self, sql: str, parameters: Values) -> tuple[list[str], list[list[Any]]]:
        """The columns and rows of *sql*. sqlite3.Error: what SQLite says of it."""
        self._write({"sql": sql, "parameters": packed(parameters)})
        columns: list[str] = []
        rows: list[list[Any]] = []
        while "end" not in (said := self._read()):
            if "error" in said:
                error = sqlite3.OperationalError(said["error"])
                error.sqlite_errorcode = said["code"]
                raise error
            columns = said.get("columns", columns)
            rows += map(unpacked, said.get("rows", []))
        return columns, rows

    def _write(self, message: Mapping[str, Any]) -> None:
        try:
            self._stream.write(line(message))
            self._stream.flush()
        except OSError as error:
            raise RetryableError(_BROKE_OFF) from error

    def _read(self) -> dict[str, Any]:
        try:
            text = self._stream.readline()
        except TimeoutError as error:
            msg = f"the daemon does not answer within {READER_SECONDS} s"
            raise UnansweredError(msg) from error
        except OSError as error:
            raise RetryableError(_BROKE_OFF) from error
        if not text.endswith(b"\n"):
            raise RetryableError(_BROKE_OFF)
        said: dict[str, Any] = json.loads(text)
        return said


@contextmanager
def asking(path: Path, database: str) -> Iterator[sqlite3.Connection]:
    """A connection to *database* ("ledger", "headers") through the daemon's socket *path*.

    OperatorError: this user may not, or the daemon has no such database. UnansweredError: no daemon
    answers. RetryableError: it has no time for this user.
    """
    try:
        connection = connect(path, seconds=READER_SECONDS + 1)
    except OSError as error:
        raise UnansweredError(error.strerror) from error
    with connection:
        talk = _Talk(connection)
        talk.begin(database)
        with closing(sqlite3.connect(":memory:", factory=_Distant)) as distant:
            distant.isolation_level = None
            distant.row_factory = sqlite3.Row
            distant.talk = talk
            yield distant
