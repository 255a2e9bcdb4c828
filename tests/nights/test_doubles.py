"""Copies and altered copies of cubes in a night, from the folder to the far end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support.daemon_site import DATE, DaemonSite, make_site, products, raw_digests
from tests.support.trees import digests_of_tree
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import Scene, both

FRAMES = 20


def scene(name: str, **more: Any) -> Scene:
    return Scene(name=name, triggers=FRAMES, cube_frames=both(FRAMES), **more)


def copy(site: DaemonSite, cube: str, name: str) -> str:
    """Copy a cube and its timing file to another name; return the path of the copy."""
    for ending in ("fits", "txt"):
        source = site.night() / cube.replace("fits", ending)
        shutil.copy2(source, site.night() / f"{name}.{ending}")
    return f"{name}.fits"


def alter(path: Path, place: int, now: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + len(now)] = now
    path.write_bytes(content)


def flip(path: Path) -> None:
    """Change one bit of one pixel."""
    middle = path.stat().st_size - 3 * 2880
    alter(path, middle, bytes([path.read_bytes()[middle] ^ 1]))


class Doubled(Struct, frozen=True, kw_only=True):
    """A site whose night holds copies, one of which came late."""

    site: DaemonSite
    cubes: dict[str, str]  #: by what they are
    first: dict[str, str]  #: what came out of the night before the last copy came

    def reason(self, name: str) -> str:
        """Why a cube is quarantined; empty if it is not."""
        [night] = self.site.json("quarantine", "last")["nights"]
        reasons = {file["path"]: file["reason"] for file in night["files"]}
        return str(reasons.get(self.cubes[name], ""))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Doubled:
    site = make_site(tmp_path_factory.mktemp("doubled"))
    scenes = [scene("good"), scene("doubtful", cards={"OBJECT": "HD 31233"})]
    truth = SimulatedNight(scenes, date=DATE).write(site.root())
    good1, good2, doubtful1, _ = [file.path for file in truth.files]
    cubes = {
        "good1": good1,
        "good2": good2,
        "doubtful1": doubtful1,
        "copy": copy(site, good1, "vcam1/vcam1_19:10:00.000000000"),
        "other header": copy(site, good1, "vcam1/vcam1_19:10:01.000000000"),
        "other pixels": copy(site, doubtful1, "vcam1/vcam1_19:10:02.000000000"),
        "no timing": copy(site, good1, "vcam1/vcam1_19:10:04.000000000"),
    }
    # As the copy would be called that somebody put into the other camera's folder.
    other_camera = site.night() / "vcam2" / "vcam2_19:10:03.000000000.fits"
    shutil.copy2(site.night() / good1, other_camera)
    shutil.copy2((site.night() / good1).with_suffix(".txt"), other_camera.with_suffix(".txt"))
    cubes["other camera"] = f"vcam2/{other_camera.name}"
    altered = site.night() / cubes["other header"]
    alter(altered, altered.read_bytes().index(b"OBJECT") + 78, b"x")
    flip(site.night() / cubes["other pixels"])
    (site.night() / cubes["no timing"]).with_suffix(".txt").unlink()
    site.run()
    first = products(site)

    cubes["late"] = copy(site, good2, "vcam2/vcam2_19:10:05.000000000")
    site.run()
    return Doubled(site=site, cubes=cubes, first=first)


def test_the_night_is_safe_and_all_its_frames_are_accounted_for(done: Doubled) -> None:
    [night] = done.site.json("data", "audit", "last")["nights"]

    assert done.site.status() == "safe"
    assert night["problems"] == []
    assert (night["frames"], night["in_outputs"], night["rejected"]) == (120, 60, 60)
    assert night["reasons"] == {
        f"duplicate of {done.cubes['good1']}": 40,
        f"duplicate of {done.cubes['good2']}": 20,
    }


def test_what_was_copied_is_synchronised_and_delivered_once(done: Doubled) -> None:
    changes = (done.site.night() / "vgen2" / "name_changes.txt").read_text()

    kinds = [name.partition("_")[0] for name in changes.splitlines()]
    assert kinds == ["vsync", "vsync", "vcam2"]
    assert len(list((done.site.far() / "vgen2").glob("*.fits.fz"))) == 3


def test_cubes_of_the_same_times_with_other_pixels_are_both_quarantined(done: Doubled) -> None:
    names = ("doubtful1", "other pixels")

    for name in names:
        assert all(done.cubes[each] in done.reason(name) for each in names)
        assert "with other pixels: nobody can tell which is right" in done.reason(name)


def test_a_cube_in_the_folder_of_the_other_camera_is_quarantined(done: Doubled) -> None:
    assert done.reason("other camera") == (
        "DETECTOR is 'VCAM1 - OrcaQ' and U_CAMERA is 1, but it lies in the folder of camera 2"
    )


def test_a_copy_without_its_timing_file_is_quarantined(done: Doubled) -> None:
    assert done.reason("no timing") == "no timing file"
    assert done.reason("copy") == done.reason("other header") == ""


def test_a_late_copy_makes_no_output_and_no_list_and_changes_none(done: Doubled) -> None:
    assert products(done.site) == done.first
    assert not list(done.site.far().glob("manifest_*.2.csv"))


def test_every_raw_file_can_be_rebuilt_bit_for_bit(done: Doubled) -> None:
    before = raw_digests(done.site)
    target = done.site.folder / "rebuilt"

    rebuilt = done.site.call("data", "rebuild-raw", DATE, "--to", str(target))

    assert rebuilt.returncode == 0, rebuilt.stderr + rebuilt.stdout
    made = digests_of_tree(target)
    for name in ("copy", "other header", "other pixels", "late"):
        assert before[done.cubes[name]] in made.values()


@pytest.mark.parametrize(
    "words",
    [("status",), ("show", "last"), ("data", "summary", "last"), ("explain", "last"), ("check",)],
)
def test_every_view_tells_of_the_copies(done: Doubled, words: tuple[str, ...]) -> None:
    told = " ".join(done.site.call(*words).stdout.split())

    number = "3 cubes are" if "show" not in words else "1 cube is"
    assert f"{number} there twice, under two names" in told


def test_a_night_of_nothing_but_contradictions_is_empty(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    SimulatedNight([scene("only", cameras=(1,))], date=DATE).write(site.root())
    [cube] = (site.night() / "vcam1").glob("*.fits")
    other = site.night() / copy(site, f"vcam1/{cube.name}", "vcam1/vcam1_19:10:00.000000000")
    flip(other)

    site.run()

    assert site.status() == "empty"
    assert not (site.night() / "vgen2").exists()
    assert all(path.is_file() for path in (cube, other))
