"""Real folders, real inotify. Hints are awaited, never slept for."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vampd.watch.events import EventHints
from vampd.watch.hints import Hints
from vampd.watch.scan import find_nights

STEM = "vcam1_05:11:38.081003904"
PATIENCE_S = 10.0
SILENCE_S = 0.8  # watchdog holds moves back for 0.5 s


class Daemon:
    """The part of the daemon that takes hints: woken by an event, it takes what is queued."""

    def __init__(self, *roots: Path) -> None:
        self.woken = threading.Event()
        self.hints = EventHints(roots, self.woken.set)

    def wait_for(self, place: Path) -> None:
        """Wait for a hint of a night, or of a file in one."""
        self._wait(lambda seen: place in _places(seen))

    def wait_for_everything(self) -> None:
        self._wait(lambda seen: seen.everything)

    def _wait(self, is_there: Callable[[Hints], bool]) -> None:
        seen = Hints()
        deadline = time.monotonic() + PATIENCE_S
        while not is_there(seen):
            assert self.woken.wait(deadline - time.monotonic()), f"not hinted at, but {seen}"
            self.woken.clear()
            self.hints.take(seen)

    def silent(self) -> bool:
        time.sleep(SILENCE_S)
        return not self.hints.take()

    def scan(self, root: Path) -> None:
        """What the daemon does between hints."""
        self.hints.update(find_nights(root).folders)

    def settle(self) -> None:
        """Let the hints of new watches pass."""
        self.hints.take()
        self.woken.clear()


def _places(hints: Hints) -> set[Path]:
    named = {night / name for night, names in hints.files.items() for name in names}
    return hints.nights | named


@pytest.fixture
def daemon_of() -> Iterator[Callable[..., Daemon]]:
    daemons: list[Daemon] = []

    def make(*roots: Path) -> Daemon:
        daemon = Daemon(*roots)
        daemons.append(daemon)
        daemon.hints.start()
        return daemon

    yield make
    for daemon in daemons:
        assert daemon.hints.stop()


@pytest.fixture
def night(tmp_path: Path) -> Path:
    night = tmp_path / "20251106"
    (night / "vcam1").mkdir(parents=True)
    (night / "vcam2").mkdir()
    return night


@pytest.fixture
def watching(daemon_of: Callable[..., Daemon], night: Path) -> Daemon:
    daemon = daemon_of(night.parent)
    daemon.scan(night.parent)
    daemon.settle()
    return daemon


def write_as_the_logger(folder: Path) -> Path:
    temporary = folder / f"{STEM}.fits.1.2.tmp"
    temporary.write_bytes(b"pixels")
    temporary.rename(folder / f"{STEM}.fits")
    (folder / f"{STEM}.txt").write_bytes(b"rows\n")
    return folder / f"{STEM}.txt"


def test_a_finished_cube_gives_hints_of_its_files_and_of_no_others(
    watching: Daemon, night: Path
) -> None:
    timing = write_as_the_logger(night / "vcam1")
    seen = Hints()

    while timing not in _places(seen):
        assert watching.woken.wait(PATIENCE_S)
        watching.woken.clear()
        watching.hints.take(seen)

    files = {"vcam1/" + STEM + ending for ending in (".fits", ".txt", ".fits.1.2.tmp")}
    assert dict(seen.files) == {night: files}
    assert (seen.nights, seen.everything) == (set(), False)


def test_a_growing_file_gives_no_hints_until_it_is_closed(watching: Daemon, night: Path) -> None:
    with (night / "vcam2" / "growing").open("wb", buffering=0) as file:
        watching.wait_for(night / "vcam2" / "growing")
        for _ in range(1000):
            file.write(b"x")

        assert watching.silent()

    watching.wait_for(night / "vcam2" / "growing")


def test_a_removed_file_gives_a_hint(watching: Daemon, night: Path) -> None:
    cube = night / "vcam1" / f"{STEM}.fits"
    cube.write_bytes(b"")
    watching.wait_for(cube)
    watching.silent()

    cube.unlink()

    watching.wait_for(cube)


def test_a_new_night_that_fills_at_once_is_hinted_at_again_when_it_is_watched(
    watching: Daemon, tmp_path: Path
) -> None:
    new = tmp_path / "20251107"
    (new / "vcam1").mkdir(parents=True)
    write_as_the_logger(new / "vcam1")
    watching.wait_for(new)
    watching.silent()

    watching.scan(tmp_path)

    watching.wait_for(new)
    watching.settle()
    (new / "vcam1" / "later").write_bytes(b"")
    watching.wait_for(new / "vcam1" / "later")


def test_a_night_that_is_moved_into_the_root_gives_a_hint(watching: Daemon, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "vcam1").mkdir(parents=True)

    (tmp_path / "elsewhere").rename(tmp_path / "20251107")

    watching.wait_for(tmp_path / "20251107")


def test_a_camera_folder_that_appears_later_is_watched_after_the_next_scan(
    watching: Daemon, night: Path
) -> None:
    shutil.rmtree(night / "vcam2")
    watching.wait_for(night)
    watching.scan(night.parent)

    (night / "vcam2").mkdir()
    watching.wait_for(night)
    watching.scan(night.parent)
    watching.silent()
    watching.settle()

    timing = write_as_the_logger(night / "vcam2")
    watching.wait_for(timing)


def test_a_folder_that_was_removed_and_made_again_between_scans_is_watched_again(
    watching: Daemon, night: Path
) -> None:
    shutil.rmtree(night)
    (night / "vcam1").mkdir(parents=True)
    watching.silent()

    watching.scan(night.parent)
    watching.silent()
    watching.settle()

    timing = write_as_the_logger(night / "vcam1")
    watching.wait_for(timing)
    assert watching.hints.healthy


def test_what_we_write_ourselves_gives_no_hint(watching: Daemon, night: Path) -> None:
    for folder in (".vampd", "vgen2"):
        (night / folder).mkdir()
        (night / folder / "file").write_bytes(b"x")
    (night / "manifest_VMP_20251106.csv").write_bytes(b"x")
    (night.parent / "ARCHIVED_DATA").mkdir()

    assert watching.silent()


def test_a_root_that_comes_later_is_watched_from_then_on(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    root = tmp_path / "fuuu"
    daemon = daemon_of(root)
    assert daemon.hints.healthy
    root.mkdir()

    daemon.hints.update(())

    daemon.wait_for_everything()
    (root / "20251106").mkdir()
    daemon.wait_for(root / "20251106")


def test_a_root_that_is_a_symbolic_link_is_watched(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    daemon = daemon_of(tmp_path / "root")

    (tmp_path / "root" / "20251106").mkdir()

    daemon.wait_for(tmp_path / "root" / "20251106")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_is_mounted_over_a_watched_root_is_watched_from_the_next_scan_on(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = daemon_of(tmp_path)
    daemon.settle()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "vampd-test", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        daemon.hints.update(())
        daemon.wait_for_everything()
        (tmp_path / "20251106").mkdir()
        daemon.wait_for(tmp_path / "20251106")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    daemon.hints.update(())
    daemon.settle()
    (tmp_path / "20251107").mkdir()
    daemon.wait_for(tmp_path / "20251107")


def test_watches_that_died_in_silence_are_made_anew_after_some_scans(
    watching: Daemon, night: Path
) -> None:
    observer = watching.hints._observer
    assert observer is not None
    for emitter in observer.emitters:
        emitter._inotify.deactivate()  # type: ignore[attr-defined]

    for _ in range(10):
        watching.scan(night.parent)
    watching.silent()
    watching.settle()

    timing = write_as_the_logger(night / "vcam1")
    watching.wait_for(timing)


def test_a_storm_of_events_that_overflows_the_queue_asks_for_a_look_at_everything(
    watching: Daemon, night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    events = int(limit.read_text()) if limit.exists() else 16384
    if events > 100_000:
        pytest.skip("this host queues too many events to overflow them quickly")
    caplog.set_level(logging.CRITICAL, logger="vampd")
    inotify = watching.hints._observer._inotify_fd  # type: ignore[union-attr]

    # The reader stands still while the queue fills, but for one read of 2560 events that it
    # may have begun. Each file makes two events.
    with inotify._lock:
        for number in range((events + 4096) // 2):
            (night / "vcam1" / f"{number}").write_bytes(b"")

    watching.wait_for_everything()
    assert watching.hints.stop()


def test_only_the_newest_nights_are_watched(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    for day in range(1, 31):
        (tmp_path / f"202511{day:02}" / "vcam1").mkdir(parents=True)
    daemon = daemon_of(tmp_path)

    daemon.scan(tmp_path)

    assert len(daemon.hints._watched) == 1 + 4 * 2
    daemon.settle()
    (tmp_path / "20251130" / "vcam1" / "file").write_bytes(b"")
    daemon.wait_for(tmp_path / "20251130" / "vcam1" / "file")


def test_no_inotify_at_all_is_told_once_and_harms_nobody(
    night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    woken = threading.Event()
    hints = EventHints([night.parent], woken.set)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open("/", os.O_PATH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, hard))
    try:
        hints.start()
        hints.update([night])
        hints.update([night])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(taken)

    told = (hints.healthy, hints.reason)
    assert told == (False, "inotify instance limit reached")
    assert [record.levelname for record in caplog.records] == ["WARNING"]

    hints.update([night])
    assert hints.healthy
    assert hints.stop()


LIMITED = """
import sys
from pathlib import Path
Path("/proc/sys/user/max_inotify_watches").write_text("2")
from vampd.watch.events import EventHints
night = Path(sys.argv[1])
hints = EventHints([night.parent], lambda: None)
hints.start()
hints.update([night])
print(hints.healthy, hints.reason, len(hints._watched), sep="|")
Path("/proc/sys/user/max_inotify_watches").write_text("9")
hints.update([night])
print(hints.healthy, hints.reason, len(hints._watched), sep="|")
hints.stop()
"""


def test_too_few_watches_leave_those_that_there_are_and_name_the_folders_without(
    night: Path,
) -> None:
    # A user namespace of its own has a limit of its own.
    unshare = ["unshare", "--user", "--map-root-user", "--", sys.executable, "-c", LIMITED]
    if subprocess.run([*unshare[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")

    finished = subprocess.run(
        [*unshare, str(night)], capture_output=True, text=True, check=True, timeout=60
    )

    limited, freed = finished.stdout.splitlines()
    healthy, reason, watched = limited.split("|")
    assert (healthy, watched) == ("False", "2")
    assert reason.count("inotify watch limit reached") == 2
    assert str(night) in reason
    assert freed == "True||4"


def test_stopping_ends_all_threads_and_may_be_done_twice(night: Path) -> None:
    before = threading.active_count()
    hints = EventHints([night.parent], lambda: None)
    hints.start()
    hints.update([night])
    assert threading.active_count() > before

    assert hints.stop()
    assert hints.stop()

    assert threading.active_count() == before
