"""From raw cubes to where a night belongs: a real vampd delivers to a real receiver."""

from __future__ import annotations

from pathlib import Path

from tests.daemon_site import add_night, make_site
from tests.receive.world import World, make_world, wait_until
from tests.support import digests_of_tree


def test_a_night_that_vampd_delivers_is_received_and_safe_where_it_was_moved(
    tmp_path: Path,
) -> None:
    site = make_site(tmp_path / "here")
    (tmp_path / "there").mkdir()
    world = make_world(tmp_path / "there", settle=0.2)
    _deliver_to(site.config, world)
    add_night(site)

    with world.running(), site.running():
        wait_until(lambda: "ledger.sqlite3" in {path.name for path in site.state.iterdir()})
        wait_until(lambda: site.call("status", "--json").returncode == 0)
        wait_until(lambda: bool(site.json("status")["nights"]))
        wait_until(lambda: site.status() == "safe", seconds=90)

    placed = world.placed()
    assert {path for path in placed if path.startswith("vgen2/")} == {
        f"vgen2/{path}" for path in digests_of_tree(site.night() / "vgen2")
    }
    assert placed == {
        path: each for path, each in digests_of_tree(site.night()).items() if path in placed
    }
    assert world.left() == []


def _deliver_to(config: Path, world: World) -> None:
    """Let the sender of *config* deliver into the world's inbox, and verify where it moves on to."""
    text = config.read_text()
    archive = f'[delivery.archive]\ndestination = "{world.inbox().parent}"\nlist_digests = true\n'
    archive += f'verify_at = "{world.to}/{{night}}/ARCHIVED"\n'
    before, rest = text.split("[delivery.archive]", 1)
    after = rest[rest.index("[delivery.engineering]") :]
    config.write_text(before + archive + after)
