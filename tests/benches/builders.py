"""Measure what builders on other hosts bring and cost: `./dev bench builders`.

Builds a simulated night by one and two processes of this machine, and by one and two builders that
are hosts by name alone: they share this machine's processors. Prints how long building took from
its first task to its last, and how long one piece of next to no work takes, here and by a builder:
their difference is the overhead of a task.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path

from tests.campaigns.builders import begin_daemon
from tests.schedule import worker_bodies as bodies
from tests.support.daemon_site import DaemonSite, Settings, add_night, make_site
from tests.support.dask_cluster import dask_cluster, why_no_hosts
from tests.support.waiting import wait_until
from vampd.builders.executor import Builders
from vampd.io.clock import SystemClock
from vampd.schedule.executor import Executor
from vampd.schedule.workers import Workers
from vampd.settings.load import load

_HOSTS = ("hosta", "hostb")
_DEADLINE_SECONDS = 900.0


def main() -> int:
    """Print a line for each way of building, and two for the overhead."""
    parser = argparse.ArgumentParser(prog="./dev bench builders")
    parser.add_argument("--pieces", type=int, default=50, help="of next to no work")
    parser.add_argument("--night", default="simulated", help="or small")
    arguments = parser.parse_args()
    if why := why_no_hosts():
        print(f"no hosts can be made here: {why}")
        return 1
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vampd-bench-") as name:
        folder = Path(name)
        for number in (1, 2):
            settings = Settings(processes=number)
            _tell(f"{number} here", _site(folder / f"here-{number}", settings, arguments.night))
        for hosts in (_HOSTS[:1], _HOSTS):
            with dask_cluster(folder / f"dask-{len(hosts)}", hosts) as cluster:
                settings = Settings(scheduler=cluster.address)
                site = _site(folder / f"builders-{len(hosts)}", settings, arguments.night)
                _tell(f"{len(hosts)} builders", site)
                if len(hosts) == 1:
                    _tell_overhead(site, arguments.pieces)
    return 0


def _site(folder: Path, settings: Settings, night: str) -> DaemonSite:
    site = make_site(folder, settings)
    add_night(site, night)
    return site


def _tell(what: str, site: DaemonSite) -> None:
    begun = time.monotonic()
    begin_daemon(site).wait(_DEADLINE_SECONDS)
    whole = time.monotonic() - begun
    assert site.status() == "safe", site.folder
    with closing(sqlite3.connect(site.state / "ledger.sqlite3")) as ledger:
        tasks, seconds, sum_seconds = ledger.execute(
            "select count(*), (max(finished_us) - min(started_us)) / 1e6,"
            " sum(finished_us - started_us) / 1e6 from task where stage = 'build'"
        ).fetchone()
    print(
        f"{what}: {tasks} tasks built in {seconds:.2f} s ({sum_seconds / tasks:.3f} s a task),"
        f" the whole night in {whole:.1f} s; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _tell_overhead(site: DaemonSite, pieces: int) -> None:
    config, clock = load(site.config), SystemClock()
    local = Workers(nice=0)
    for_builders: frozenset[Callable[..., object]] = frozenset({bodies.double})
    executor = Builders(lambda: config, clock, local, for_builders=for_builders)

    def is_there() -> bool:
        executor.finished()
        return executor.away is None

    try:
        wait_until(is_there)
        for what, each in (("here", local), ("by a builder", executor)):
            _one(each, 0)
            begun = time.monotonic()
            for number in range(pieces):
                _one(each, number)
            seconds = (time.monotonic() - begun) / pieces
            print(f"a piece {what}: {seconds * 1000:.1f} ms", flush=True)
    finally:
        executor.stop()


def _one(executor: Executor, number: int) -> None:
    executor.submit(bodies.double, number)
    while not executor.finished():
        wait(executor.pipes(), timeout=1)


if __name__ == "__main__":
    sys.exit(main())
