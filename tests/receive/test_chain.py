"""From raw cubes to where a night belongs: a real vampd delivers to a real receiver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon_site import DATE, DaemonSite, Settings, make_site
from tests.support.far_side import HELPER
from tests.support.receive_world import World, make_world
from tests.support.sshd import running_sshd
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import both, polarimetry


@pytest.fixture(params=["here", pytest.param("ssh", marks=pytest.mark.campaign)])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[DaemonSite, World]]:
    """A sender and a receiver: on one machine, or behind sshd and a key for vampd-remote alone."""
    (tmp_path / "there").mkdir()
    world = make_world(tmp_path / "there")
    if request.param == "here":
        site = make_site(tmp_path / "here")
        deliver_to(site.config, world)
        yield site, world
        return
    with running_sshd(tmp_path / "sshd") as sshd:
        sshd.force(f"{HELPER} {world.inbox().parent} {world.to}")
        site = make_site(
            tmp_path / "here", Settings(host=f"{sshd.host}:", ssh_options=sshd.options)
        )
        deliver_to(site.config, world, f"{sshd.host}:", 'far_helper = "vampd-remote"\n')
        yield site, world


def test_a_night_that_vampd_delivers_is_received_and_safe_where_it_was_moved(
    chain: tuple[DaemonSite, World],
) -> None:
    site, world = chain
    SimulatedNight((polarimetry("states", 40, cube_frames=both(40)),), date=DATE).write(site.root())

    with world.running(), site.running():
        wait_until(lambda: re.search(r"vampd \S+ began", site.log()) is not None, site.log)
        wait_until(lambda: bool(site.json("status")["nights"]), site.log)
        wait_until(lambda: site.status() == "safe", site.log)

    here, placed = digests_of_tree(site.night()), world.placed()
    assert {f"vgen2/{path}" for path in digests_of_tree(site.night() / "vgen2")} < set(placed)
    assert placed == {path: here[path] for path in placed}
    assert world.left() == []
    assert world.call("check").returncode == 2  # it was stopped, and nothing else is to be told
    assert [each["name"] for each in world.json("status")["conditions"]] == ["silent"]


def deliver_to(config: Path, world: World, host: str = "", more: str = "") -> None:
    """Let the sender of *config* deliver into the world's inbox, and verify where it moves on."""
    delivery = (
        f'[delivery.archive]\ndestination = "{host}{world.inbox().parent}"\nlist_digests = true\n'
        f'verify_at = "{world.to}/{{night}}/ARCHIVED"\n{more}\n'
    )
    pattern = re.compile(r"\[delivery\.archive\]\n.*?(?=\[)", re.DOTALL)
    config.write_text(pattern.sub(lambda _: delivery, config.read_text()))
