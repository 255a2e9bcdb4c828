"""Nobody but the service's user opens what lies in the state directory, so nobody else locks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, opened
from tests.support.users import SERVICE, STRANGER, User, folder_for_all, needs_users, python
from vampd.errors import OperatorError
from vampd.io.held_by import locks_on
from vampd.io.lock import LOCK_NAME, StateLock, holder
from vampd.io.private import make_private_file, make_private_folder, tighten, too_open
from vampd.ledger.backups import copy_before
from vampd.ledger.connection import ledger_path, open_ledger
from vampd.ledger.headers import _open

_HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""
_SHARED, _EXCLUSIVE = "1", "2"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """As services have it; modes must not be owed to a strict one."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_all() as folder:
        yield folder


@contextmanager
def flock(user: User, path: Path, how: str) -> Iterator[int]:
    """While *user* has locked *path*; the pid of who does it."""
    words = user.words(python(), "-c", _HOLD, str(path), how)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == "held\n"
        yield it.pid
        it.communicate()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_whatever_is_made_in_the_state_directory_is_its_owners_alone(folder: Path) -> None:
    state = folder / "deeper" / "state"
    make_private_folder(state)

    with StateLock.acquire(state):
        ledger = opened(state, FakeClock())
        copy_before(ledger.connection, ledger_path(state), "0099")
        book = _open(state / "headers.sqlite3")
        modes = {path.name: mode(path) for path in state.iterdir()}
        book.close()
        ledger.close()

    assert mode(state) == 0o700
    assert {"ledger.sqlite3-shm", "ledger.sqlite3-wal", LOCK_NAME, "headers.sqlite3"} < set(modes)
    assert set(modes.values()) == {0o600}


def test_an_open_installation_is_closed_when_the_lock_is_taken_and_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = folder / "state"
    state.mkdir(mode=0o755)
    for name in ("ledger.sqlite3", "ledger.sqlite3-shm", LOCK_NAME, "headers.sqlite3-wal"):
        (state / name).touch(0o644)
    (state / ".ssh").mkdir(0o700)
    (state / ".ssh" / "known_hosts").touch(0o644)

    StateLock.acquire(state).release()

    assert list(too_open(state)) == []
    assert mode(state) == 0o700
    assert mode(state / ".ssh" / "known_hosts") == 0o644
    assert f"{state} was open to other users (mode 0755)" in caplog.text
    assert f"{state / LOCK_NAME} was open to other users (mode 0644)" in caplog.text
    caplog.clear()
    StateLock.acquire(state).release()
    assert caplog.text == ""


@pytest.mark.parametrize("stranger", ["20251106", "fuuu", "backup.tar"])
def test_a_folder_that_holds_more_than_vampds_own_is_left_open_and_its_files_are_not(
    folder: Path, stranger: str
) -> None:
    (folder / stranger).mkdir()
    (folder / "ledger.sqlite3").touch(0o644)

    told = tighten(folder)

    assert mode(folder) == 0o755
    assert mode(folder / "ledger.sqlite3") == 0o600
    assert any(f"holds {stranger}, which is not vampd's: set state_dir" in line for line in told)


def test_a_link_in_the_state_directory_changes_nobodys_file(folder: Path) -> None:
    precious = folder / "precious"
    precious.touch(0o644)
    state = folder / "state"
    state.mkdir(0o700)
    (state / "ledger.sqlite3-old").symlink_to(precious)

    assert tighten(state) == []
    assert mode(precious) == 0o644


def test_a_folder_in_the_state_directory_that_cannot_be_entered_stops_nothing(
    folder: Path,
) -> None:
    state = folder / "state"
    state.mkdir(0o755)
    (state / "secret").mkdir(0o000)

    assert "holds secret" in "".join(tighten(state))
    StateLock.acquire(state).release()


@needs_users
def test_what_root_makes_in_the_services_folder_is_the_services(folder: Path) -> None:
    state = folder / "state"
    state.mkdir(0o700)
    os.chown(state, SERVICE.uid, SERVICE.gid)

    StateLock.acquire(state).release()
    open_ledger(state, version="0", clock=FakeClock()).close()
    make_private_file(state / "watchdog.json.scratch")
    make_private_folder(state / "ledger-made-again")

    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in state.iterdir()}
    assert len(owners) == 4
    assert set(owners.values()) == {(SERVICE.uid, SERVICE.gid)}


@needs_users
def test_a_stranger_can_lock_nothing_of_the_daemons(folder: Path) -> None:
    state = folder / "state"
    make_private_folder(state)
    with StateLock.acquire(state):
        ledger = opened(state, FakeClock())
        names = sorted(path.name for path in state.iterdir())

        tried = {
            name: STRANGER.run(python(), "-c", _HOLD, str(state / name), _SHARED) for name in names
        }
        ledger.close()

    assert "ledger.sqlite3-shm" in names
    for name, done in tried.items():
        assert done.returncode == 1, name
        assert "PermissionError" in done.stderr, name


@needs_users
@pytest.mark.parametrize("how", [_SHARED, _EXCLUSIVE])
def test_a_lock_that_a_stranger_took_before_is_told_with_his_pid(folder: Path, how: str) -> None:
    """He opened the file while it still was for everybody to read."""
    state = folder / "state"
    state.mkdir(0o755)
    StateLock.acquire(state).release()
    (state / LOCK_NAME).chmod(0o644)
    state.chmod(0o755)

    with flock(STRANGER, state / LOCK_NAME, how) as pid:
        with pytest.raises(OperatorError, match=rf"held by pid {pid} \(.*, no daemon of vampd's"):
            StateLock.acquire(state)
        if how == _EXCLUSIVE:
            assert f"pid {pid} (" in str(holder(state))

    StateLock.acquire(state).release()


def test_the_holder_of_a_record_lock_is_found(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert locks_on(path) == []
    code = (
        "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f, fcntl.LOCK_SH, 3, 123);"
        "print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(path)]

    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == "held\n"
        (found,) = locks_on(path)
        it.communicate()

    assert (found.pid, found.kind, found.writes) == (it.pid, "POSIX", False)
    assert (found.first, found.last) == (123, 125)
