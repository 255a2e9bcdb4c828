"""Hints that something happened in a night, so that nobody need wait for the next scan.

A hint may be late, doubled or missing: inotify loses events of folders that fill before
they are watched, of queues that overflow, of disks that are mounted over a watched folder.
So nothing is ever concluded from a hint, or from none: it says where to look now, and of the
files in a camera's folder it says which.

What is watched, each folder by itself and none recursively: the roots (for new nights), and
of the newest nights the top level (for new camera folders) and the camera folders (for
files closed, renamed, removed). A recursive watch on a root would hold every folder of
hundreds of old nights, and would wake us for all that we write ourselves.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from vampd.layout import CAMERA_FOLDERS
from vampd.watch.hints import EVERYTHING, Hint, Hints
from vampd.watch.naming import is_ours, night_date

log = logging.getLogger(__name__)

# Each watch costs watchdog a thread, and cameras write into the newest nights only. The
# scan finds what is put into older ones.
_MAX_NIGHTS = 4

# A file system that is unmounted takes its watches along without a word, and one that is
# mounted again looks the same. So every so often all watches are made anew.
_UPDATES_A_RENEWAL = 10

_STOP_DEADLINE_S = 5.0

# Without "modified": a growing cube would wake us for every block written.
_FOLDER_EVENTS: list[type[FileSystemEvent]] = [DirCreatedEvent, DirMovedEvent, DirDeletedEvent]
_FILE_EVENTS: list[type[FileSystemEvent]] = [
    DirDeletedEvent,  # the watched folder itself
    FileClosedEvent,
    FileCreatedEvent,  # also what a file is called that was moved in from elsewhere
    FileDeletedEvent,
    FileMovedEvent,
]


class _Watched(Struct, frozen=True):
    """A folder as it was when its watch began."""

    device: int
    inode: int
    watch: ObservedWatch


class EventHints:
    """Watches the roots and the newest nights, and queues hints.

    All methods are for one thread, the daemon's. None raises for what the disk or the
    kernel refuses: *healthy* and *reason* tell, and the scan goes on without hints.

    Parameters
    ----------
    roots : sequence of Path
        Folders that hold nights. One that is absent is watched as soon as it is there.
    wake : callable
        Called from other threads after a hint was queued. It must return at once.
    folders : sequence of str
        In which of a night's folders files are closed, renamed and removed.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        wake: Callable[[], None],
        folders: Sequence[str] = CAMERA_FOLDERS,
    ) -> None:
        self.healthy = True
        self.reason = ""
        self._roots = tuple(roots)
        self._wake = wake
        self._folders = tuple(folders)
        self._hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, _Watched] = {}
        self._updates = 0
        self._overflows = _OverflowListener(self._put)

    def start(self) -> None:
        """Begin to watch the roots."""
        logging.getLogger("watchdog").addHandler(self._overflows)
        self.update(())

    def update(self, nights: Iterable[Path]) -> None:
        """Watch the roots and the newest of *nights* as they are now; call it after each scan.

        1. What is watched no longer is what lies at its path: that watch is dropped.
        2. What is not watched yet is watched, and gets a hint: files may have come into it
           between the scan and the watch.
        3. What the kernel refuses is told once, in *reason* and the log.
        """
        wanted = self._wanted(sorted(nights, key=lambda night: night.name)[-_MAX_NIGHTS:])
        problems: list[str] = []
        try:
            observer = self._renewed_observer()
            self._drop_lost(observer, wanted)
            for folder in wanted.keys() - self._watched.keys():
                problems += self._watch(observer, folder, wanted[folder])
        except OSError as error:
            problems.append(error.strerror or str(error))
        except RuntimeError as error:  # no more threads can be started
            problems.append(str(error))
        self._tell("; ".join(sorted(problems)))

    def take(self, into: Hints | None = None) -> Hints:
        """Take all hints queued so far, *into* those that were taken before. Never waits."""
        hints = Hints() if into is None else into
        while True:
            try:
                hints.add(self._hints.get_nowait())
            except queue.Empty:
                return hints

    def stop(self, deadline_s: float = _STOP_DEADLINE_S) -> bool:
        """Stop watching; return whether all threads ended in time. They die with the process."""
        logging.getLogger("watchdog").removeHandler(self._overflows)
        observer, self._observer = self._observer, None
        self._watched.clear()
        return observer is None or _stop(observer, deadline_s)

    def _put(self, hint: Hint) -> None:
        self._hints.put(hint)
        self._wake()

    def _wanted(self, nights: Sequence[Path]) -> dict[Path, _Folder]:
        wanted = {root: _Folder(path=root, hint=EVERYTHING, is_root=True) for root in self._roots}
        for night in nights:
            whole = Hint(night)
            wanted[night] = _Folder(path=night, hint=whole)
            for name in self._folders:
                wanted[night / name] = _Folder(path=night / name, hint=whole, is_camera=True)
        return wanted

    def _renewed_observer(self) -> BaseObserver:
        """Return an observer whose threads live; a new one when the old one is due."""
        is_due = self._updates % _UPDATES_A_RENEWAL == 0
        self._updates += 1
        old = self._observer
        if old is not None and old.is_alive() and not is_due:
            return old
        new = Observer()
        try:
            new.start()
        except RuntimeError:
            new.stop()  # its inotify thread runs already
            raise
        self._observer = new
        self._watched.clear()
        if old is not None:
            _stop(old, _STOP_DEADLINE_S)
        return new

    def _drop_lost(self, observer: BaseObserver, wanted: Mapping[Path, _Folder]) -> None:
        """Drop watches of folders that are gone, replaced or no longer wanted.

        The emitter of a removed folder ends by itself, and would be taken for a living one
        if a new folder came to the same path, perhaps with the same inode.
        """
        living = {emitter.watch for emitter in observer.emitters if emitter.is_alive()}
        for folder, watched in list(self._watched.items()):
            same = _device_and_inode(folder) == (watched.device, watched.inode)
            if folder not in wanted or not same or watched.watch not in living:
                del self._watched[folder]
                observer.unschedule(watched.watch)

    def _watch(self, observer: BaseObserver, path: Path, folder: _Folder) -> list[str]:
        """Watch one folder; return why that was not possible, nothing if it is not there."""
        found = _device_and_inode(path)
        if found is None:
            return []
        if not os.access(path, os.R_OK):  # watchdog would swallow this one
            return [f"{path}: not readable, so it cannot be watched"]
        try:
            watch = observer.schedule(
                _Handler(folder, self._put),
                # A root may be a symbolic link, and those are not followed by the watch.
                str(path.resolve()) if folder.is_root else str(path),
                event_filter=_FILE_EVENTS if folder.is_camera else _FOLDER_EVENTS,
            )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            return [f"{path}: {error.strerror}"]
        self._watched[path] = _Watched(*found, watch)
        self._put(folder.hint)
        return []

    def _tell(self, reason: str) -> None:
        if reason == self.reason:
            return
        self.healthy, self.reason = not reason, reason
        if reason:
            log.warning("events are incomplete, the scan goes on without them: %s", reason)
        else:
            log.info("events are complete again")


