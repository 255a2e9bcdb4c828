"""Raw files come back bit for bit from the far copy; what is damaged is named and not kept."""

from __future__ import annotations

import base64
import json
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from msgspec import Struct

from tests.support.daemon_site import (
    DATE,
    DaemonSite,
    Settings,
    add_night,
    give_times,
    make_site,
    raw_digests,
)
from tests.support.reference_night import needs_reference_night
from tests.support.trees import digests_of_tree
from vampd import __version__
from vampd.io.clock import SystemClock
from vampd.ledger import proofs
from vampd.ledger.connection import Ledger, open_ledger
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import CubeFault, Fault, Scene, both, polarimetry

SIDECAR = ".vampd/raw_sidecar.tar"

#: Every fault that a cube or a timing file can have, and cubes whose frames go to many outputs.
_SCENES = (
    *(
        Scene(
            name=fault,
            triggers=9,
            cube_frames=both(9),
            faults=(CubeFault(fault=fault, camera=1, ordinal=0),),
        )
        for fault in Fault
    ),
    Scene(name="one-frame", triggers=1, single_frame_naxis=2),
    polarimetry("states", 90, cube_frames=((40, 50), (70, 20))),
)


class Carried(Struct, frozen=True, kw_only=True):
    """A night that was carried to safe, and what its raw files were before."""

    site: DaemonSite
    digests: dict[str, str]
    times_ns: dict[str, int]


def _times_ns(night: Path) -> dict[str, int]:
    paths = [path for camera in ("vcam1", "vcam2") for path in (night / camera).iterdir()]
    return {str(path.relative_to(night)): path.stat().st_mtime_ns for path in paths}


def _faulty_night(site: DaemonSite) -> None:
    SimulatedNight(_SCENES, date=DATE).write(site.root())
    give_times(site.night())


def _carried(site: DaemonSite) -> Carried:
    digests, times_ns = raw_digests(site), _times_ns(site.night())
    site.run()
    return Carried(site=site, digests=digests, times_ns=times_ns)


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    site = make_site(tmp_path_factory.mktemp("rebuild"), Settings(processes=2))
    _faulty_night(site)
    return _carried(site)


