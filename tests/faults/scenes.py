"""What is carried under fire: small nights, and the ways in which vampd handles them.

A `Trial` brings a site to where the fire begins (`prepare`), does something under fire, and goes on
without any until all is as it is in the end. `found` tells that end: it must be the calm one's.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.rig import Battery, Deed, Fault
from tests.support.daemon_site import (
    DATE,
    DaemonSite,
    Settings,
    give_times,
    make_site,
    products,
    raw_digests,
    sidecar,
)
from tests.support.mail_server import PostOffice
from tests.support.trees import digests_of_tree
from vampd.errors import VampdError
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import reading
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import CubeFault, Scene, both, polarimetry
from vampd.simulation.scenes import Fault as CameraFault

KINDS = ("archive", "engineering")

_SECONDS = 600.0
_FULL_SECONDS = 2.0  #: so long a disk stays full
_LOOK_SECONDS = 0.02

#: Frames of both cameras with the liquid crystal, a bad row, and a cube that is quarantined.
_EARLY = (
    polarimetry("states", 8, cube_frames=both(8)),
    Scene(
        name="bad",
        triggers=2,
        cube_frames=both(2),
        faults=(CubeFault(fault=CameraFault.NO_EXPTIME, camera=2, ordinal=0),),
    ),
)
_LATE = (
    Scene(
        name="torn",
        triggers=9,
        cube_frames=both(9),
        faults=(CubeFault(fault=CameraFault.TORN_ROW, camera=1, ordinal=0),),
    ),
)

#: What is there or not as chance has it; the lock, SQLite's own files, and what a socket leaves.
_UNTOLD = ("-wal", "-shm", ".sock", ".lock")


class Trial:
    """A night that waits until it is over, from its raw files to safe."""

    name = "waiting"
    kinds: tuple[str, ...] = KINDS
    settings = ""
    end = "safe"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = DaemonSite(folder=folder / "site")
        self.battery = Battery(folder / "site", folder / "papers")

    def prepare(self) -> None:
        """From nothing to where the fire begins."""
        make_site(self.site.folder, Settings(processes=2))
        with self.site.config.open("a") as settings:
            settings.write(self.settings)
        for kind in self.kinds:
            SimulatedNight((*_EARLY, *_LATE), date=DATE).write(self.site.root(kind))
            give_times(self.site.night(kind))

    def fire(self, fault: Fault) -> None:
        """What is done under fire; it ends with the work, or with the daemon, or soon after."""
        self.daemon(fault, "--until-idle")

    def finish(self) -> int:
        """Go on without any fault to the end; return how often an operator had to say "retry"."""
        for retries in range(3):
            self.calm_run()
            if self.are_all(self.end):
                return retries
            for kind in self.kinds:
                self.order("retry", DATE, "--kind", kind, may_fail=True)
        told = self.call("status").stdout
        msg = f"the nights do not come to their end:\n{told}"
        raise AssertionError(msg)

    def found(self) -> dict[str, str]:
        """All that must be the same in the end, by what it is."""
        found: dict[str, str] = {}
        for kind in self.kinds:
            parts = {
                "made": products(self.site, kind),
                "raw": raw_digests(self.site, kind),
                "sidecar": sidecar(self.site, kind),
                "far": self._far(kind),
            }
            for part, values in parts.items():
                found |= {f"{kind} {part} {name}": value for name, value in values.items()}
            audit = self.call("data", "audit", DATE, "--kind", kind)
            found[f"{kind} audit"] = "proved" if audit.returncode == 0 else audit.stdout
        statuses = {f"{kind} status": status for kind, status in self.statuses().items()}
        return found | statuses | dict.fromkeys(self._names(), "is there")

    def _far(self, kind: str) -> dict[str, str]:
        found = digests_of_tree(self.site.far(kind))
        return {name: digest for name, digest in found.items() if not name.endswith("night.log")}

    def _names(self) -> list[str]:
        """Every name below the site: what was left over anywhere is seen here."""
        names = (str(path.relative_to(self.site.folder)) for path in self.site.folder.rglob("*"))
        return [name for name in names if not name.endswith(_UNTOLD) and not name.endswith(".log")]

    def daemon(self, fault: Fault, *words: str, drive: Callable[[], bool] = lambda: False) -> None:
        """Let a daemon live under fire until it ends, or until *drive* says so."""
        with (self.folder / "fire.log").open("ab") as log:
            daemon = subprocess.Popen(
                self.site.words("admin", "run", *words),
                stdout=log,
                stderr=log,
                env=self.battery.armed(fault),
            )
        try:
            self._watch(daemon, fault, drive)
        finally:
            if daemon.poll() is None:
                daemon.terminate()
            daemon.wait(timeout=_SECONDS)

    def _watch(
        self, daemon: subprocess.Popen[bytes], fault: Fault, drive: Callable[[], bool]
    ) -> None:
        deadline = time.monotonic() + _SECONDS
        struck = None
        while daemon.poll() is None and not drive():
            now = time.monotonic()
            if struck is None and self.battery.has_struck:
                struck = now
            if fault.deed is Deed.FULL and struck is not None and now > struck + _FULL_SECONDS:
                return
            assert now < deadline, (
                f"it does not end: {(self.folder / 'fire.log').read_text()[-2000:]}"
            )
            time.sleep(_LOOK_SECONDS)

    def command(self, fault: Fault, *words: str) -> None:
        """Let a command act under fire, without a daemon; it may fail."""
        with (self.folder / "fire.log").open("ab") as log:
            subprocess.run(
                self.site.words(*words),
                stdout=log,
                stderr=log,
                env=self.battery.armed(fault),
                timeout=_SECONDS,
                check=False,
            )

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Do one command; whoever runs campaigns has a machine that is busy."""
        return subprocess.run(
            self.site.words(*words), check=False, capture_output=True, text=True, timeout=_SECONDS
        )

    def calm_run(self) -> None:
        done = self.call("admin", "run", "--until-idle")
        assert done.returncode in {0, 1}, done.stderr[-3000:]

    def order(self, *words: str, may_fail: bool = False) -> None:
        done = self.call(*words)
        assert may_fail or done.returncode == 0, done.stderr + done.stdout

    def statuses(self) -> dict[str, str]:
        """By kind; from the ledger itself, which is quicker than to ask."""
        if not ledger_path(self.site.state).exists():
            return {}
        with suppress(sqlite3.Error, VampdError), reading(self.site.state) as ledger:
            return dict(ledger.execute("select kind, status from night").fetchall())
        return {}

    def are_all(self, status: str) -> bool:
        return self.statuses() == dict.fromkeys(self.kinds, status)


