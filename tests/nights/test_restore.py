"""Restoring forgets derived files, keeps raw ones and frame IDs, and can be done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon_site import DaemonSite, add_night, make_site, products, raw_digests
from tests.support.trees import digests_of_tree, identities_of_tree
from tests.support.waiting import wait_until

_CAMERAS = ("vcam1", "vcam2")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    """A site with a safe archive night; every test leaves it safe."""
    site = make_site(tmp_path_factory.mktemp("restore"))
    add_night(site, "small")
    site.run()
    assert site.status() == "safe"
    return site


def _carry_on(site: DaemonSite) -> None:
    released = site.call("release", "last")
    assert released.returncode == 0, released.stderr
    site.run()
    assert site.status() == "safe"


def test_a_safe_night_is_restored_by_force_only(site: DaemonSite) -> None:
    before = products(site)

    refused = site.call("restore", "last")

    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert site.status() == "safe"
    assert products(site) == before


def test_a_dry_run_says_all_and_does_nothing(site: DaemonSite) -> None:
    before = products(site)

    done = site.call("restore", "last", "--force", "--dry-run")

    assert done.returncode == 0
    assert site.status() == "safe"
    assert products(site) == before


def test_a_restored_night_is_made_again_with_the_same_ids(site: DaemonSite) -> None:
    before, raw = products(site), raw_digests(site)
    identities = [identities_of_tree(site.night() / camera) for camera in _CAMERAS]
    far = digests_of_tree(site.far() / "vgen2")

    restored = site.call("restore", "last", "--force", "--prove", "-y")
    held, left = site.status(), products(site)
    far_meanwhile = digests_of_tree(site.far() / "vgen2")
    _carry_on(site)

    assert restored.returncode == 0, restored.stderr
    assert held == "held"
    assert left == {}
    assert far_meanwhile == far
    assert products(site) == before
    assert raw_digests(site) == raw
    assert [identities_of_tree(site.night() / camera) for camera in _CAMERAS] == identities


def test_to_restore_twice_changes_nothing_more(site: DaemonSite) -> None:
    before = products(site)

    first = site.call("restore", "last", "--force", "-y")
    tree = identities_of_tree(site.night())
    second = site.call("restore", "last", "--force", "-y")
    again = identities_of_tree(site.night())
    _carry_on(site)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "already" in second.stdout
    for journal in (tree, again):
        journal.pop(".vampd/journal.jsonl", None)
    assert again == tree
    assert products(site) == before


def test_to_restore_a_virgin_night_changes_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    # The night is not over before tomorrow, so it stays virgin, whenever this runs.
    text = site.config.read_text().replace("quiet_minutes = 0.0", "quiet_minutes = 1440.0")
    site.config.write_text(text)
    add_night(site, "small")
    with site.running() as daemon:
        wait_until(lambda: '"collecting"' in site.call("status", "--json").stdout, site.log)
        assert daemon.poll() is None, site.log()
    before, raw = site.status(), raw_digests(site)

    done = site.call("restore", "last")

    assert before == "collecting"
    assert done.returncode == 0, done.stderr
    assert site.status() == before
    assert raw_digests(site) == raw
    assert not (site.night() / "vgen2").exists()
