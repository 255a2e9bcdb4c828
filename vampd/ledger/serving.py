"""Reading the ledger for a user who may not open it: the daemon's end, in a process of its own.

Whoever may open the ledger's files can lock them: with a read lock on the shared index he keeps
the writer out, and with one transaction that he never ends he keeps the write-ahead log from
being folded in. So other users get neither files nor locks, but answers: each reading command has
a process here that reads for it, in one transaction, for a bounded time. What it may ask for is
all that the ledger holds, and nothing else.
"""

from __future__ import annotations

import json
import resource
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from vampd.errors import VampdError
from vampd.ledger.reading import DATABASES, opened
from vampd.ledger.wire import line, packed, unpacked

#: Statements longer than this are none of ours.
_LINE_BYTES = 4 << 20
_ROWS = 200  # a line
_VALUE_BYTES = 256 << 20
_MEMORY_BYTES = 1 << 30

#: What comes of words that are no question, and of an end in the middle of them.
_NO_QUESTION = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)

_MAY = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_PRAGMAS = frozenset({"table_info"})


def serve(connection: socket.socket, state_directory: str, seconds: int) -> None:
    """Answer what is asked at the other end until it hangs up; after *seconds* this process dies.

    Lines of JSON: first the name of a database, then statements with their parameters, one at a
    time. Each is answered with columns, rows, and an end; or with an error.
    """
    _bound(seconds)
    with connection, connection.makefile("rwb") as stream, suppress(*_NO_QUESTION):
        _converse(cast("BinaryIO", stream), Path(state_directory))


def _bound(seconds: int) -> None:
    """Whatever is asked for: this process ends, and takes neither the machine nor its memory."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _converse(stream: BinaryIO, state_directory: Path) -> None:
    asked = _read(stream)
    if asked is None:
        return
    name = asked["database"]
    if name not in DATABASES:
        _write(stream, {"error": f"{name}: no such database", "kind": "OperatorError"})
        return
    try:
        with opened(state_directory / DATABASES[name]) as database:
            database.set_authorizer(_authorize)
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
            _write(stream, {"open": name})
            while (asked := _read(stream)) is not None:
                for message in _answer(database, asked):
                    _write(stream, message)
    except VampdError as error:
        _write(stream, {"error": str(error), "kind": type(error).__name__})


def _answer(database: sqlite3.Connection, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        cursor = database.execute(asked["sql"], unpacked(asked["parameters"]))
        yield {"columns": [column[0] for column in cursor.description or ()]}
        while rows := cursor.fetchmany(_ROWS):
            yield {"rows": [packed(tuple(row)) for row in rows]}
    except (sqlite3.Error, ValueError, OverflowError, TypeError, MemoryError) as error:
        yield {"error": str(error), "code": getattr(error, "sqlite_errorcode", 0)}
    else:
        yield {"end": True}


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Reading alone: no other file, no setting, no function that loads code."""
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in _PRAGMAS else sqlite3.SQLITE_DENY
    if action not in _MAY or second == "load_extension":
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    text = stream.readline(_LINE_BYTES)
    if not text:
        return None
    asked: dict[str, Any] = json.loads(text)
    return asked


def _write(stream: BinaryIO, message: dict[str, Any]) -> None:
    stream.write(line(message))
    stream.flush()
