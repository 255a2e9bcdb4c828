"""A night gives its space back, with the real daemon: what goes, what comes back, what stays."""

from __future__ import annotations

import pytest

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site, raw_digests
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until

#: Synchronised frames, a short cube with the liquid crystal, and a cube without its timing file.
_SCENES = {2, 9, 11}

_SETTINGS = """
[reclaim]
enabled = true
outputs_after_days = 0
raw_after_days = 0
trash_days = {trash_days}
every_hours = 0.0001
"""


def _set(site: DaemonSite, trash_days: float) -> None:
    text = site.config.read_text().split("[reclaim]")[0].rstrip()
    site.config.write_text(text + "\n" + _SETTINGS.format(trash_days=trash_days))


def _said(site: DaemonSite, *words: str) -> str:
    done = site.call(*words)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def _refusals(site: DaemonSite) -> dict[str, list[str]]:
    [night] = site.json("space", "reclaim", DATE, "--dry-run")["nights"]
    return {space["what"]: space["refusals"] for space in night["spaces"]}


def _raw_states(site: DaemonSite) -> set[str]:
    [night] = site.json("data", "files", DATE, "--all")["nights"]
    return {row["state"] for row in night["raw"] if row["role"] in {"cube", "timing"}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    """A small archive night, safe and proved to be rebuildable; nothing is given back yet."""
    site = make_site(tmp_path_factory.mktemp("reclaim"))
    for file in add_night(site).files:
        if file.scene not in _SCENES:
            for ending in (".fits", ".txt"):
                (site.night() / file.path).with_suffix(ending).unlink(missing_ok=True)
    site.run()
    assert site.status() == "safe"
    return site


def test_a_night_gives_its_space_back_when_all_holds(site: DaemonSite) -> None:
    raw, far, trash = raw_digests(site), digests_of_tree(site.far()), site.root() / ".vampd-trash"

    # Nothing goes by itself, nor by name, before the archive's word.
    refused = site.call("space", "reclaim", DATE, "-y")
    _said(site, "archive", "ack", DATE, "--force", "--why", "they wrote")
    _set(site, trash_days=1)
    with site.running():
        wait_until(
            lambda: not list((site.night() / "vgen2").glob("*.fz")), site.log, every_seconds=0.2
        )
        before = _refusals(site)["raw into the trash"]
        kept = raw_digests(site)

        # What is quarantined needs a word of its own.
        _said(
            site,
            "space",
            "reclaim",
            DATE,
            "--let-go-quarantined",
            "--why",
            "the timing file was lost",
        )
        wait_until(lambda: raw_digests(site) == {}, site.log, every_seconds=0.2)
        wait_until(lambda: _raw_states(site) == {"gone"}, site.log, every_seconds=0.2)
        lying = digests_of_tree(trash)

        # All comes back as it was, and stays while it is kept.
        _said(site, "space", "keep", DATE, "--why", "one more look")
        _said(site, "space", "undelete", DATE)
        back, status = raw_digests(site), site.status()
        restored = site.call("restore", DATE, "--force", "--dry-run")
        audit = site.call("data", "audit", DATE)

    assert refused.returncode == 1
    assert "the archive has not acknowledged it" in refused.stderr
    assert before == ["2 quarantined files are undecided"]
    assert kept == raw
    assert set(raw.values()) <= set(lying.values())
    assert (back, status) == (raw, "safe")
    assert _raw_states(site) == {"whole", "quarantined"}
    assert restored.returncode == 0, restored.stderr
    assert audit.returncode == 0, audit.stdout

    # In the end it goes for ever: the folders too, and nothing else.
    _set(site, trash_days=0)
    _said(site, "space", "keep", "--no", DATE)
    with site.running():
        wait_until(lambda: site.status() == "reclaimed", site.log, every_seconds=0.2)

    assert raw_digests(site) == {}
    assert digests_of_tree(trash) == {}
    assert sorted(path.name for path in site.night().iterdir()) == [
        ".vampd",
        f"manifest_VMP_{DATE}.csv",
    ]
    assert digests_of_tree(site.far()) == far
    refused = site.call("restore", DATE, "--force", "-y")
    assert refused.returncode == 1
    assert "their space was given back" in refused.stderr
    assert "gone for ever" in _said(site, "space", "undelete", DATE)
