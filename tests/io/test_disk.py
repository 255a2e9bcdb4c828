from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vampd.errors import OperatorError
from vampd.io import disk, lock
from vampd.io.clock import SystemClock
from vampd.io.disk import MarkerState, check_marker, claim_root, read_marker
from vampd.io.lock import StateLock

HOLD = """
import sys, time
from pathlib import Path
from vampd.io.lock import StateLock
with StateLock.acquire(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


# --- markers ----------------------------------------------------------------------------


def test_a_root_with_something_in_it_is_marked_once(tmp_path: Path) -> None:
    (tmp_path / "20251106").mkdir()

    first, second = claim_root(tmp_path), claim_root(tmp_path)

    assert first is not None
    assert first == second == read_marker(tmp_path)
    assert check_marker(tmp_path, first) is MarkerState.OK
    assert {entry.name for entry in tmp_path.iterdir()} == {".vampd-root", "20251106"}


def test_an_absent_or_empty_root_is_not_marked(tmp_path: Path) -> None:
    assert claim_root(tmp_path / "absent") is None
    assert claim_root(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_disk_that_is_mounted_is_marked() -> None:
    assert disk.is_mount_point(Path("/proc"))
    assert not disk.is_mount_point(Path("/proc/sys"))
    assert not disk.is_mount_point(Path("/absent"))


def test_another_disk_in_the_same_place_is_foreign(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "20251106").mkdir(parents=True)
    one, other = claim_root(tmp_path / "one"), claim_root(tmp_path / "other")

    assert one is not None
    assert one != other
    assert check_marker(tmp_path / "other", one) is MarkerState.FOREIGN


def test_a_disk_without_its_marker_is_missing(tmp_path: Path) -> None:
    assert check_marker(tmp_path, "x") is MarkerState.MISSING
    assert check_marker(tmp_path / "absent", "x") is MarkerState.MISSING


@pytest.mark.parametrize("content", [b"", b"vampd-root ", b"\xff" * 9000, b"vampd-root 1\n"])
def test_a_marker_that_is_none_is_foreign_and_never_replaced(
    tmp_path: Path, content: bytes
) -> None:
    marker = tmp_path / ".vampd-root"
    marker.write_bytes(content)

    assert check_marker(tmp_path, "x") is MarkerState.FOREIGN
    with pytest.raises(OperatorError, match="not a marker"):
        claim_root(tmp_path)
    assert marker.read_bytes() == content


def test_a_pipe_or_link_in_the_markers_place_hangs_nobody(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / ".vampd-root")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / ".vampd-root").symlink_to("/dev/zero")

    assert check_marker(tmp_path / "pipe", "x") is MarkerState.MISSING
    assert check_marker(tmp_path / "link", "x") is MarkerState.MISSING
    with pytest.raises(OperatorError):
        claim_root(tmp_path / "link")


def test_a_marker_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "20251106").mkdir()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OperatorError, match="No space left"):
        claim_root(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["20251106"]


def test_free_space_and_limits_are_told(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    limits = disk.inotify_limits()

    assert 0 < disk.free_bytes(tmp_path) <= status.f_blocks * status.f_frsize
    assert limits.max_user_watches is None or limits.max_user_watches > 0
    with pytest.raises(FileNotFoundError):
        disk.free_bytes(tmp_path / "absent")


# --- the lock ---------------------------------------------------------------------------


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path) as held:
        with pytest.raises(OperatorError, match=f"pid {os.getpid()} host {socket.gethostname()}"):
            StateLock.acquire(tmp_path)
        assert held.still_held()
        assert lock.holder(tmp_path) == f"pid {os.getpid()} host {socket.gethostname()}"

    assert not held.still_held()
    assert lock.holder(tmp_path) is None
    StateLock.acquire(tmp_path).release()


def test_a_killed_holder_leaves_no_lock_behind(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
    with pytest.raises(OperatorError, match=f"pid {holder.pid} "):
        StateLock.acquire(tmp_path)

    holder.kill()
    holder.wait(10)

    with StateLock.acquire(tmp_path) as held:
        assert held.still_held()


def test_programs_that_the_holder_starts_do_not_keep_the_lock(tmp_path: Path) -> None:
    held = StateLock.acquire(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as child:
        held.release()

        StateLock.acquire(tmp_path).release()

        child.kill()


def test_a_released_lock_is_free_though_a_forked_child_kept_its_descriptor(
    tmp_path: Path,
) -> None:
    held = StateLock.acquire(tmp_path)
    assert held._descriptor is not None
    copy = os.dup(held._descriptor)

    held.release()

    StateLock.acquire(tmp_path).release()
    os.close(copy)


def test_a_lock_file_that_was_replaced_is_no_longer_held(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path) as held:
        (tmp_path / "vampd.lock").rename(tmp_path / "away")
        assert not held.still_held()

        with StateLock.acquire(tmp_path) as other:
            assert other.still_held()
            assert not held.still_held()


def test_a_lock_that_another_took_in_between_is_lost(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path) as held:
        (tmp_path / "vampd.lock").write_text("pid 1 host elsewhere\n")

        assert not held.still_held()


def test_an_absent_state_directory_is_an_operators_business(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is the state directory there"):
        StateLock.acquire(tmp_path / "absent")
    assert lock.holder(tmp_path / "absent") is None


def test_the_clock_tells_utc_and_never_steps_back() -> None:
    clock = SystemClock()

    first, second = clock.monotonic_ns(), clock.monotonic_ns()

    assert second >= first
    assert clock.now_us() > 1_700_000_000_000_000
