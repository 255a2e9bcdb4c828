"""The whole chain for a campaign: the real daemon near, a far host, whoever moves files on there.

What is checked is computed here from the bytes that lie there, and not asked of vampd, but for what
the ledger lists.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tests.campaigns.delivery_hosts import FarHost, far_host
from tests.support.daemon_site import DATE, DaemonSite, Settings, make_site
from tests.support.trees import digests_of_tree, identities_of_tree
from vampd.records import FileIdentity
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import scene_named

#: Synchronised frames, the liquid crystal, a cube named ten hours early, one without timing.
SCENES = ("sync-no-flc", "pdi-short", "hst-filename", "no-txt")
_CAMERAS = ("vcam1", "vcam2")
_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_BEFORE = "to be read through"  # what every night says before its first stage


class Night(Struct, frozen=True, kw_only=True):
    """A night that was put there, and what its raw files were."""

    kind: str
    date: str
    raw: dict[str, str]
    identities: dict[str, FileIdentity]


class Chain(Struct, kw_only=True):
    """One near site and its far host."""

    site: DaemonSite
    far: FarHost
    is_moved: bool  #: files count as safe only where somebody moves them
    nights: list[Night] = field(default_factory=list)
    daemon: subprocess.Popen[bytes] | None = None
    orders: list[str] = field(default_factory=list)  #: what an operator had to type
    causes: list[str] = field(default_factory=list)  #: what nights said they wait for, in turn
    moving: threading.Lock = field(default_factory=threading.Lock)  #: held while files are moved

    # What is there.

    def add(self, date: str = DATE, kind: str = "archive", scenes: Sequence[str] = SCENES) -> Night:
        """A small simulated night."""
        made = SimulatedNight([scene_named(name) for name in scenes], seed=int(date), date=date)
        made.write(self.site.root(kind))
        return self.adopt(date, kind)

    def adopt(self, date: str, kind: str) -> Night:
        """Remember a night that was written."""
        folder = self.site.root(kind) / date
        night = Night(kind=kind, date=date, raw=_raw(folder), identities=_raw_identities(folder))
        self.nights.append(night)
        return night

    def sent_to(self, night: Night) -> Path:
        return self.site.far(night.kind).parent / night.date

    def safe_at(self, night: Night) -> Path:
        if not self.is_moved:
            return self.sent_to(night)
        return (
            self.far.disk / "sdata" / night.date / ("ARCHIVED" if night.kind == "archive" else "")
        )

    # The daemon.

    def start(self) -> None:
        with (self.site.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                self.site.words("admin", "run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals) -> None:
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.wait(timeout=_SECONDS)
        self.daemon = None

    def order(self, *words: str) -> None:
        """What an operator types; it must be done."""
        self.orders.append(" ".join(words))
        done = self.site.call(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    # Waiting.

    def ask(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows of the ledger; none while there is no ledger."""
        path = self.site.state / "ledger.sqlite3"
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as ledger,
        ):
            ledger.row_factory = sqlite3.Row
            return ledger.execute(query, values).fetchall()
        return []

    def wait(self, what: str, is_so: Callable[[], Any], seconds: float = _SECONDS) -> None:
        """Wait until *is_so*, and note what the nights say meanwhile."""
        deadline = time.monotonic() + seconds
        while not is_so():
            self.look()
            if time.monotonic() > deadline:
                said = [
                    tuple(row) for row in self.ask("select kind, date, status, cause from night")
                ]
                msg = f"not so: {what}: {said}\n{self.site.log()[-1500:]}"
                raise AssertionError(msg)
            time.sleep(_LOOK_SECONDS)
        self.look()

    def look(self) -> None:
        """Note what the nights say."""
        for row in self.ask(
            "select status, cause from night where status in"
            " ('waiting', 'failed', 'held') and cause is not null"
        ):
            cause = " ".join(row["cause"].replace(str(self.site.folder), "").split())
            text = f"{row['status']}: {cause}"
            if text not in self.causes and _BEFORE not in text:
                self.causes.append(text)

    def is_safe(self) -> bool:
        rows = self.ask("select status from night")
        return len(rows) == len(self.nights) and all(row["status"] == "safe" for row in rows)

    def is_reclaimed(self) -> bool:
        return {row["status"] for row in self.ask("select status from night")} == {"reclaimed"}

    def is_sent(self) -> bool:
        """Whether all that is listed was published, for every night."""
        rows = self.ask(
            "select count(*) as listed, count(sent_us) as sent from deliverable"
            " where night in (select night from task where stage = 'transfer' and state = 'done')"
        )
        return any(0 < row["listed"] == row["sent"] for row in rows)

    def says(self, status: str, *words: str) -> bool:
        """Whether a night is *status* for a cause with one of *words* in it."""
        rows = self.ask("select cause from night where status = ?", status)
        return any(word in (row["cause"] or "") for row in rows for word in words)

    def is_flowing(self) -> bool:
        """Whether bytes are arriving over there."""
        with suppress(FileNotFoundError):  # they are renamed while one looks
            return any(path.stat().st_size > 0 for path in self.arriving())
        return False

    def arriving(self) -> list[Path]:
        found = self.far.disk.rglob(".incoming/*/**/*")
        return [path for path in found if path.is_file()]

    # Whoever moves files on.

    @contextmanager
    def mover(self, *, seconds: float = 0.2) -> Iterator[threading.Event]:
        """Files are moved on as they are published, but while the event is set."""
        rests, stops = threading.Event(), threading.Event()

        def move() -> None:
            while not stops.wait(seconds):
                if not rests.is_set():
                    with self.moving:
                        self.move_on()

        thread = threading.Thread(target=move)
        if self.is_moved:
            thread.start()
        try:
            yield rests
        finally:
            stops.set()
            if self.is_moved:
                thread.join()

    def move_on(self) -> None:
        """Move what lies under its final name to where it counts, over what lies there."""
        for night in self.nights:
            source, target = self.sent_to(night), self.safe_at(night)
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    moved = target / path.relative_to(source)
                    moved.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(moved)

    # The end.

    def check(self) -> int:
        """Nothing is lost, every copy is right; return the bytes that were read for that."""
        size_bytes = 0
        for night in self.nights:
            self.check_raw(night)
            size_bytes += self.check_copies(night)
        if any(night.kind == "archive" for night in self.nights):
            self.audit_ids()
        assert not self.arriving(), f"left in .incoming: {self.arriving()}"
        return size_bytes

    def check_raw(self, night: Night) -> None:
        """No raw file of *night* was touched, and each of its frames is in one place."""
        folder = self.site.root(night.kind) / night.date
        assert _raw(folder) == night.raw, f"raw files of {night.kind} {night.date} changed"
        assert _raw_identities(folder) == night.identities, f"{folder} was touched"
        done = self.site.call("data", "audit", night.date, "--kind", night.kind)
        assert done.returncode == 0, done.stdout + done.stderr

    def check_copies(self, night: Night) -> int:
        """Every file of *night* lies where it counts, and is what was made here."""
        listed = self.listed(night)
        there = digests_of_tree(self.safe_at(night))
        here = digests_of_tree(self.site.root(night.kind) / night.date / "vgen2")
        wrong = [path for path, digest in listed.items() if there.get(path) != digest]
        assert not wrong, f"{night.kind} {night.date}: {len(wrong)} copies wrong: {wrong[:3]}"
        assert {f"vgen2/{path}" for path in here} == {p for p in listed if p.startswith("vgen2/")}
        assert all(there[f"vgen2/{path}"] == digest for path, digest in here.items()), night.date
        return sum((self.safe_at(night) / path).stat().st_size for path in listed)

    def listed(self, night: Night) -> dict[str, str]:
        """What the ledger lists for the far end: digests by path."""
        rows = self.ask(
            "select path, sha256 from deliverable join night on night.id = night"
            " where kind = ? and date = ?",
            night.kind,
            night.date,
        )
        assert rows, f"nothing is listed of {night.kind} {night.date}"
        return {row["path"]: row["sha256"] for row in rows}

    def audit_ids(self) -> None:
        done = self.site.call("archive", "ids", "audit")
        assert done.returncode == 0, done.stdout + done.stderr

    def evidence(self) -> list[str]:
        """Digests of what was set aside over there."""
        found = self.far.disk.rglob(".evidence/*/**/*")
        return [hashlib.sha256(p.read_bytes()).hexdigest() for p in found if p.is_file()]


