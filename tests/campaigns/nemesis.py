"""Nights at many times their speed, live, and a fault every few seconds.

    python -m tests.campaigns.nemesis [--hours N | --minutes N] [--seed N] [--nights N]

Faults: the daemon killed, a worker killed, either stopped for a while; the far disk full, or away;
a bit flipped in a delivered file; the daemon's clock set ahead or back; hostile files in a night,
hostile callers at the socket; orders as chance has it (hold, release, retry, restore, close). In
the end the faults cease, what waits for a person is retried, and a checker that believes nothing
(`nemesis_check.py`) compares with what the cameras wrote. Exits with 1 if anything is wrong, or if
no night was written. As root the far disk is a small one of its own; else it is never full.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

from msgspec import Struct, field

from tests.campaigns.kills import _workers
from tests.campaigns.live import _LIVE, _SCENES
from tests.campaigns.nemesis_check import Night, Witness, wrongs
from tests.poison.case import Case, Refused
from tests.poison.cases import cases
from tests.poison.place import Place
from tests.support.daemon_site import DaemonSite, Settings, make_site
from tests.support.trees import digests_of_tree
from vampd.layout import CAMERA_FOLDERS
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import reading
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES

_FIRST_DATE = date(2025, 11, 6)
_SPEED = 40.0
_FAR_MEGABYTES = 256
_CALM_SECONDS = 900.0
_ORDER_SECONDS = 120.0
#: The daemon, by a clock that is off by so many seconds as a file says.
_DAEMON = """
import sys
from pathlib import Path
from vampd.daemon import run
from vampd.io.clock import SystemClock
from vampd.io.systemd import set_up_logging

class Clock(SystemClock):
    def now_us(self):
        try:
            ahead = int(Path(sys.argv[2]).read_text())
        except (OSError, ValueError):
            ahead = 0
        return super().now_us() + ahead * 1_000_000

