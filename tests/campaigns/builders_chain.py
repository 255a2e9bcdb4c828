"""`python -m tests.campaigns.builders_chain`: a night from raw to reduced, over five hosts.

Near: the daemon and Dask's scheduler. Two builders, each in a network namespace at the end of a
cable of its own, with a host's name of its own. Far: sshd, an inbox and the place where nights
belong on a disk of its own, a receiver, and a real Slurm that does its steps. Cables are cut and
processes killed on the way; what is there in the end is counted from the bytes themselves.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from tests.campaigns.builders import differences, left_over, mend, site_of
from tests.campaigns.delivery_hosts import (
    FarHost,
    far_host,
    in_own_world,
    inside,
    namespace,
    sh,
)
from tests.support.daemon_site import DATE, DaemonSite, Settings, add_night, give_times, make_site
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.far_side import HELPER
from tests.support.receive_world import World, make_world
from tests.support.slurm import Slurm, running_slurm
from tests.support.trees import digests_of_tree

_SECONDS = 900.0
_CUT_SECONDS = 45.0  # Dask takes a peer for dead after 30 s of silence
_STEP = """\
import json, pathlib, sys, time
with open("began", "a") as file: print(len(sys.argv) - 1, file=file)
time.sleep(3)
print(json.dumps({"files": len(sys.argv) - 1}))
"""


class Story(Struct, kw_only=True):
    """What was done to it, and when."""

    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        line = f"{time.monotonic() - self.begun:6.1f} s  {text}"
        self.lines.append(line)
        print(line, flush=True)


def main() -> int:
    """Carry one night all the way; 0 when all of it is there, and right."""
    why_not = in_own_world(["tests.campaigns.builders_chain"])
    if why_not is not None:
        print(f"no hosts can be made here: {why_not}")
        return 1
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory(prefix="vampd-chain-") as name:
        folder = Path(name)
        calm = site_of(folder / "calm", "")
        calm.run()
        with (
            far_host(folder / "far-one", 1, helper=False) as far,
            running_slurm(folder / "slurm") as slurm,
            _cluster(folder / "dask") as cluster,
        ):
            os.environ["SLURM_CONF"] = str(slurm.conf)
            world = _world(far.disk, folder)
            far.sshd.force(f"{HELPER} {world.inbox().parent} {world.to}")
            site = _site(folder / "near", cluster, far.host, far.sshd.options, world)
            _carry(site, world, far, slurm, cluster)
            return _count(site, world, slurm, calm)


def _carry(
    site: DaemonSite, world: World, far: FarHost, slurm: Slurm, cluster: DaskCluster
) -> None:
    story, over = Story(), threading.Event()
    mending = threading.Thread(target=_keep_alive, args=(cluster, over, story))
    mending.start()
    try:
        with world.running() as receiver, site.running():
            _disturb(site, world, far, slurm, cluster, story)
            _until(lambda: receiver.poll() is None, "the receiver runs")
            _until(lambda: site.status() == "safe", "safe", site.log)
            story.tell("the night is safe where it was moved on")
            _until(
                lambda: _steps(world) == {"sort": "done", "reduce": "done"}, "reduced", world.log
            )
            story.tell("both steps are done on Slurm")
    finally:
        over.set()
        mending.join()


def _disturb(
    site: DaemonSite, world: World, far: FarHost, slurm: Slurm, cluster: DaskCluster, story: Story
) -> None:
    """Cut and kill, one after the other, each while something is under way."""
    _until(lambda: left_over(site), "building began", site.log)
    sh(shlex.join([*cluster.inside["hosta"], "ip", "link", "set", "cable", "down"]))
    story.tell("hosta is cut off while it builds")
    cluster.kill_builder("hostb")
    story.tell("hostb is killed while it builds")
    cut = time.monotonic()
    _until(lambda: len(_built(site)) >= 2, "some are built", site.log)
    cluster.kill_scheduler()
    story.tell(f"the scheduler is killed, {len(_built(site))} files are built")
    _until(lambda: "manifest of the night done" in site.log(), "all are built", site.log)
    far.cut()
    story.tell("the far host is cut off while it receives")
    time.sleep(5)
    far.join()
    story.tell("the far host is joined again")
    _until((world.folder / "work" / DATE / "sort" / "began").exists, "a step began")
    slurm.call("scancel", "--me")
    story.tell("Slurm takes the step's job back")
    time.sleep(max(0.0, cut + _CUT_SECONDS - time.monotonic()))
    sh(shlex.join([*cluster.inside["hosta"], "ip", "link", "set", "cable", "up"]))
    story.tell("hosta is joined again")


def _count(site: DaemonSite, world: World, slurm: Slurm, calm: DaemonSite) -> int:
    """Print what is there, counted from bytes; 0: all is right."""
    here, placed = digests_of_tree(site.night()), digests_of_tree(world.place())
    ours = {path: digest for path, digest in placed.items() if path in here}
    wrong = [path for path, digest in ours.items() if here[path] != digest]
    outputs = [path for path in placed if path.startswith("vgen2/")]
    missing = [f"vgen2/{path}" for path in _built(site) if f"vgen2/{path}" not in placed]
    began = (world.folder / "work" / DATE / "sort" / "began").read_text().split()
    told = {step["step"]: step for step in world.json("show", DATE)["steps"]}
    log = site.log()
    print(f"attempts that a builder's loss cost: {len(re.findall('was lost: ', log)) // 2}")
    print(f"differs from the night built here, undisturbed: {differences(site, calm)}")
    print(f"left in scratch: {left_over(site)}; left in the inbox: {world.left()}")
    print(f"{len(outputs)} files of vgen2 placed, {len(missing)} missing, {len(wrong)} wrong")
    print(f"step sort began {len(began)} times, of {began[-1]} files; steps: {json.dumps(told)}")
    print(f"jobs that Slurm still has: {slurm.call('squeue', '--noheader')!r}")
    bad = [*differences(site, calm), *left_over(site), *world.left(), *wrong, *missing]
    return 1 if bad or not outputs else 0


def _built(site: DaemonSite) -> list[str]:
    folder = site.night() / "vgen2"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def _steps(world: World) -> dict[str, str]:
    done = world.call("show", DATE, "--json")
    if done.returncode:
        return {}
    return {step["step"]: step["state"] for step in json.loads(done.stdout)["steps"]}


def _until(is_so: Callable[[], object], what: str, told: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {_SECONDS:g} s: {what}\n{told()[-4000:]}"
        time.sleep(0.2)


def _keep_alive(cluster: DaskCluster, over: threading.Event, story: Story) -> None:
    while not over.wait(0.5):
        ended = [host for host, each in cluster.builders.items() if each.poll() is not None]
        mend(cluster)
        for host in ended:
            story.tell(f"builder {host} had ended, and is begun again")


@contextmanager
def _cluster(folder: Path) -> Iterator[DaskCluster]:
    """Two builders, each at the end of a cable of its own."""
    holders = {host: namespace(number) for number, host in ((2, "hosta"), (3, "hostb"))}
    try:
        with dask_cluster(folder, host="0.0.0.0") as cluster:
            for number, host in ((2, "hosta"), (3, "hostb")):
                cluster.inside[host] = inside(holders[host])
                cluster.address_of[host] = f"tcp://10.77.{number}.1:{cluster.port}"
                cluster.begin_builder(host)
            yield cluster
    finally:
        for holder in holders.values():
            holder.kill()
            holder.wait()


def _world(disk: Path, folder: Path) -> World:
    (folder / "step.py").write_text(_STEP)
    work = f"{disk}/there/work/{{night}}"
    step = f'executor = "slurm"\ncommand = ["{sys.executable}", "{folder}/step.py", "{{files}}"]\n'
    more = (
        f'[[step]]\nname = "sort"\n{step}folder = "{work}/sort"\n'
        f'[[step]]\nname = "reduce"\n{step}folder = "{work}/reduce"\n'
        "[reduce]\nquiet_minutes = 0\nkeep_free_gb = 0\n"
    )
    (disk / "there" / "work").mkdir(parents=True)
    return make_world(disk / "there", more=more)


def _site(
    folder: Path, cluster: DaskCluster, host: str, options: list[str], world: World
) -> DaemonSite:
    settings = Settings(host=f"{host}:", ssh_options=options, scheduler=cluster.address)
    site = make_site(folder, settings)
    delivery = (
        f'[delivery.archive]\ndestination = "{host}:{world.inbox().parent}"\nlist_digests = true\n'
        f'verify_at = "{world.to}/{{night}}/ARCHIVED"\nfar_helper = "vampd-remote"\n'
    )
    pattern = re.compile(r"\[delivery\.archive\]\n.*?(?=\[)", re.DOTALL)
    site.config.write_text(pattern.sub(lambda _: delivery, site.config.read_text()))
    add_night(site, "small")
    give_times(site.night())
    return site


if __name__ == "__main__":
    sys.exit(main())
