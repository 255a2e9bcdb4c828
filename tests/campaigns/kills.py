"""`python -m tests.campaigns.kills N`: kill -9 at random moments; the night must come out the same.

Each of N nights is carried by daemons that are killed, or lose one of their workers, in
turn, until one gets through. What comes out is compared with an undisturbed night.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.support.daemon_site import (
    DaemonSite,
    add_night,
    give_times,
    make_site,
    products,
    raw_digests,
    sidecar,
)

_LONGEST_LIFE_SECONDS = 3.0
_KILLS_A_NIGHT = 8
_DEADLINE_SECONDS = 120.0


def main(nights: int) -> int:
    """Carry *nights* nights under fire; return 0 when all came out as undisturbed."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    moments = random.Random(seed)
    bad = kills = 0
    with tempfile.TemporaryDirectory(prefix="vampd-kills-") as folder:
        calm = _site(Path(folder) / "calm")
        calm.run()
        assert calm.status() == "safe", calm.folder
        for number in range(nights):
            site = _site(Path(folder) / str(number))
            struck = _carry_under_fire(site, moments)
            differing = _differing(site, calm)
            same = not differing
            safe = site.status() == "safe"
            kills += struck
            bad += not (same and safe)
            print(f"night {number + 1}: {struck} kills, safe {safe}, identical {same}", flush=True)
            if differing:
                print(f"  {len(differing)} files differ, {differing[0]} first")
    print(f"{nights} nights, {kills} kills, {bad} nights wrong")
    return 1 if bad else 0


def _differing(site: DaemonSite, calm: DaemonSite) -> list[str]:
    """Names of files that are not the same on both sides, raw or made."""
    here, there = (products(one) | raw_digests(one) | sidecar(one) for one in (site, calm))
    names = sorted(here.keys() | there.keys())
    return [name for name in names if here.get(name) != there.get(name)]


def _site(folder: Path) -> DaemonSite:
    site = make_site(folder)
    add_night(site)
    give_times(site.night())
    return site


def _carry_under_fire(site: DaemonSite, moments: random.Random) -> int:
    """Kill until a daemon gets through; at most so often that it ends. Return the kills."""
    kills = 0
    while True:
        with (site.folder / "daemon.log").open("ab") as log:
            daemon = subprocess.Popen(
                site.words("admin", "run", "--until-idle"), stdout=log, stderr=log
            )
        try:
            if kills < _KILLS_A_NIGHT:
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(timeout=moments.uniform(0.1, _LONGEST_LIFE_SECONDS))
                kills += _strike(daemon, worker=kills % 2 == 1)
            daemon.wait(timeout=_DEADLINE_SECONDS)
        finally:
            daemon.kill()
            daemon.wait()
        if daemon.returncode != -signal.SIGKILL:
            return kills


def _strike(daemon: subprocess.Popen[bytes], *, worker: bool) -> int:
    """Kill the daemon, or one of its workers where there is one; return how many were killed."""
    if daemon.poll() is not None:
        return 0
    victims = _workers(daemon.pid) if worker else []
    with suppress(ProcessLookupError):
        os.kill(victims[0] if victims else daemon.pid, signal.SIGKILL)
        time.sleep(0.05)
        return 1
    return 0


def _workers(daemon: int) -> list[int]:
    """Process numbers of the fork server's children."""
    return [worker for child in _children(daemon) for worker in _children(child)]


def _children(process: int) -> list[int]:
    with suppress(OSError):
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    return []


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
