"""Raw files are known by their bytes: put back, or copied with their disk, they are the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site, products
from tests.support.raw_cubes import write_raw_cube
from tests.support.trees import digests_of_tree


@pytest.fixture
def site(tmp_path: Path) -> DaemonSite:
    """A site with a simulated archive night."""
    made = make_site(tmp_path)
    add_night(made, "small")
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
    assert site.call("data", "audit", DATE).returncode == 0


def spoil(path: Path) -> None:
    """Change a byte, and neither size nor place."""
    content = bytearray(path.read_bytes())
    content[-2881] ^= 1
    path.write_bytes(content)


def held_for(site: DaemonSite, cube: Path) -> None:
    """A night of which all outputs are built, and nothing is sent, held for *cube*."""
    far = site.far().parent
    far.rename(far.with_name("away"))
    site.run(status=1)
    spoil(cube)
    site.run(status=1)
    assert site.json("status")["nights"][0]["rule"] == "hold: raw changed"
    far.with_name("away").rename(far)


def frame_ids(site: DaemonSite) -> dict[str, str]:
    """The outputs' names by their frame IDs."""
    changes = (site.night() / "vgen2" / "name_changes.txt").read_text()
    pairs = (line.split("\t") for line in changes.splitlines())
    return {number: name for name, number in pairs}


def give_up(site: DaemonSite, cube: Path) -> None:
    path = str(cube.relative_to(site.night()))
    done = site.call("quarantine", DATE, path, "--give-up", "--why", "bit rot")
    assert done.returncode == 0, done.stderr


def test_a_night_goes_on_without_a_file_that_was_given_up(site: DaemonSite) -> None:
    cube = sorted((site.night() / "vcam1").glob("*.fits"))[2]
    held_for(site, cube)
    numbers, built = frame_ids(site), digests_of_tree(site.night() / "vgen2")

    give_up(site, cube)
    site.run()

    left, made = frame_ids(site), digests_of_tree(site.night() / "vgen2")
    gone, new = set(numbers) - set(left), set(left) - set(numbers)
    aside = digests_of_tree(site.night() / ".vampd" / "given_up")
    assert site.status() == "safe"
    assert gone
    assert len(gone) < len(numbers) / 2
    assert min(new, default="VMPA99999999.fits") > max(numbers)
    for number in set(numbers) & set(left):
        assert left[number] == numbers[number]
        assert made[f"{number}.fz"] == built[f"{number}.fz"]
    for number in gone:
        assert f"{number}.fz" not in made
        assert aside[f"{number}.fz"] == built[f"{number}.fz"]
    assert site.call("data", "audit", DATE, "--digests").returncode == 0
    assert site.call("archive", "ids", "audit", DATE).returncode == 0
    account = site.json("data", "audit", DATE)["nights"][0]
    assert account["frames"] == account["in_outputs"] + account["rejected"]
    assert any("given up by" in reason and "bit rot" in reason for reason in account["reasons"])
    manifest = (site.far() / f"manifest_VMP_{DATE}.csv").read_text()
    assert {line.partition("|")[0] for line in manifest.splitlines()} == {
        number.removesuffix(".fits") for number in left
    }
    assert site.json("show", DATE)["nights"][0]["hold"] is None


def test_copies_of_what_was_given_up_stay_at_the_far_end_and_are_told(site: DaemonSite) -> None:
    destination = f'destination = "{site.far().parent}"'
    settings = site.config.read_text()
    moved = f'{destination}\nverify_at = "{site.folder}/moved/{{night}}"'
    (site.folder / "moved").mkdir()
    site.config.write_text(settings.replace(destination, moved))
    site.run()
    cube = sorted((site.night() / "vcam1").glob("*.fits"))[2]
    spoil(cube)
    site.run(status=1)
    numbers = frame_ids(site)

    give_up(site, cube)
    site.config.write_text(settings)
    site.run()

    gone = set(numbers) - set(frame_ids(site))
    reports = site.json("show", DATE)["nights"][0]["reports"]
    told = {report["text"].partition(" ")[0] for report in reports}
    assert site.status() == "safe"
    for number in gone:
        assert (site.far() / "vgen2" / f"{number}.fz").exists()
        assert f"vgen2/{number}.fz" in told


def test_a_night_of_which_every_cube_was_given_up_is_empty(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    cube = write_raw_cube(site.night(), [np.full((4, 6), 7, np.uint16)] * 5)
    held_for(site, cube)

    give_up(site, cube)
    site.run()

    assert site.status() == "empty"
    assert sorted(digests_of_tree(site.night() / "vgen2")) == []
    assert site.call("data", "audit", DATE).returncode == 0