class Safe(Trial):
    """One that begins with safe nights."""

    def prepare(self) -> None:
        super().prepare()
        self.calm_run()


class Live(Trial):
    """A night that is worked on while it is written."""

    name = "live"
    settings = "\n[live]\nenabled = true\nsilence_seconds = 60\n"

    def prepare(self) -> None:
        super().prepare()
        text = self.site.config.read_text()
        self.site.config.write_text(text.replace("quiet_minutes = 0.0", "quiet_minutes = 1440"))

    def fire(self, fault: Fault) -> None:
        self._is_closed = False
        self.daemon(fault, drive=self._drive)

    def _drive(self) -> bool:
        """Close the nights once there is something of each at the far end; say when all is safe."""
        if not self._is_closed and all(
            list((self.site.far(kind) / "vgen2").glob("*.fz")) for kind in self.kinds
        ):
            self._close()
            self._is_closed = True
        return self._is_closed and self.are_all("safe")

    def _close(self) -> None:
        for kind in self.kinds:
            self.order("close", DATE, "--kind", kind, may_fail=True)

    def finish(self) -> int:
        self.calm_run()
        self._close()
        return super().finish()


class Supplement(Trial):
    """Files that come after the nights are safe."""

    name = "supplement"
    end = "safe"

    def prepare(self) -> None:
        super().prepare()
        for kind in self.kinds:
            for path in self._late(self.site.night(kind)):
                aside = self.folder / "aside" / kind / path.parent.name
                aside.mkdir(parents=True, exist_ok=True)
                shutil.move(path, aside / path.name)
        self.calm_run()
        for kind in self.kinds:
            for path in sorted((self.folder / "aside" / kind).glob("*/*")):
                shutil.move(path, self.site.night(kind) / path.parent.name / path.name)

    def _late(self, night: Path) -> list[Path]:
        """Cubes and timing files of the last scene."""
        found = []
        for camera in ("vcam1", "vcam2"):
            last = max((night / camera).glob("*.fits"))
            found += [last, last.with_suffix(".txt")]
        return found