@contextmanager
def chain(
    folder: Path,
    number: int,
    *,
    helper: bool,
    moved: bool,
    more: Callable[[str], str] | None = None,
) -> Iterator[Chain]:
    """A chain without nights; *more* changes the text of its settings."""
    with far_host(folder, number, helper=helper) as far:
        alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3"]
        settings = Settings(host=f"{far.host}:", ssh_options=[*far.sshd.options, *alive])
        site = make_site(folder / "site", settings)
        text = _settings(site.config.read_text(), far, helper=helper, moved=moved)
        site.config.write_text(more(text) if more else text)
        made = Chain(site=site, far=far, is_moved=moved)
        try:
            yield made
        finally:
            made.end(signal.SIGKILL)
    shutil.rmtree(folder)


def _settings(text: str, far: FarHost, *, helper: bool, moved: bool) -> str:
    for kind, below in (("archive", "/ARCHIVED"), ("engineering", "")):
        section = f"[delivery.{kind}]\n"
        lines = [section]
        if helper:
            lines.append('far_helper = "vampd-remote"\n')
        if moved:
            lines.append(f'verify_at = "{far.disk}/sdata/{{night}}{below}"\n')
        text = text.replace(section, "".join(lines))
    text = text.replace("[retry]\n", "[retry]\nlongest_seconds = 2.0\n")
    return text.replace("[ssh]\n", "[ssh]\nconnect_timeout_seconds = 3\n")


def slowly(text: str, kib_per_second: int = 150) -> str:
    """Settings with which a transfer can be met on its way."""
    line = f"bandwidth_kib_per_second = {kib_per_second}\n"
    return text.replace("destination =", f"{line}destination =")


def _raw(folder: Path) -> dict[str, str]:
    return {
        f"{camera}/{name}": digest
        for camera in _CAMERAS
        for name, digest in digests_of_tree(folder / camera).items()
    }


def _raw_identities(folder: Path) -> dict[str, FileIdentity]:
    return {
        f"{camera}/{name}": identity
        for camera in _CAMERAS
        for name, identity in identities_of_tree(folder / camera).items()
    }
