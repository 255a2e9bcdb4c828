"""`python -m tests.campaigns.builders N`: builders of two hosts, the scheduler and the daemon are
killed at random moments; each of N nights must come out as one that was built here, undisturbed.

Whoever is killed is begun again at once, as systemd or Slurm do it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.daemon_site import (
    DATE,
    DaemonSite,
    Settings,
    add_night,
    give_times,
    make_site,
    products,
    raw_digests,
    sidecar,
)
from tests.support.dask_cluster import DaskCluster, dask_cluster, why_no_hosts
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES

HOSTS = ("hosta", "hostb")
_KILLS_A_NIGHT = 10
_LONGEST_SECONDS = 6.0
_DEADLINE_SECONDS = 300.0


def main(nights: int, source: str = "small") -> int:
    """Carry *nights* nights under fire; return 0 when all came out as undisturbed."""
    if why := why_no_hosts():
        print(f"no hosts can be made here: {why}")
        return 1
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    moments = random.Random(seed)
    bad, struck = 0, Counter[str]()
    with tempfile.TemporaryDirectory(prefix="vampd-builders-") as name:
        folder = Path(name)
        calm = site_of(folder / "calm", "", source)
        calm.run()
        assert calm.status() == "safe", calm.folder
        with dask_cluster(folder / "dask", HOSTS) as cluster:
            for number in range(nights):
                site = site_of(folder / str(number), cluster.address, source)
                begun = time.monotonic()
                kills = _carry_under_fire(site, cluster, moments)
                differing, status = differences(site, calm), site.status()
                left = left_over(site)
                struck += kills
                bad += bool(differing or left or status != "safe")
                seconds = time.monotonic() - begun
                print(
                    f"night {number + 1}: {dict(kills)}, {seconds:.0f} s, {status},"
                    f" {len(differing)} files differ, {len(left)} left in scratch",
                    flush=True,
                )
                if differing or left or status != "safe":
                    print(f"  {(differing + left)[:5]}\n{site.log()[-3000:]}", flush=True)
    print(f"{nights} nights, {struck.total()} kills ({dict(struck)}), {bad} nights wrong")
    return 1 if bad else 0


def site_of(folder: Path, scheduler: str, source: str = "small") -> DaemonSite:
    """A site with a night whose files have the same times wherever it is written."""
    site = make_site(folder, Settings(scheduler=scheduler))
    if source == "least":
        scene = REFERENCE_SCENES["pdi-drops-late"]
        SimulatedNight([scene], date=DATE, seed=1).write(site.root())
    else:
        add_night(site, source)
    give_times(site.night())
    return site


def differences(site: DaemonSite, calm: DaemonSite) -> list[str]:
    """Names of files that are not the same on both sides, raw or made."""
    here, there = (products(one) | raw_digests(one) | sidecar(one) for one in (site, calm))
    names = sorted(here.keys() | there.keys())
    return [name for name in names if here.get(name) != there.get(name)]


def left_over(site: DaemonSite) -> list[str]:
    """What lies in scratch."""
    scratch = site.night() / ".vampd" / "scratch"
    return [path.name for path in scratch.iterdir()] if scratch.exists() else []


def _carry_under_fire(
    site: DaemonSite, cluster: DaskCluster, moments: random.Random
) -> Counter[str]:
    """Kill, and begin again, until the night is through; what was killed how often."""
    kills = Counter[str]()
    daemon = begin_daemon(site)
    deadline = time.monotonic() + _DEADLINE_SECONDS
    try:
        while daemon.poll() is None:
            if kills.total() >= _KILLS_A_NIGHT:
                daemon.wait(timeout=_DEADLINE_SECONDS)
                break
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=moments.uniform(0.2, _LONGEST_SECONDS))
                break
            victim = moments.choice([*HOSTS, *HOSTS, "piece", "piece", "scheduler", "daemon"])
            if victim == "daemon":
                daemon.kill()
                daemon.wait()
                daemon = begin_daemon(site)
            elif not _strike(cluster, victim, moments):
                continue
            kills[victim] += 1
            mend(cluster)
            assert time.monotonic() < deadline, f"{site.folder}: {site.log()[-3000:]}"
    finally:
        daemon.kill()
        daemon.wait()
    return kills


def begin_daemon(site: DaemonSite) -> subprocess.Popen[bytes]:
    """A daemon that ends when all is done."""
    with (site.folder / "daemon.log").open("ab") as log:
        words = site.words("admin", "run", "--until-idle")
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _strike(cluster: DaskCluster, victim: str, moments: random.Random) -> bool:
    """Kill somebody; whether there was anybody."""
    if victim == "scheduler":
        cluster.kill_scheduler()
    elif victim == "piece":
        at_work = pieces(cluster)
        if not at_work:
            return False
        with suppress(ProcessLookupError):
            os.kill(moments.choice(at_work), signal.SIGKILL)
    else:
        cluster.kill_builder(victim)
    return True


def mend(cluster: DaskCluster) -> None:
    """Begin again whoever has ended: also builders that lost their scheduler end, by themselves."""
    if cluster.scheduler is not None and cluster.scheduler.poll() is not None:
        cluster.begin_scheduler()
    for host, process in list(cluster.builders.items()):
        if process.poll() is not None:
            cluster.begin_builder(host)


def pieces(cluster: DaskCluster) -> list[int]:
    """The helpers of builders, and all that they began."""
    parents = _parents()
    found = {process.pid for process in cluster.builders.values()}
    hosts = set(found)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - hosts)


def _parents() -> Mapping[int, int]:
    found: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                found[int(path.name)] = int(
                    (path / "stat").read_text().rpartition(") ")[2].split()[1]
                )
    return found


def keep_alive(cluster: DaskCluster, is_over: Callable[[], bool]) -> None:
    """Begin again whoever ends, as systemd does it, until *is_over*."""
    while not is_over():
        mend(cluster)
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
