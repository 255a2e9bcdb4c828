"""What a user reads through the daemon is what the ledger holds, and he keeps nothing busy."""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_ledger import FakeClock, a_night, opened
from vampd.errors import OperatorError, RetryableError
from vampd.io.unix_socket import listen
from vampd.ledger.asking import asking
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import reading
from vampd.views.summaries import nights

_SERVE = """
import socket, sys
from vampd.ledger.serving import serve
serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
"""

_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False)  # SQLite holds NaN as null
_VALUES = st.none() | _INTEGERS | _FLOATS | st.text() | st.binary()


class Server:
    """Gives each client a process that reads for it, as the daemon does."""

    def __init__(self, state: Path, *, seconds: int = 60) -> None:
        self.path = state / "read.sock"
        self._listener = listen(self.path)
        self._words = [str(state), str(seconds)]
        self.readers: list[subprocess.Popen[bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                number = connection.fileno()
                words = [sys.executable, "-c", _SERVE, str(number), *self._words]
                self.readers.append(subprocess.Popen(words, pass_fds=[number]))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for reader in self.readers:
            reader.kill()
            reader.wait()


@contextmanager
def served(state: Path, *, seconds: int = 60) -> Iterator[Server]:
    with closing(Server(state, seconds=seconds)) as server:
        yield server


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a ledger of one night."""
    state = tmp_path_factory.mktemp("state")
    with closing(opened(state, FakeClock())) as ledger:
        a_night(ledger)
    return state


@pytest.fixture(scope="module")
def distant(state: Path) -> Iterator[sqlite3.Connection]:
    with served(state) as server, asking(server.path, "ledger") as ledger:
        yield ledger


@given(st.lists(_VALUES, min_size=1, max_size=6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_as_it_is(distant: sqlite3.Connection, values: list[Any]) -> None:
    columns = ", ".join(f'? as "c {place}"' for place in range(len(values)))

    row = distant.execute(f"select {columns}", values).fetchone()

    assert [type(value) for value in row] == [type(value) for value in values]
    assert list(row) == values
    assert row["c 0"] == values[0]
    assert row.keys() == [f"c {place}" for place in range(len(values))]


def test_the_sign_of_zero_and_infinity_are_kept(distant: sqlite3.Connection) -> None:
    row = distant.execute("select ?, ?, ?", [-0.0, math.inf, -math.inf]).fetchone()

    assert math.copysign(1, row[0]) == -1
    assert tuple(row)[1:] == (math.inf, -math.inf)


def test_rows_keep_their_order_and_their_number(distant: sqlite3.Connection) -> None:
    query = (
        "with recursive n(i) as (select :first union all select i - 1 from n where i > 0)"
        " select i, cast(i as text) as text from n"
    )

    rows = distant.execute(query, {"first": 5000}).fetchall()

    assert [row["i"] for row in rows] == list(range(5000, -1, -1))
    assert rows[17]["text"] == "4983"


def test_an_answer_without_rows_has_none(distant: sqlite3.Connection) -> None:
    assert distant.execute("select * from night where id = -1").fetchall() == []
    assert distant.execute("select * from night where id = -1").fetchone() is None


def test_functions_of_ours_cannot_tell_the_difference(
    state: Path, distant: sqlite3.Connection
) -> None:
    with reading(state) as own:
        assert nights(distant) == nights(own)
        assert len(nights(own)) == 1


def test_what_sqlite_refuses_is_told_in_its_words(distant: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        distant.execute("select * from nowhere")
    with pytest.raises(sqlite3.OperationalError, match="not authorized") as refused:
        distant.execute("delete from night")

    assert refused.value.sqlite_errorcode == sqlite3.SQLITE_AUTH
    assert len(distant.execute("select * from night").fetchall()) == 1


def test_all_that_is_read_at_once_is_one_moments_state(tmp_path: Path) -> None:
    with (
        closing(opened(tmp_path, FakeClock())) as ledger,
        served(tmp_path) as server,
        asking(server.path, "ledger") as distant,
    ):
        before = distant.execute("select count(*) from night").fetchone()[0]
        a_night(ledger)
        same = distant.execute("select count(*) from night").fetchone()[0]

        with asking(server.path, "ledger") as later:
            after = later.execute("select count(*) from night").fetchone()[0]

    assert (before, same, after) == (0, 0, 1)


def test_there_is_nothing_to_be_read_but_what_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "secret.sqlite3").touch()
    with served(tmp_path) as server:
        for name in ("secret.sqlite3", "../ledger", ""):
            with (
                pytest.raises(OperatorError, match="no such database"),
                asking(server.path, name),
            ):
                pass
        with pytest.raises(OperatorError, match="no ledger yet"), asking(server.path, "ledger"):
            pass


def test_who_stays_is_put_out_and_the_write_ahead_log_is_folded_in(tmp_path: Path) -> None:
    """A reader that never ends its transaction would let the log grow without bound."""
    log = ledger_path(tmp_path).with_name("ledger.sqlite3-wal")
    with (
        closing(opened(tmp_path, FakeClock())) as ledger,
        served(tmp_path, seconds=2) as server,
        asking(server.path, "ledger") as distant,
    ):
        distant.execute("select count(*) from night")
        a_night(ledger)
        ledger.execute("pragma busy_timeout = 0")
        (busy, *_) = ledger.rows("pragma wal_checkpoint(truncate)")[0]
        assert busy == 1
        assert log.stat().st_size > 0
        assert server.readers[0].wait(timeout=30) < 0  # killed by its own alarm

        with pytest.raises(RetryableError, match="60 s at a time"):
            distant.execute("select count(*) from night")
        (busy, *_) = ledger.rows("pragma wal_checkpoint(truncate)")[0]

    assert busy == 0


def test_a_question_without_end_is_put_out_too(tmp_path: Path) -> None:
    opened(tmp_path, FakeClock()).close()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    began = time.monotonic()

    with (
        served(tmp_path, seconds=1) as server,
        asking(server.path, "ledger") as distant,
        pytest.raises(RetryableError),
    ):
        distant.execute(endless)

    assert time.monotonic() - began < 20


def test_an_answer_nobody_reads_is_not_kept_in_memory(tmp_path: Path) -> None:
    """Rows are made as they are taken: who asks for a billion of them costs the daemon nothing."""
    opened(tmp_path, FakeClock()).close()
    endless = (
        b'{"sql": "with recursive n(i) as (select 1 union all select i + 1 from n)'
        b' select i, hex(randomblob(500)) from n", "parameters": []}\n'
    )
    with served(tmp_path) as server, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path))
        client.sendall(b'{"database": "ledger"}\n' + endless)
        client.recv(100)
        until = time.monotonic() + 20
        before = -1
        while (size := _resident(server.readers[0].pid)) != before:  # until it waits for us
            assert time.monotonic() < until
            before = size
            time.sleep(0.3)

    assert size < 100 << 20


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