class Restore(Safe):
    """What was made of a safe night is forgotten, and made again."""

    name = "restore"
    kinds = ("archive",)

    def fire(self, fault: Fault) -> None:
        self.command(fault, "restore", DATE, "--force", "-y")

    def finish(self) -> int:
        self.order("restore", DATE, "--force", "-y")
        self.order("release", DATE)
        return super().finish()


class Reclaim(Safe):
    """A safe night gives its space back."""

    name = "reclaim"
    kinds = ("archive",)
    end = "reclaimed"

    _ENABLED = """
[reclaim]
enabled = true
outputs_after_days = 0
raw_after_days = 0
trash_days = 0
every_hours = 0.0001
"""

    def prepare(self) -> None:
        super().prepare()
        self.order("archive", "ack", DATE, "--force", "--why", "they wrote")
        with self.site.config.open("a") as settings:
            settings.write(self._ENABLED)
        self.order("space", "reclaim", DATE, "--let-go-quarantined", "--why", "seen", may_fail=True)

    def fire(self, fault: Fault) -> None:
        self.daemon(fault, drive=lambda: self.are_all(self.end))

    def calm_run(self) -> None:
        if not self.statuses() or not self.site.config.read_text().count("[reclaim]"):
            super().calm_run()
            return
        self.daemon(Fault(at=0), drive=lambda: self.are_all(self.end))


class RebuildDb(Safe):
    """A ledger that was lost is made again from the nights' papers."""

    name = "rebuild-db"
    kinds = ("archive",)

    def prepare(self) -> None:
        super().prepare()
        for path in self.site.state.glob("ledger*"):
            path.unlink()

    def fire(self, fault: Fault) -> None:
        self.command(fault, "admin", "rebuild-db")

    def finish(self) -> int:
        if not ledger_path(self.site.state).exists():
            self.order("admin", "rebuild-db")
        return super().finish()


class Mail(Trial):
    """The manifest is mailed to the archive."""

    name = "mail"
    kinds = ("archive",)

    def __init__(self, folder: Path, office: PostOffice) -> None:
        super().__init__(folder)
        self.office = office
        self.settings = (
            f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\nsender = "vampd@example.org"\n'
            'recipients = ["archive@example.org"]\ndata_host = "scexao5"\nmode = "auto"\n'
        )

    def fire(self, fault: Fault) -> None:
        self.office.received.clear()
        self.office.accepted.clear()
        super().fire(fault)

    def found(self) -> dict[str, str]:
        mails = {str((mail.mail["Subject"], mail.attachment)) for mail in self.office.accepted}
        one_id = len({mail.mail["Message-ID"] for mail in self.office.accepted}) == 1
        [after] = self.site.json("archive", "manifest", DATE)["nights"]
        return super().found() | {
            "mails": str(sorted(mails)).replace(str(self.site.folder), ""),
            "as one mail": str(one_id),
            "mail state": after["state"],
        }


TRIALS: Mapping[str, Any] = {
    trial.name: trial for trial in (Trial, Live, Supplement, Restore, Reclaim, RebuildDb, Mail)
}
