"""An inbox, the place where nights belong, and a real receiver between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.io.listed_files import ListedFile
from vampd.stages.delivery_list import list_of

DATE = "20251106"

_SETTINGS = """\
state_dir = "{folder}/receiver"
[[inbox]]
kind = "archive"
folder = "{folder}/tier1/2_ARCHIVED_DATA"
to = "{to}/{{night}}/ARCHIVED"
[[inbox]]
kind = "engineering"
folder = "{folder}/tier1"
to = "{to}/{{night}}"
[look]
settle_seconds = {settle}
scan_seconds = {scan}
[watch]
events = {events}
[workers]
nice = 0
[disk]
keep_free_gb = 0
[retry]
first_seconds = 0.2
longest_seconds = 0.5
{more}
"""
_SECONDS = 60.0


class World(Struct, frozen=True, kw_only=True):
    """Where everything lies."""

    folder: Path
    to: Path  #: the disk on which nights belong

    @property
    def config(self) -> Path:
        return self.folder / "vampd-receive.toml"

    def inbox(self, kind: str = "archive") -> Path:
        above = self.folder / "tier1"
        return (above / "2_ARCHIVED_DATA" if kind == "archive" else above) / DATE

    def place(self, kind: str = "archive") -> Path:
        return self.to / DATE / ("ARCHIVED" if kind == "archive" else "")

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "vampd", "--config", str(self.config), "receive", *words]

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), check=False, capture_output=True, text=True, timeout=_SECONDS
        )

    def run(self, *, status: int = 0) -> str:
        """Let the receiver work until it is idle, and end with exit *status*; its log."""
        done = self.call("run", "--until-idle")
        assert done.returncode == status, done.stderr[-3000:]
        return done.stderr

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """A receiver at work, which is stopped at the end."""
        with (self.folder / "receiver.log").open("ab") as log:
            process = subprocess.Popen(
                self.words("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=_SECONDS)

    def kill_when(self, is_time: Callable[[], object]) -> None:
        """Let a receiver work until *is_time*, and end it as a power cut does."""
        with self.running() as process:
            try:
                wait_until(is_time, self.log)
            finally:
                process.kill()

    def log(self) -> str:
        return (self.folder / "receiver.log").read_text(errors="replace")

    def json(self, *words: str) -> Any:
        done = self.call(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def files(self) -> dict[str, str]:
        """The state of every file of the night."""
        return {file["path"]: file["state"] for file in self.json("show", DATE)["files"]}

    def deliver(
        self, files: Mapping[str, bytes], kind: str = "archive", *, listed: bool = True
    ) -> None:
        """Lay *files* into the inbox, as vampd does: their list first, each at once whole."""
        inbox = self.inbox(kind)
        scratch = inbox.parent / ".incoming"
        scratch.mkdir(exist_ok=True)
        if listed:
            self.list_only(files, kind)
        for path, content in files.items():
            self._put(scratch / "one", inbox / path, content)

    def list_only(self, files: Mapping[str, bytes], kind: str = "archive") -> None:
        """Lay the list of *files* into the inbox."""
        import hashlib

        named, content = list_of(
            [
                ListedFile(path=path, size_bytes=0, sha256=hashlib.sha256(each).hexdigest())
                for path, each in files.items()
            ]
        )
        inbox = self.inbox(kind)
        scratch = inbox.parent / ".incoming"
        scratch.mkdir(exist_ok=True)
        self._put(scratch / "one", inbox / named.path, content)

    def _put(self, scratch: Path, final: Path, content: bytes) -> None:
        scratch.write_bytes(content)
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(final)

    def placed(self, kind: str = "archive") -> dict[str, str]:
        """Digests of all that lies where the night belongs, but for lists."""
        found = digests_of_tree(self.place(kind))
        return {path: each for path, each in found.items() if ".vampd/delivery-" not in path}

    def left(self, kind: str = "archive") -> list[str]:
        """What still lies in the inbox of the night."""
        return sorted(digests_of_tree(self.inbox(kind)))


def make_world(
    folder: Path,
    *,
    to: Path | None = None,
    settle: float = 0.0,
    events: bool = False,
    more: str = "",
) -> World:
    """A world in *folder*; nights belong to *to*, which may be another disk."""
    world = World(folder=folder, to=to or folder / "sdata")
    (folder / "tier1" / "2_ARCHIVED_DATA").mkdir(parents=True)
    world.to.mkdir(exist_ok=True)
    (world.to / "lost+found").mkdir(exist_ok=True)  # what tells a disk from its mount point
    world.config.write_text(
        _SETTINGS.format(
            folder=folder,
            to=world.to,
            settle=settle,
            scan=3600 if events else 0.2,
            events=str(events).lower(),
            more=more,
        )
    )
    return world


def some_files(count: int = 5, size_bytes: int = 3000) -> dict[str, bytes]:
    """A night's files by their paths, each of other bytes."""
    files = {
        f"vgen2/VMPA{425189 + number:08d}.fits.fz": os.urandom(size_bytes)
        for number in range(count)
    }
    return files | {
        ".vampd/night.log": b"made: ...\n" * 20,
        f"manifest_VMP_{DATE}.csv": b"VMPA00425189|/x|3000\n",
    }
