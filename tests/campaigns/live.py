"""Nights that are worked on while they are written, against the same nights that waited.

    python -m tests.campaigns.live nights N [FIRST_SEED]   generated nights, and the reference night
    python -m tests.campaigns.live plans N [FIRST_SEED]    their plans alone, made again after every
                                                           few cubes, against that of all cubes
    python -m tests.campaigns.live kills N                 kill -9 at N moments while files come
    python -m tests.campaigns.live moments N               the same at N moments of work, of an
                                                           engine whose clock is moved

Prints each night that differs, and a summary; exits with 1 if there was any.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from tests.campaigns.kills import _strike
from tests.campaigns.science import random_scenes
from tests.support.daemon_site import DATE, DaemonSite, Settings, make_site, products
from tests.support.live_night import LiveScene, SceneUnderFire
from tests.support.live_plan import LIMITS, played, same
from tests.support.logger_night import read_night
from tests.support.made_night import make_night
from vampd.ledger import live
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import reading
from vampd.records import RawCube
from vampd.science.cubes import plan_night
from vampd.simulation.camera import Step
from vampd.simulation.night import SimulatedNight, reference_night
from vampd.simulation.random_scenes import random_night
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import Kind, OutputState

_SCENES = ("one-frame", "sync-no-flc", "pdi-drops-late", "short-txt", "pdi-gap", "one-frame")
_LIVE = """
[live]
enabled = true
silence_seconds = 60
"""
_COUNT, _TRIGGERS = 3, 80  # scenes of a generated night, triggers of one
_SHARE_STRUCK = 0.4
_TURNS_BEFORE_CLOSE = 4  # else the end of a short night is never planned before it
_LONGEST_LIFE_SECONDS = 10.0
_DEADLINE_SECONDS = 240.0


def main(words: Sequence[str]) -> int:
    what, count = words[0], int(words[1])
    if what == "kills":
        return _kills(count)
    if what == "moments":
        return _moments(count)
    logging.disable(logging.WARNING)
    first = int(words[2]) if len(words) > 2 else 0
    if what == "plans":
        return _plans(range(first, first + count))
    nights = [("reference", reference_night(), kind) for kind in Kind] if not first else []
    for seed in range(first, first + count):
        night = random_night(seed, count=_COUNT, most_triggers=_TRIGGERS, with_faults=seed % 2 == 1)
        nights.append((f"seed {seed}", night, list(Kind)[seed % 5 == 4]))
    bad = sum(not _tried(*night) for night in nights)
    print(f"{len(nights)} nights, {bad} differ")
    return 1 if bad else 0


def _plans(seeds: range) -> int:
    """Plan nights while their cubes come in; what is left for the close is no difference."""
    bad = taken = outputs = 0
    for seed in seeds:
        night = random_night(seed, count=_COUNT, most_triggers=_TRIGGERS, with_faults=seed % 2 == 1)
        made = make_night(random_scenes(np.random.default_rng(seed), taught=seed % 2 == 0), seed)
        for name, cubes in (("written", read_cubes(night)), ("made", made.cubes)):
            whole = plan_night(cubes, LIMITS).outputs
            live_ones = played(cubes, every=1 + seed % 5)
            outputs, taken = outputs + len(whole), taken + len(live_ones)
            if not same(live_ones, whole[: len(live_ones)]):
                bad += 1
                print(f"{name} {seed}: DIFFERS", flush=True)
    print(
        f"{2 * len(seeds)} nights, {taken} of {outputs} outputs planned early, {bad} nights differ"
    )
    return 1 if bad else 0


def read_cubes(night: SimulatedNight) -> Sequence[RawCube]:
    """The cubes of a night that is written and read."""
    with tempfile.TemporaryDirectory(prefix="vampd-live-") as folder:
        truth = night.write(Path(folder))
        return read_night(Path(folder) / truth.night).cubes


def _tried(name: str, night: SimulatedNight, kind: Kind) -> bool:
    """Whether it came out the same; one that came to no end is told, and the next one is tried."""
    try:
        return _same(name, night, kind)
    except Exception:  # noqa: BLE001 - the next night is tried whatever it was
        print(f"{name} {kind}: {traceback.format_exc()}", flush=True)
        return False


def _same(name: str, night: SimulatedNight, kind: Kind) -> bool:
    with tempfile.TemporaryDirectory(prefix="vampd-live-") as folder:
        found = {}
        words = ""
        for is_live in (False, True):
            where = Path(folder) / str(is_live)
            scene = LiveScene(where, night, live=is_live, kind=kind, here=True)
            with scene.begun():
                scene.play()
                for _ in range(_TURNS_BEFORE_CLOSE):
                    scene.turn(45)
                early = [
                    row["state"]
                    for row in scene.ledger.rows("select state from output order by ordinal")
                ]
                scene.close()
                found[is_live] = scene.products()
                row = live.row_of(scene.ledger, scene.night.id)
            if row is not None:
                words = (
                    f"{len(early)} outputs planned by the close,"
                    f" {early.count(OutputState.VERIFIED)} verified; kept {row.kept},"
                    f" anew {row.anew}, late {row.late}"
                )
    same = found[True] == found[False]
    print(f"{name} {kind}: {words}: {'the same' if same else 'DIFFERS'}", flush=True)
    if not same:
        names = found[True].keys() | found[False].keys()
        for one in sorted(n for n in names if found[True].get(n) != found[False].get(n))[:5]:
            print(f"    {one}: {found[False].get(one)} waiting, {found[True].get(one)} live")
    return same


class _ScenesMoments(SceneUnderFire):
    """It dies at moments by chance, of work that goes on."""

    def __init__(self, folder: Path, night: SimulatedNight, moments: random.Random) -> None:
        super().__init__(folder, night, live=True)
        self._moments = moments
        self.amid: Counter[str] = Counter()

    def is_struck(self) -> bool:
        running = self.running()
        if not running or self._moments.random() > _SHARE_STRUCK:
            return False
        wait(self.workers.pipes(), timeout=self._moments.choice((0, 0.03, 0.1, 0.3, 1)))
        self.amid.update(running)
        return True


def _moments(wanted: int) -> int:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}", flush=True)
    logging.disable(logging.WARNING)
    moments = random.Random(seed)
    amid: Counter[str] = Counter()
    bad = kills = nights = 0
    with tempfile.TemporaryDirectory(prefix="vampd-live-") as folder:
        calm = LiveScene(Path(folder) / "calm", some_night(), live=False)
        with calm.begun():
            calm.play()
            calm.close()
            waited = calm.products()
        while kills < wanted:
            nights += 1
            scene = _ScenesMoments(Path(folder) / str(nights), some_night(), moments)
            with scene.begun():
                scene.play()
                scene.close()
                row = live.row_of(scene.ledger, scene.night.id)
            scene.ledger.close()
            kills, amid = kills + scene.amid.total(), amid + scene.amid
            same = scene.products() == waited
            bad += not same
            kept = None if row is None else row.kept
            print(f"night {nights}: {dict(scene.amid)}, kept {kept}, {same}", flush=True)
    print(f"{nights} nights, {kills} moments amid {dict(amid)}, {bad} nights differ")
    return 1 if bad else 0


def some_night() -> SimulatedNight:
    """A few scenes of the reference night."""
    return SimulatedNight([REFERENCE_SCENES[name] for name in _SCENES])


def carried(folder: Path, *, live: bool, moments: random.Random | None) -> tuple[DaemonSite, int]:
    """A night that a daemon carries while it is written, under fire at *moments*; the kills."""
    site = make_site(folder, Settings(settle_seconds=0.2, quiet_seconds=3600))
    if live:
        site.config.write_text(site.config.read_text() + _LIVE)
    feeder = threading.Thread(target=_feed, args=(list(some_night().steps(site.root())),))
    feeder.start()
    kills = 0
    while feeder.is_alive():
        kills += _lived(site, moments, while_alive=feeder)
    feeder.join()
    while not _knows_all(site):
        kills += _lived(site, moments, seconds=3.0)
    closed = site.call("close", DATE)
    assert closed.returncode == 0, closed.stderr + site.log()[-2000:]
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        daemon = _daemon(site, "--until-idle")
        try:
            if moments is not None and moments.random() < 0.6:
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(timeout=moments.uniform(0.1, _LONGEST_LIFE_SECONDS))
                kills += _strike(daemon, worker=moments.random() < 0.5)
            daemon.wait(timeout=_DEADLINE_SECONDS)
        finally:
            daemon.kill()
            daemon.wait()
        if daemon.returncode != -signal.SIGKILL or time.monotonic() > deadline:
            return site, kills


def _knows_all(site: DaemonSite) -> bool:
    """Whether the daemon saw all cubes, and nothing of them is still awaited."""
    cubes = len(list(site.night().glob("vcam?/*.fits")))
    found = site.call("status", "--json")
    nights = json.loads(found.stdout)["nights"] if found.returncode == 0 else []
    return bool(nights) and nights[0]["raw_files"] == cubes


def _lived(
    site: DaemonSite,
    moments: random.Random | None,
    *,
    seconds: float = 0.0,
    while_alive: threading.Thread | None = None,
) -> int:
    """Let a daemon live for a while; return the kills: it, or some of its workers before it."""
    daemon = _daemon(site)
    try:
        if moments is None:
            if while_alive is not None:
                while_alive.join()
            time.sleep(seconds)
            return 0
        while not ledger_path(site.state).exists():
            time.sleep(0.05)
        time.sleep(moments.uniform(1.0, _LONGEST_LIFE_SECONDS))
        kills = 0
        for _ in range(2):
            kills += _strike(daemon, worker=True)
            time.sleep(moments.uniform(0.1, 1.0))
        return kills + _strike(daemon, worker=False)
    finally:
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def _daemon(site: DaemonSite, *words: str) -> subprocess.Popen[bytes]:
    with (site.folder / "daemon.log").open("ab") as log:
        return subprocess.Popen(site.words("admin", "run", *words), stdout=log, stderr=log)


def _feed(steps: Sequence[Step]) -> None:
    """Write the night, a file each half second."""
    names = set()
    for step in steps:
        step()
        if step.path.exists():
            os.utime(step.path, ns=(step.at_us * 1000, step.at_us * 1000))
        if step.path not in names:
            names.add(step.path)
            time.sleep(0.5)


def _kills(wanted: int) -> int:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    moments = random.Random(seed)
    bad = kills = nights = 0
    with tempfile.TemporaryDirectory(prefix="vampd-live-") as folder:
        calm, _ = carried(Path(folder) / "calm", live=False, moments=None)
        assert calm.status() == "safe", calm.folder
        while kills < wanted:
            nights += 1
            site, struck = carried(Path(folder) / str(nights), live=True, moments=moments)
            kills += struck
            same = products(site) == products(calm)
            status = site.status()
            bad += not (same and status == "safe")
            print(f"night {nights}: {struck} kills, {status}, {_told(site)}, {same}", flush=True)
    print(f"{nights} nights, {kills} kills, {bad} nights wrong")
    return 1 if bad else 0


def _told(site: DaemonSite) -> str:
    with reading(site.state) as ledger:
        row = ledger.execute("select kept, anew, late from live").fetchone()
    return "not live" if row is None else f"kept {row[0]}, anew {row[1]}, late {row[2]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
