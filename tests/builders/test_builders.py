"""Real builders, as hosts of their own names, with a real Dask between them and the daemon."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.campaigns.builders import begin_daemon, differences, keep_alive, left_over, site_of
from tests.support.daemon_site import DATE, DaemonSite
from tests.support.dask_cluster import DaskCluster, dask_cluster, why_no_hosts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())

_OLD = "import sys, vampd; vampd.__version__ = '0.0.1'; from dask.__main__ import main; main()"
_WAIT_SECONDS = 120.0


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    """The night as the daemon's own machine builds it."""
    site = site_of(tmp_path_factory.mktemp("calm"), "", "least")
    site.run()
    return site


def builders(site: DaemonSite) -> dict[str, tuple[str, str | None]]:
    """State of each builder by its host, and why it is refused."""
    found = site.json("status")["builders"] or {"builders": []}  # None before any was seen
    return {each["host"]: (each["state"], each["why"]) for each in found["builders"]}


def test_a_builder_and_the_daemon_die_and_the_night_is_the_same_as_built_here(
    tmp_path: Path, calm: DaemonSite
) -> None:
    with dask_cluster(tmp_path / "dask", ["hosta"]) as cluster:
        begin_an_old_builder(cluster, "hostb")
        site = site_of(tmp_path / "site", cluster.address, "least")
        with daemon_of(site):
            wait_until(lambda: "has joined" in site.log() and "is refused" in site.log(), site.log)
            wait_until(lambda: builders(site).get("hosta") == ("ready", None), site.log)
            wait_until(lambda: builders(site).get("hostb", ("", None))[0] == "refused", site.log)
            refused = "hostb is refused: it has vampd 0.0.1"
            assert refused in site.call("status").stdout
            assert "hostb" in site.call("admin", "doctor").stdout

            cluster.kill_builder("hostb")
            cluster.begin_builder("hostb")
            wait_until(lambda: is_building(site), site.log)
            cluster.kill_builder("hosta")
        over = threading.Event()
        mending = threading.Thread(target=keep_alive, args=(cluster, over.is_set))
        with daemon_of(site) as daemon:
            mending.start()
            try:
                daemon.wait(_WAIT_SECONDS)
            finally:
                over.set()
                mending.join()

        assert (site.status(), differences(site, calm), left_over(site)) == ("safe", [], [])


@contextmanager
def daemon_of(site: DaemonSite) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that is killed at the end, if it has not ended."""
    daemon = begin_daemon(site)
    try:
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


def begin_an_old_builder(cluster: DaskCluster, host: str) -> None:
    words = ["worker", cluster.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    cluster.begin_builder(host, program=[sys.executable, "-c", _OLD, *words])


def is_building(site: DaemonSite) -> bool:
    return bool(left_over(site))


def test_without_a_scheduler_a_night_waits_and_says_for_what(tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "dask") as cluster:
        cluster.kill_scheduler()
        site = site_of(tmp_path / "site", cluster.address, "least")
        with site.running():
            away = f"the scheduler {cluster.address} does not answer"
            wait_until(lambda: f"still collecting: {away}" in site.log(), site.log)
            assert away in str(site.json("status")["nights"])
            assert away in " ".join(site.call("explain", DATE).stdout.split())


def test_dask_is_not_loaded_unless_it_is_asked_for(calm: DaemonSite) -> None:
    code = "import sys, vampd.daemon; print([m for m in sys.modules if 'distributed' in m])"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
    assert calm.status() == "safe"
