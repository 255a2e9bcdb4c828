"""Raw files are known by their bytes: put back, or copied with their disk, they are the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.daemon_site import DATE, DaemonSite, add_night, make_site, products
from tests.support import digests_of_tree


@pytest.fixture
def site(tmp_path: Path) -> DaemonSite:
    """A site with a simulated archive night."""
    made = make_site(tmp_path)
    add_night(made)
    return made


def copied(folder: Path) -> None:
    """Replace *folder* by a copy of it: other inodes, the same times, and the marker too."""
    copy = folder.with_name(f"{folder.name}.new")
    subprocess.run(["cp", "-a", str(folder), str(copy)], check=True)
    shutil.rmtree(folder)
    copy.rename(folder)


def test_a_copied_disk_leaves_a_safe_night_safe_and_its_files_known(site: DaemonSite) -> None:
    site.run()
    before, far = products(site), digests_of_tree(site.far())

    copied(site.root())
    site.run()

    assert site.status() == "safe"
    assert products(site) == before
    assert digests_of_tree(site.far()) == far
    assert site.json("show", DATE)["nights"][0]["batches"] == 1
    settled = [
        event
        for event in site.json("log", DATE)["events"]
        if event["subject"] == "stray" and event["became"] == "settled"
    ]
    raw = [path for path in digests_of_tree(site.night()) if path.startswith("vcam")]
    assert {event["about"] for event in settled} <= set(raw)
    assert {event["why"] for event in settled} == {
        "the recorded bytes, under another inode or time"
    }
    done = site.call("restore", DATE, "--force", "-y")
    assert done.returncode == 0, done.stderr


def test_a_copied_disk_lets_a_night_at_work_go_on(site: DaemonSite) -> None:
    far = site.far().parent
    far.rename(far.with_name("away"))
    site.run(status=1)

    copied(site.root())
    far.with_name("away").rename(far)
    site.run(status=1)
    assert site.call("retry", DATE).returncode == 0
    site.run()

    assert site.status() == "safe"


def test_a_cube_that_is_put_back_from_a_copy_lets_its_night_go_on(site: DaemonSite) -> None:
    far = site.far().parent
    far.rename(far.with_name("away"))
    site.run(status=1)
    cube = next(iter(sorted((site.night() / "vcam1").glob("*.fits"))))
    shutil.copy2(cube, site.folder / "aside")
    cube.unlink()
    site.run(status=1)
    held = site.json("status")["nights"][0]["rule"]

    far.with_name("away").rename(far)
    shutil.copy2(site.folder / "aside", cube)
    done = site.call("retry", DATE)
    site.run()

    assert held == "hold: raw gone"
    assert done.returncode == 0, done.stderr
    assert site.status() == "safe"
    assert site.call("audit", DATE).returncode == 0