set_up_logging()
sys.exit(run(Path(sys.argv[1]), until_idle=False, clock=Clock()))
"""


class Nemesis(Struct, kw_only=True):
    """The site, the nights so far, and what was done to them."""

    site: DaemonSite
    chance: random.Random
    nights: list[Night] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    witness: Witness = field(default_factory=Witness)
    daemon: subprocess.Popen[bytes] | None = None
    callers: list[socket.socket] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)

    @property
    def clock(self) -> Path:
        return self.site.folder / "clock"

    def keep_alive(self) -> None:
        """Start a daemon where there is none."""
        if self.daemon is None or self.daemon.poll() is not None:
            with (self.site.folder / "daemon.log").open("ab") as log:
                self.daemon = subprocess.Popen(
                    [sys.executable, "-c", _DAEMON, str(self.site.config), str(self.clock)],
                    stdout=log,
                    stderr=log,
                )

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(timeout=_ORDER_SECONDS)

    def order(self, *words: str) -> bool:
        """Give an order, which may be refused; whether it was carried out."""
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                self.site.words(*words),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_ORDER_SECONDS,
                check=False,
            )
            return done.returncode == 0
        return False

    def statuses(self) -> dict[str, str]:
        if not ledger_path(self.site.state).exists():
            return {}
        with suppress(Exception), reading(self.site.state) as ledger:
            return dict(ledger.execute("select date, status from night").fetchall())
        return {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    asked = parser.parse_args()
    seconds = 3600 * asked.hours or 60 * asked.minutes
    os.nice(19 - os.nice(0))
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vampd-nemesis-") as folder:
        site = _site(Path(folder))
        nemesis = Nemesis(site=site, chance=random.Random(asked.seed))
        try:
            _torment(nemesis, seconds, asked.nights)
            found = _reckon(nemesis)
        finally:
            nemesis.stop()
            subprocess.run(["umount", site.folder / "far"], check=False, capture_output=True)
    counts = {"minutes": round(seconds / 60, 1), "nights": len(nemesis.nights), **nemesis.counts}
    print(json.dumps(counts | {"wrong": len(found)}))
    print("\n".join(found) if nemesis.nights else "no night was written: nothing was tried")
    return 1 if found or not nemesis.nights else 0


def _site(folder: Path) -> DaemonSite:
    (folder / "far").mkdir()
    if os.geteuid() == 0:
        options = f"size={_FAR_MEGABYTES}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder / "far"], check=True)
    (folder / "far" / "lost+found").mkdir()
    site = make_site(folder, Settings(settle_seconds=0.2, quiet_seconds=86_400))
    site.config.write_text(site.config.read_text() + _LIVE)
    return site


def _torment(nemesis: Nemesis, seconds: float, nights: int) -> None:
    """Write night after night, and do harm every few seconds, for so long."""
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(max_workers=1) as writer:
        written = writer.submit(_write_nights, nemesis, deadline, nights)
        _do_harm(nemesis, deadline, written)
    written.result()  # raises what the writer did


def _do_harm(nemesis: Nemesis, deadline: float, written: Future[None]) -> None:
    """Do harm every few seconds until the deadline, or until the writer fails."""
    while time.monotonic() < deadline and not (written.done() and written.exception()):
        nemesis.keep_alive()
        time.sleep(nemesis.chance.uniform(1.0, 5.0))
        harm = nemesis.chance.choice(_HARMS)
        nemesis.counts[harm.__name__.strip("_").replace("_", " ")] += 1
        harm(nemesis)
        for night in list(nemesis.nights):
            nemesis.witness.look(night)


def _write_nights(nemesis: Nemesis, deadline: float, nights: int) -> None:
    """One night after the other, closed as soon as it is written."""
    for number in range(nights):
        if time.monotonic() > deadline:
            return
        day = f"{_FIRST_DATE + timedelta(days=number):%Y%m%d}"
        scenes = [REFERENCE_SCENES[name] for name in _SCENES]
        plan = SimulatedNight(scenes, seed=number, date=day)
        folder = nemesis.site.root() / day
        truth = plan.write(nemesis.site.root(), speed=_SPEED)
        raw = {
            f"{camera}/{path}": digest
            for camera in CAMERA_FOLDERS
            for path, digest in digests_of_tree(folder / camera).items()
        }
        far = nemesis.site.far().parent / day
        night = Night(date=day, kind="archive", folder=folder, far=far, truth=truth, raw=raw)
        nemesis.nights.append(night)
        nemesis.order("close", day)


def _kill_the_daemon(nemesis: Nemesis) -> None:
    assert nemesis.daemon is not None
    nemesis.daemon.kill()
    nemesis.daemon.wait()


def _kill_a_worker(nemesis: Nemesis) -> None:
    assert nemesis.daemon is not None
    for worker in _workers(nemesis.daemon.pid)[:1]:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def _stop_a_worker(nemesis: Nemesis) -> None:
    assert nemesis.daemon is not None
    _stopped(_workers(nemesis.daemon.pid)[:1], nemesis.chance.uniform(0.5, 3.0))


def _stop_the_daemon(nemesis: Nemesis) -> None:
    assert nemesis.daemon is not None
    _stopped([nemesis.daemon.pid], nemesis.chance.uniform(0.5, 3.0))


def _stopped(processes: Sequence[int], seconds: float) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    time.sleep(seconds)
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def _fill_the_far_disk(nemesis: Nemesis) -> None:
    far = nemesis.site.folder / "far"
    if not far.is_mount():
        return
    ballast = far / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
    time.sleep(nemesis.chance.uniform(1.0, 4.0))
    ballast.unlink()


def _take_the_far_disk_away(nemesis: Nemesis) -> None:
    far = nemesis.site.far().parent
    away = far.with_name("away")
    far.rename(away)
    time.sleep(nemesis.chance.uniform(0.5, 3.0))
    if far.exists():  # nobody may make it anew
        nemesis.witness.violations.append(f"{far} was made where a disk was away")
        return
    away.rename(far)


def _flip_a_bit(nemesis: Nemesis) -> None:
    files = [path for night in nemesis.nights for path in (night.far / "vgen2").glob("*.fits.fz")]
    if files:
        path = nemesis.chance.choice(sorted(files))
        with suppress(FileNotFoundError), path.open("r+b") as file:
            place = nemesis.chance.randrange(path.stat().st_size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << nemesis.chance.randrange(8)]))


def _set_the_clock(nemesis: Nemesis) -> None:
    nemesis.clock.write_text(str(nemesis.chance.choice((-86_400, -3600, 3600, 86_400, 10**8))))
    time.sleep(nemesis.chance.uniform(0.5, 3.0))
    nemesis.clock.write_text("0")


def _put_a_hostile_file(nemesis: Nemesis) -> None:
    """A bad cube in the night that is being written, at a time at which no camera writes."""
    folders = sorted(path for path in nemesis.site.root().glob("2025*") if path.is_dir())
    if not folders or any(night.folder == folders[-1] for night in nemesis.nights):
        return
    # The huge ones are holes, which our own digests would read.
    refused = [
        case for case in cases() if isinstance(case.expected, Refused) and not _is_huge(case)
    ]
    place = Place(night=folders[-1], number=1500 + nemesis.chance.randrange(500))
    with suppress(OSError):
        nemesis.chance.choice(refused).make(place)


def _is_huge(case: Case) -> bool:
    return "holes" in case.name


def _call_with_malice(nemesis: Nemesis) -> None:
    words = (b"[" * 10_000, b'{"order": "close"', b"\0" * 100, b'{"order": 5, "arguments": {}}\n')
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(1.0)
    with suppress(OSError):
        caller.connect(str(nemesis.site.state / "vampd.sock"))
        caller.sendall(nemesis.chance.choice(words))
        nemesis.callers.append(caller)  # and says no more
    for old in nemesis.callers[:-5]:
        old.close()
    del nemesis.callers[:-5]


def _give_an_order(nemesis: Nemesis) -> None:
    if not nemesis.nights:
        return
    day = nemesis.chance.choice(nemesis.nights).date
    orders = (
        (("hold", day, "--why", "to see"), ("release", day)),
        (("retry", day),),
        (("restore", day, "--force", "-y"), ("release", day)),
        (("close", day),),
        (("data", "verify", day, "--record"),),
        (("status",), ("explain", day)),
    )
    for words in nemesis.chance.choice(orders):
        nemesis.order(*words)


_HARMS: tuple[Callable[[Nemesis], None], ...] = (
    _kill_the_daemon,
    _kill_a_worker,
    _stop_a_worker,
    _stop_the_daemon,
    _fill_the_far_disk,
    _take_the_far_disk_away,
    _flip_a_bit,
    _set_the_clock,
    _put_a_hostile_file,
    _call_with_malice,
    _give_an_order,
)


def _reckon(nemesis: Nemesis) -> list[str]:
    """In calm, let all come to its end; then say what is wrong."""
    for caller in nemesis.callers:
        caller.close()
    nemesis.keep_alive()
    found = _until_safe(nemesis)
    for night in nemesis.nights:
        nemesis.order("data", "verify", night.date, "--record")  # finds the flipped bits
    found += _until_safe(nemesis)
    for night in nemesis.nights:
        nemesis.witness.look(night)
        found += wrongs(night)
        if not nemesis.order("data", "audit", night.date):
            found.append(f"{night.date}: vampd's own audit does not prove it")
    return found + nemesis.witness.violations


def _until_safe(nemesis: Nemesis) -> list[str]:
    deadline = time.monotonic() + _CALM_SECONDS
    while time.monotonic() < deadline:
        nemesis.keep_alive()
        statuses = nemesis.statuses()
        late = [night.date for night in nemesis.nights if statuses.get(night.date) != "safe"]
        if not late:
            return []
        for day in late:
            if statuses.get(day) == "held":
                nemesis.order("release", day)
            if statuses.get(day) in {"failed", "held", "waiting"}:
                nemesis.order("retry", day)
            if statuses.get(day, "collecting") == "collecting":
                nemesis.order("close", day)
        time.sleep(2.0)
    told = {day: status for day, status in nemesis.statuses().items() if status != "safe"}
    return [f"in calm, after {_CALM_SECONDS:g} s, not safe: {told}"]


if __name__ == "__main__":
    sys.exit(main())
