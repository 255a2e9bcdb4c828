"""A small observatory for tests of the whole: roots, far folders, settings, the real daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tests.support.reference_night import copy_reference_night, reference_truth
from tests.support.trees import digests_of_tree
from vampd.simulation.night import SimulatedNight, reference_night
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.simulation.truth import Truth

DATE = "20251106"
FIRST_NUMBER = 425189

_RUN_SECONDS = 90.0

#: Pairs with and without FLC states, lost frames, a camera alone, and a cube that is quarantined.
_SMALL = ("pdi-drops-late", "one-camera", "no-txt", "one-frame")

_SETTINGS = """\
state_dir = "{folder}/state"
[[roots]]
kind = "archive"
path = "{folder}/fuuu/ARCHIVED_DATA"
[[roots]]
kind = "engineering"
path = "{folder}/fuuu"
[night]
settle_seconds = {settle_seconds}
quiet_minutes = {quiet_minutes}
grace_minutes = 0
scan_seconds = 0.3
[watch]
events = {events}
[workers]
executor = "{executor}"
dask_scheduler = "{scheduler}"
processes = {processes}
nice = 0
pause_above_io_percent = 0
pause_above_memory_percent = 0
[retry]
first_seconds = 0.5
[frame_ids]
first = {first}
[delivery.archive]
destination = "{host}{folder}/far/ARCHIVED_DATA"
[delivery.engineering]
destination = "{host}{folder}/far"
[ssh]
options = {options}
"""


class DaemonSite(Struct, frozen=True, kw_only=True):
    """Where everything of one small observatory lies."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "vampd.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def root(self, kind: str = "archive") -> Path:
        return self.folder / "fuuu" / ("ARCHIVED_DATA" if kind == "archive" else "")

    def night(self, kind: str = "archive") -> Path:
        return self.root(kind) / DATE

    def far(self, kind: str = "archive") -> Path:
        return self.folder / "far" / ("ARCHIVED_DATA" if kind == "archive" else "") / DATE

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "vampd", "--config", str(self.config), *words]

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Do one command, whatever its exit status is."""
        return subprocess.run(
            self.words(*words), check=False, capture_output=True, text=True, timeout=_RUN_SECONDS
        )

    def run(self, *, status: int = 0) -> None:
        """Let the daemon work until it is idle, and end with exit *status*."""
        done = self.call("admin", "run", "--until-idle")
        assert done.returncode == status, done.stderr[-3000:] + done.stdout[-3000:]

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon at work, which is stopped at the end."""
        with (self.folder / "daemon.log").open("ab") as log:
            daemon = subprocess.Popen(
                self.words("admin", "run", *words), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=_RUN_SECONDS)

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text(errors="replace")

    def json(self, *words: str) -> Any:
        done = self.call(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self, kind: str = "archive") -> str:
        nights = self.json("status")["nights"]
        return str(next(night["status"] for night in nights if night["kind"] == kind))


class Settings(Struct, frozen=True, kw_only=True):
    """What tests change of a site's settings."""

    processes: int = 2
    scheduler: str = ""  #: of builders on other hosts
    events: bool = True
    settle_seconds: float = 0.0
    quiet_seconds: float = 0.0
    host: str = ""
    ssh_options: list[str] = field(default_factory=list)


def make_site(folder: Path, settings: Settings | None = None) -> DaemonSite:
    """Make a site without a night in *folder*."""
    chosen = settings or Settings()
    site = DaemonSite(folder=folder)
    for path in (site.root(), site.far().parent, site.state):
        path.mkdir(parents=True, exist_ok=True)
    site.config.write_text(
        _SETTINGS.format(
            folder=folder,
            settle_seconds=chosen.settle_seconds,
            quiet_minutes=chosen.quiet_seconds / 60,
            events=str(chosen.events).lower(),
            processes=chosen.processes,
            executor="dask" if chosen.scheduler else "local",
            scheduler=chosen.scheduler,
            first=FIRST_NUMBER,
            host=chosen.host,
            options=json.dumps(chosen.ssh_options),
        )
    )
    return site


def add_night(site: DaemonSite, source: str = "simulated", kind: str = "archive") -> Truth:
    """Put a night into a root; return its truth.

    *source* is "reference", its "simulated" twin, or "small": some scenes of that, where it says
    nothing how many there are.
    """
    if source == "reference":
        copy_reference_night(site.root(kind))
        return reference_truth()
    night = small_night() if source == "small" else reference_night(date=DATE)
    return night.write(site.root(kind))


def small_night() -> SimulatedNight:
    """The night that `add_night` calls "small"."""
    return SimulatedNight([REFERENCE_SCENES[name] for name in _SMALL], date=DATE, seed=1)


def products(site: DaemonSite, kind: str = "archive") -> dict[str, str]:
    """Digests of all that must come out the same each time; the root is left out of paths."""
    night = site.night(kind)
    found = digests_of_tree(night / "vgen2")
    for manifest in night.glob("manifest_*.csv"):
        found[manifest.name] = manifest.read_text().replace(str(site.folder), "")
    return found


def sidecar(site: DaemonSite, kind: str = "archive") -> dict[str, str]:
    """Digest of the sidecar; it holds the raw files' times, so see `give_times`."""
    found = digests_of_tree(site.night(kind) / ".vampd")
    return {name: digest for name, digest in found.items() if name.endswith(".tar")}


def give_times(night: Path) -> None:
    """Give the raw files times that are the same wherever the night is written."""
    for number, path in enumerate(sorted(night.glob("vcam*/*"))):
        time_ns = 1_762_405_800_123_456_789 + number * 1_000_000_007
        os.utime(path, ns=(time_ns, time_ns))


def raw_digests(site: DaemonSite, kind: str = "archive") -> dict[str, str]:
    """Digests of the cameras' own files, by their path in the night."""
    return {
        f"{camera}/{name}": digest
        for camera in ("vcam1", "vcam2")
        for name, digest in digests_of_tree(site.night(kind) / camera).items()
    }
