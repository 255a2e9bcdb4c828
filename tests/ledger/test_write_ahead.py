"""The write-ahead log stays small, whoever reads; where SQLite cannot help, the reader is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, opened
from tests.support.ledger_site import Site
from vampd.errors import OperatorError
from vampd.io.held_by import locks_on
from vampd.ledger import write_ahead
from vampd.ledger.connection import Ledger, ledger_path
from vampd.ledger.reading import reading
from vampd.ledger.write_ahead import FOLD_BYTES, TOLD_BYTES, log_bytes, too_long

_READ = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute(sys.argv[2])
ledger.execute("select count(*) from sqlite_schema").fetchone()
print("reads", flush=True)
sys.stdin.read()
"""

_PIECE = bytes(1 << 20)


@contextmanager
def another(path: Path, begin: str = "begin") -> Iterator[int]:
    """While another process is within a transaction; its pid."""
    words = [sys.executable, "-c", _READ, str(path), begin]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == "reads\n"
        yield it.pid
        it.communicate()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path, FakeClock())) as ledger:
        ledger.execute("pragma synchronous = off")  # a test needs no power cut
        ledger.execute("create table ballast (piece blob)")
        ledger.execute("insert into ballast values (?)", [_PIECE])
        yield ledger


def write(ledger: Ledger, pieces: int) -> None:
    """Commit so many MB."""
    for number in range(pieces):
        ledger.execute("update ballast set piece = ?", [bytes([number % 256]) * len(_PIECE)])


def test_readers_that_come_and_go_without_a_gap_do_not_let_it_grow(
    tmp_path: Path, ledger: Ledger
) -> None:
    """At each moment somebody reads; without waiting for them the log would never begin anew."""
    path, over, sizes = ledger_path(tmp_path), threading.Event(), []

    def read() -> None:
        while not over.is_set():
            with reading(tmp_path) as connection:
                connection.execute("select count(*) from ballast").fetchone()
                over.wait(0.02)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(40):
            write(ledger, 8)
            ledger.fold_in()
            sizes.append(log_bytes(path))
    finally:
        over.set()
        for reader in readers:
            reader.join()

    print(f"at most {max(sizes) / 1e6:.0f} MB of log for 335 MB of commits")
    assert max(sizes) < 5 * FOLD_BYTES


def test_what_a_large_transaction_left_is_cut_off(tmp_path: Path, ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.execute("create table more (piece blob)")
        for _ in range(40):
            ledger.execute("insert into more values (?)", [_PIECE])
    assert log_bytes(ledger_path(tmp_path)) > FOLD_BYTES

    assert ledger.fold_in()

    assert log_bytes(ledger_path(tmp_path)) == 0


def test_a_reader_that_stays_is_told_with_its_pid_and_the_log_folded_in_once_it_ends(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead, "_STAY_SECONDS", 0.1)
    path = ledger_path(tmp_path)
    assert too_long(path) is None

    with another(path) as pid:
        write(ledger, 130)
        folded = ledger.fold_in()
        told = too_long(path)
    later = ledger.fold_in()

    assert not folded
    assert told is not None
    assert f"for pid {pid} (" in told
    assert f"kill {pid}" in told
    assert "MB" in told
    assert later
    assert too_long(path) is None
    assert log_bytes(path) == 0


def test_to_wait_for_who_stays_costs_the_loop_little(tmp_path: Path, ledger: Ledger) -> None:
    with another(ledger_path(tmp_path)):
        write(ledger, 20)
        before = os.times().elapsed
        assert not ledger.fold_in()
        took = os.times().elapsed - before

    assert took < 2
    assert ledger.value("pragma busy_timeout") == 30_000


def test_the_check_and_the_doctor_tell_who_keeps_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    site.daemon(stopped=False)
    monkeypatch.setattr(write_ahead, "TOLD_BYTES", 1000)
    monkeypatch.setattr(write_ahead, "_STAY_SECONDS", 0.1)
    with closing(sqlite3.connect(site.ledger)) as writer, another(site.ledger) as pid:
        writer.execute("create table ballast as select randomblob(9000) as piece")
        writer.commit()
        check = site.run("check")
        doctor = site.run("admin", "doctor")

    for said in (check.output, " ".join(doctor.output.split())):
        assert "ledger.sqlite3-wal has grown to" in said
        assert f"kill {pid}" in said


def test_who_holds_the_ledger_is_named_to_who_cannot_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path, FakeClock()).close()
    monkeypatch.setattr("vampd.ledger.connection._BUSY_MS", 100)

    with (
        another(ledger_path(tmp_path), "begin immediate") as pid,
        pytest.raises(OperatorError, match=rf"locked \(held by pid {pid} \("),
    ):
        opened(tmp_path, FakeClock())


def test_it_is_told_before_it_fills_a_disk() -> None:
    assert FOLD_BYTES < TOLD_BYTES <= 1 << 30


_STOPPED = """
import sys
from pathlib import Path
from vampd.ledger.reading import reading
with reading(Path(sys.argv[1])) as ledger:
    print("reads", flush=True)
    sys.stdin.readline()
    print("still reads", flush=True)
print("has read", flush=True)
"""


def test_a_command_that_is_stopped_at_its_terminal_stops_when_it_has_read(tmp_path: Path) -> None:
    """Ctrl-Z in the middle of reading would keep the log growing until somebody remembers."""
    opened(tmp_path, FakeClock()).close()
    words = [sys.executable, "-c", _STOPPED, str(tmp_path)]
    # In a process group of its own, as a shell's jobs are; an orphaned one is never stopped.
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stdout.readline() == "reads\n"

        command.send_signal(signal.SIGTSTP)
        command.stdin.write("\n")
        command.stdin.flush()

        assert command.stdout.readline() == "still reads\n"
        _, status = os.waitpid(command.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert log_readers(tmp_path) == []
        command.send_signal(signal.SIGCONT)
        assert command.stdout.readline() == "has read\n"


def log_readers(folder: Path) -> list[int]:
    index = ledger_path(folder).with_name("ledger.sqlite3-shm")
    return [lock.pid for lock in locks_on(index)]