class _Folder(Struct, frozen=True, kw_only=True):
    """A folder to be watched, and what to look at when something happens in it."""

    path: Path
    hint: Hint
    is_root: bool = False
    is_camera: bool = False


class _Handler(FileSystemEventHandler):
    """Queues a hint for each event that may matter, and does nothing else."""

    def __init__(self, folder: _Folder, put: Callable[[Hint], None]) -> None:
        self._folder = folder
        self._put = put

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Queue hints; called in a thread of watchdog's."""
        folder = self._folder
        if folder.is_root:
            for name in _names(event):
                if night_date(name) is not None:
                    self._put(Hint(folder.path / name))
        elif not folder.is_camera:
            if not all(is_ours(name) for name in _names(event)):
                self._put(folder.hint)
        elif event.is_directory:  # the watched folder itself
            self._put(folder.hint)
        else:
            for name in _names(event):
                self._put(Hint(folder.hint.night, f"{folder.path.name}/{name}"))


class _OverflowListener(logging.Handler):
    """Hears of lost events the only way watchdog tells of them: in its log."""

    def __init__(self, put: Callable[[Hint], None]) -> None:
        super().__init__(level=logging.WARNING)
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a hint to look at everything."""
        if "overflow" in record.getMessage():
            self._put(EVERYTHING)


def _names(event: FileSystemEvent) -> list[str]:
    """The names, without their folders, that an event is about."""
    paths = (event.src_path, event.dest_path)
    return [Path(os.fsdecode(path)).name for path in paths if path]


def _device_and_inode(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stop(observer: BaseObserver, deadline_s: float) -> bool:
    """Stop all threads of *observer*; return whether they ended in time.

    watchdog's own stop waits for its threads without end, so it gets a thread of its own.
    """
    stopper = threading.Thread(target=observer.stop, name="vampd-stop-events", daemon=True)
    stopper.start()
    stopper.join(deadline_s)
    if stopper.is_alive():
        return False
    observer.join(deadline_s)
    return not observer.is_alive()