@pytest.fixture
def far(carried: Carried, tmp_path: Path) -> Path:
    """A copy of what lies at the far end, for a test to damage."""
    return Path(shutil.copytree(carried.site.far(), tmp_path / "far"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> DaemonSite:
    """Another machine: no settings, no ledger."""
    (tmp_path / "elsewhere").mkdir()
    return DaemonSite(folder=tmp_path / "elsewhere")


def _ledger(site: DaemonSite) -> Ledger:
    return open_ledger(site.state, version=__version__, clock=SystemClock())


def _night_number(ledger: Ledger) -> int:
    return int(ledger.value("select id from night where date = ?", [DATE]))


def _rebuilt(target: Path) -> dict[str, str]:
    return digests_of_tree(target) if target.exists() else {}


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def _check_all_come_back(carried: Carried, elsewhere: DaemonSite, far: Path, target: Path) -> None:
    done = elsewhere.call("data", "rebuild-raw", DATE, "--from", str(far), "--to", str(target))

    assert done.returncode == 0, done.stderr
    assert _rebuilt(target) == carried.digests
    assert _times_ns(target) == carried.times_ns
    assert {path.name for path in target.iterdir()} == {"vcam1", "vcam2"}


def test_every_raw_file_comes_back_on_another_machine(
    carried: Carried, elsewhere: DaemonSite, far: Path, tmp_path: Path
) -> None:
    _check_all_come_back(carried, elsewhere, far, tmp_path / "rebuilt")


@needs_reference_night
def test_every_raw_file_of_the_reference_night_comes_back(
    elsewhere: DaemonSite, tmp_path: Path
) -> None:
    site = make_site(tmp_path / "site")
    add_night(site, "reference")
    reference = _carried(site)

    assert len(reference.digests) == 104
    _check_all_come_back(reference, elsewhere, site.far(), tmp_path / "rebuilt")
    with closing(_ledger(site)) as ledger:
        assert proofs.rebuild_proved(ledger, _night_number(ledger))


def test_the_proof_is_on_record_once_the_night_is_safe(carried: Carried) -> None:
    assert carried.site.status() == "safe"
    with closing(_ledger(carried.site)) as ledger:
        night = _night_number(ledger)
        proof = proofs.proof_of(ledger, night, 1)

        assert proof is not None
        assert proof.problem is None
        assert proof.files == len(carried.digests)
        assert proofs.unproved_files(ledger, night) == []
        assert proofs.rebuild_proved(ledger, night)


def test_a_raw_file_with_other_bytes_is_proved_no_more(carried: Carried, tmp_path: Path) -> None:
    shutil.copytree(carried.site.state, tmp_path / "state")
    with closing(_ledger(DaemonSite(folder=tmp_path))) as ledger:
        night = _night_number(ledger)
        one = ledger.value("select min(id) from raw_file where state = 'whole'")

        ledger.update("raw_file", one, sha256="0" * 64)

        assert not proofs.rebuild_proved(ledger, night)
        assert len(proofs.unproved_files(ledger, night)) == 1


@pytest.mark.parametrize("change", ["delete from deliverable", "update deliverable set sha256 = 1"])
def test_no_proof_outlives_its_sidecar(carried: Carried, change: str, tmp_path: Path) -> None:
    shutil.copytree(carried.site.state, tmp_path / "state")
    with closing(_ledger(DaemonSite(folder=tmp_path))) as ledger:
        night = _night_number(ledger)

        ledger.execute(f"{change} where path = ?", [SIDECAR])

        assert not proofs.rebuild_proved(ledger, night)
        assert proofs.proof_of(ledger, night, 1) is None


def test_a_damaged_cube_is_named_and_nothing_made_of_it_is_kept(
    carried: Carried, elsewhere: DaemonSite, far: Path, tmp_path: Path
) -> None:
    cube = max(far.glob("vgen2/*.fz"), key=lambda path: path.stat().st_size)
    target = tmp_path / "rebuilt"
    _flip(cube, cube.stat().st_size - 6000)

    done = elsewhere.call(
        "data", "rebuild-raw", DATE, "--from", str(far), "--to", str(target), "--json"
    )

    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["problems"]
    assert all(cube.name in problem for problem in answer["problems"])
    rebuilt = _rebuilt(target)
    assert set(rebuilt) == set(answer["made"])
    assert len(rebuilt) + len(answer["problems"]) == len(carried.digests)
    assert rebuilt.items() <= carried.digests.items()


def test_a_damaged_sidecar_never_makes_a_wrong_file(
    carried: Carried, elsewhere: DaemonSite, far: Path, tmp_path: Path
) -> None:
    sidecar = far / SIDECAR
    with tarfile.open(sidecar) as tar:
        members = {
            member.name.split("/")[0]: (member.offset_data, member.size)
            for member in tar
            if member.size
        }
    del members["README.txt"]
    whole = sidecar.read_bytes()
    for number, (place, size_bytes) in enumerate(members.values()):
        target = tmp_path / f"rebuilt {number}"
        _flip(sidecar, place + size_bytes // 2)

        done = elsewhere.call("data", "rebuild-raw", DATE, "--from", str(far), "--to", str(target))

        assert done.returncode == 1, done.stdout
        assert _rebuilt(target).items() < carried.digests.items()
        sidecar.write_bytes(whole)


def test_an_absent_cube_costs_its_own_raw_files_only(
    carried: Carried, elsewhere: DaemonSite, far: Path
) -> None:
    cube = min(far.glob("vgen2/*.fz"))
    cube.unlink()

    done = elsewhere.call("data", "rebuild-raw", DATE, "--from", str(far), "--prove", "--json")

    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert len(answer["made"]) + len(answer["problems"]) == len(carried.digests)
    assert 0 < len(answer["problems"]) < 6


def test_nothing_that_is_there_is_replaced(
    elsewhere: DaemonSite, carried: Carried, far: Path, tmp_path: Path
) -> None:
    target = tmp_path / "rebuilt"
    words = ("rebuild-raw", DATE, "--from", str(far), "--to", str(target), "--json")
    elsewhere.call(*words)
    name = min(carried.digests)
    (target / name).write_bytes(b"somebody's")

    again = elsewhere.call(*words)

    answer = json.loads(again.stdout)
    assert again.returncode == 1
    assert (target / name).read_bytes() == b"somebody's"
    assert name in answer["problems"][0]
    assert set(answer["present"]) == set(carried.digests) - {name}


def test_a_folder_with_other_things_in_it_is_refused(
    elsewhere: DaemonSite, far: Path, tmp_path: Path
) -> None:
    target = tmp_path / "home"
    (target / "letters").mkdir(parents=True)

    done = elsewhere.call("data", "rebuild-raw", DATE, "--from", str(far), "--to", str(target))

    assert done.returncode == 1
    assert "letters" in done.stderr
    assert [path.name for path in target.iterdir()] == ["letters"]


def test_another_nights_sidecar_is_refused(elsewhere: DaemonSite, far: Path) -> None:
    done = elsewhere.call("data", "rebuild-raw", "20251107", "--from", str(far), "--prove")

    assert done.returncode == 1
    assert DATE in done.stderr


def test_one_file_comes_back_into_its_own_night(carried: Carried) -> None:
    site, name = carried.site, max(carried.digests)
    before = site.night() / name
    kept = before.with_name("kept")
    before.rename(kept)

    done = site.call("data", "rebuild-raw", DATE, "--to", str(site.night()), "--file", before.name)

    assert done.returncode == 0, done.stderr
    assert raw_digests(site)[name] == carried.digests[name]
    kept.rename(before)


def test_the_words_in_the_sidecar_suffice_without_vampd(
    carried: Carried, far: Path, tmp_path: Path
) -> None:
    _unpack(far / SIDECAR, tmp_path)
    for texts in tmp_path.glob("texts/*.tar.xz"):
        _unpack(texts, tmp_path)
    _, *lines = lzma.decompress((tmp_path / "index.jsonl.xz").read_bytes()).splitlines()

    for line in map(json.loads, lines):
        content = b"".join(_by_hand(tmp_path, far, line))

        assert len(content) == line["size_bytes"]
        assert _sha256(content) == line["sha256"] == carried.digests[line["path"]]


def _unpack(archive: Path, target: Path) -> None:
    """With tar and xz, as one would by hand."""
    content = lzma.decompress(archive.read_bytes()) if archive.suffix == ".xz" else None
    source = "-" if content is not None else str(archive)
    subprocess.run(["tar", "-xf", source, "-C", str(target)], input=content, check=True, timeout=60)


def _by_hand(unpacked: Path, far: Path, line: dict[str, object]) -> Iterator[bytes]:
    """What README.txt in the sidecar says, with nothing but astropy."""
    path = str(line["path"])
    if line["stored"] == "text":
        yield (unpacked / path).read_bytes()
        return
    if line["stored"] == "whole":
        yield (unpacked / "files" / path).read_bytes()
        return
    frames: dict[int, bytes] = {}
    for name, position, first, step, count in line["segments"]:  # type: ignore[attr-defined]
        with fits.open(far / "vgen2" / f"{name}.fits.fz", do_not_scale_image_data=True) as units:
            cube = np.asarray(units[1].data)
        for number in range(count):
            frames[first + step * number] = cube[position + number].astype(">i2").tobytes()
    place = 0
    for first, step, count in line["kept"]:  # type: ignore[attr-defined]
        for number in range(count):
            size_bytes = int(str(line["frame_bytes"]))
            pixels = (unpacked / "pixels" / path).read_bytes()[place : place + size_bytes]
            frames[first + step * number] = pixels
            place += size_bytes
    yield (unpacked / f"{path}.header").read_bytes()
    yield from (frames[number] for number in range(len(frames)))
    yield (
        base64.b64decode(str(line["tail"]))
        if "tail" in line
        else bytes(int(str(line["tail_bytes"])))
    )


def _sha256(content: bytes) -> str:
    done = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True)
    return done.stdout.decode().split()[0]


def test_a_damaged_output_holds_its_night_when_it_is_proved(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    SimulatedNight((polarimetry("states", 40, cube_frames=both(40)),), date=DATE).write(site.root())
    site.run()
    cube = max(site.night().glob("vgen2/*.fz"))
    _flip(cube, cube.stat().st_size - 4000)

    asked = site.call("data", "rebuild-raw", DATE, "--on-record")
    site.run(status=1)

    (night,) = site.json("status")["nights"]
    assert asked.returncode == 0, asked.stderr
    assert night["status"] == "held"
    assert cube.name in night["cause"]
    with closing(_ledger(site)) as ledger:
        assert not proofs.rebuild_proved(ledger, _night_number(ledger))


def test_the_sidecar_is_the_same_whoever_makes_it(carried: Carried, tmp_path: Path) -> None:
    site = make_site(tmp_path, Settings(processes=1))
    _faulty_night(site)

    site.run()

    mine, theirs = site.night() / SIDECAR, carried.site.night() / SIDECAR
    assert mine.read_bytes() == theirs.read_bytes()
