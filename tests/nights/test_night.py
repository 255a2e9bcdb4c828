"""Whole nights go through the real daemon, to verified copies on the other side."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from tests.support.daemon_site import (
    DATE,
    FIRST_NUMBER,
    DaemonSite,
    Settings,
    add_night,
    make_site,
    products,
    raw_digests,
    small_night,
)
from tests.support.finished_nights import Carried, Frame, Output, raw_identities
from tests.support.frames import read_frames, triggers_seen_by_both, usable_frames
from tests.support.sshd import running_sshd
from tests.support.trees import digests_of_tree
from vampd.simulation.night import play

_STATES = {"A": -1, "B": 1}
_MOST_DUBIOUS = 0.02
#: The cameras' three minutes take two seconds, and their longest silence, 45 s, half of one.
_SPEED = 90.0
_QUIET_SECONDS = 3.0


def test_a_night_becomes_safe(carried: Carried) -> None:
    assert carried.site.status(carried.kind) == "safe"


def test_every_usable_frame_is_in_exactly_one_output(carried: Carried) -> None:
    found = Counter(frame for output in carried.outputs for frame in output.who)

    assert set(found) == usable_frames(carried.truth)
    assert set(found.values()) == {1}


def test_every_frame_keeps_its_pixels(carried: Carried) -> None:
    raw = {}
    for file in carried.truth.usable:
        stack = read_frames(carried.site.night(carried.kind) / file.path)
        for trigger, frame in zip(file.frames.tolist(), stack, strict=True):
            raw[file.camera, file.scene, trigger] = frame.tobytes()

    for output in carried.outputs:
        for frame, pixels in zip(output.who, output.frames, strict=True):
            assert pixels.tobytes() == raw[frame], (output.name, frame)


def test_every_common_exposure_is_synchronised(carried: Carried) -> None:
    found = {frame for output in carried.outputs if output.is_synchronised for frame in output.who}
    common = {
        (camera, scene.scene, trigger)
        for scene in carried.truth.scenes
        if scene.exttrig
        for trigger in triggers_seen_by_both(carried.truth, scene.scene).tolist()
        for camera in (1, 2)
    }

    assert common
    assert found == common


def test_both_cameras_of_a_synchronised_cube_hold_the_same_exposures(carried: Carried) -> None:
    exposures: dict[str, list[list[Frame]]] = defaultdict(list)
    for output in carried.outputs:
        if output.is_synchronised:
            key = re.sub(r"\.cam[12]", "", output.name)
            exposures[key].append([(0, *frame[1:]) for frame in output.who])

    assert all(len(pair) == 2 and pair[0] == pair[1] for pair in exposures.values())


def test_no_frame_has_the_wrong_state(carried: Carried) -> None:
    labelled = [output for output in carried.outputs if output.header["U_FLC"] in _STATES]

    assert labelled
    for output in labelled:
        wanted = _STATES[str(output.header["U_FLC"])]
        for _, scene, trigger in output.who:
            states = carried.truth.scene(scene).state
            assert states is not None
            assert states[trigger] == wanted, (output.name, scene, trigger)


def test_few_synchronised_frames_are_dubious(carried: Carried) -> None:
    counts: Counter[object] = Counter()
    for output in carried.outputs:
        if output.is_synchronised:
            counts[output.header["U_FLC"]] += len(output.frames)

    assert counts["A"] == counts["B"] > 0
    assert counts["D"] <= _MOST_DUBIOUS * (counts["A"] + counts["B"] + counts["D"])


def test_time_cards_of_a_cube_are_the_same_text_in_all_its_files(carried: Carried) -> None:
    cubes: dict[str, list[Output]] = defaultdict(list)
    for output in carried.outputs:
        assert output.header["U_SYNC"] is output.is_synchronised
        if output.is_synchronised:
            cubes[output.cube].append(output)

    assert cubes
    for files in cubes.values():
        assert {output.camera for output in files} == {1, 2}
        assert all(output.cards == files[0].cards for output in files)


def test_checksums_are_valid_in_both_units(carried: Carried) -> None:
    for output in carried.outputs:  # astropy warned of no wrong one, and a warning is an error
        with fits.open(output.path, disable_image_compression=True) as units:
            assert len(units) == 2
            assert all("CHECKSUM" in unit.header and "DATASUM" in unit.header for unit in units)


def test_cfitsio_reads_the_same_pixels(carried: Carried) -> None:
    for output in carried.outputs:
        np.testing.assert_array_equal(fitsio.read(str(output.path), ext=1), output.frames)


@pytest.mark.skipif(shutil.which("funpack") is None, reason="funpack is not installed")
def test_funpack_reads_the_same_pixels(carried: Carried, tmp_path: Path) -> None:
    for number, output in enumerate(carried.outputs[::20]):
        packed, unpacked = tmp_path / f"{number}.fits.fz", tmp_path / f"{number}.fits"
        shutil.copy(output.path, packed)
        subprocess.run(["funpack", "-O", unpacked, packed], check=True, timeout=30)
        np.testing.assert_array_equal(read_frames(unpacked), output.frames)


def test_frame_ids_are_sequential_and_chronological(both_kinds: dict[str, Carried]) -> None:
    outputs = both_kinds["archive"].outputs
    wanted = [f"VMPA{FIRST_NUMBER + place:08d}" for place in range(len(outputs))]
    order = [
        (output.header["MJD-STR"], not output.is_synchronised, output.camera, output.name)
        for output in outputs
    ]

    assert [output.path.name for output in outputs] == [
        f"{frame_id}.fits.fz" for frame_id in wanted
    ]
    assert [output.header["FRAMEID"] for output in outputs] == wanted
    assert [output.header["EXP-ID"] for output in outputs] == [
        frame_id.replace("VMPA", "VMPE") for frame_id in wanted
    ]
    assert order == sorted(order)


def test_vgen2_holds_outputs_with_their_timing_and_nothing_else(carried: Carried) -> None:
    folder = carried.site.night(carried.kind) / "vgen2"
    stems = [output.path.name.removesuffix(".fits.fz") for output in carried.outputs]
    wanted = {f"{stem}{ending}" for stem in stems for ending in (".fits.fz", ".txt")}
    if carried.kind == "archive":
        wanted.add("name_changes.txt")

    assert {path.name for path in folder.iterdir()} == wanted


def test_bad_cubes_are_quarantined_counted_and_named(carried: Carried) -> None:
    bad = {file.path for file in carried.truth.files if file.quarantined and file.written}
    listed = carried.site.json("quarantine", DATE, "--kind", carried.kind)["nights"][0]["files"]
    (night,) = carried.site.json("status", DATE, "--kind", carried.kind)["nights"]

    assert {file["path"] for file in listed if file["role"] == "cube"} == bad
    assert all(file["reason"] for file in listed)
    assert night["quarantined"] == len(bad) == 6


def test_raw_files_are_untouched(carried: Carried) -> None:
    assert raw_identities(carried.site, carried.kind) == carried.raw_identities
    assert raw_digests(carried.site, carried.kind) == carried.raw_digests


def test_the_far_copy_is_identical_and_holds_no_raw_file(carried: Carried) -> None:
    far, night = carried.site.far(carried.kind), carried.site.night(carried.kind)

    assert digests_of_tree(far / "vgen2") == digests_of_tree(night / "vgen2")
    assert [path.read_bytes() for path in far.glob("manifest_*")] == [
        path.read_bytes() for path in night.glob("manifest_*")
    ]
    assert not list(far.glob("vcam*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    """A simulated archive night that one process at a time carried through."""
    site = make_site(tmp_path_factory.mktemp("undisturbed"), Settings(processes=1))
    add_night(site, "small")
    site.run()
    return site


def test_two_processes_make_what_one_makes(undisturbed: DaemonSite, tmp_path: Path) -> None:
    site = make_site(tmp_path, Settings(processes=2))
    add_night(site, "small")

    site.run()

    assert products(site) == products(undisturbed)


@pytest.fixture
def site_over_ssh(tmp_path: Path) -> Iterator[DaemonSite]:
    with running_sshd(tmp_path / "sshd") as server:
        settings = Settings(host=f"{server.host}:", ssh_options=server.options)
        yield make_site(tmp_path / "site", settings)


def test_a_night_becomes_safe_over_ssh(site_over_ssh: DaemonSite, undisturbed: DaemonSite) -> None:
    add_night(site_over_ssh, "small")

    site_over_ssh.run()

    assert site_over_ssh.status() == "safe"
    assert products(site_over_ssh) == products(undisturbed)
    assert digests_of_tree(site_over_ssh.far() / "vgen2") == digests_of_tree(
        site_over_ssh.night() / "vgen2"
    )


@pytest.mark.parametrize("events", [True, False])
def test_cubes_that_arrive_one_by_one_make_the_same_night(
    events: bool, undisturbed: DaemonSite, tmp_path: Path
) -> None:
    settings = Settings(events=events, settle_seconds=0.5, quiet_seconds=_QUIET_SECONDS)
    site = make_site(tmp_path, settings)
    steps = small_night().steps(site.root())
    next(steps)()
    with site.running("--until-idle") as daemon:
        play(steps, speed=_SPEED)
        assert daemon.wait(timeout=60) == 0, site.log()[-3000:]

    assert site.status() == "safe"
    assert site.json("status")["nights"][0]["batches"] == 1
    assert products(site) == products(undisturbed)


def test_a_missing_destination_fails_the_night_until_it_is_there(
    undisturbed: DaemonSite, tmp_path: Path
) -> None:
    site = make_site(tmp_path)
    add_night(site, "small")
    destination = site.far().parent
    destination.rmdir()

    site.run(status=1)
    failed = site.status()
    before = products(site)
    destination.mkdir()
    retried = site.call("retry", "last")
    site.run()

    assert failed == "failed"
    assert retried.returncode == 0, retried.stderr
    assert site.status() == "safe"
    assert before == products(site) == products(undisturbed)
