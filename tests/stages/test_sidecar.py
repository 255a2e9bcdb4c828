"""The sidecar of a batch, and raw cubes made again from it, without a daemon."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.support.made_sidecars import build_without, entry, identity, make, sha256, sidecar_job
from tests.support.raw_cubes import write_raw_cube
from tests.support.trees import below
from vampd.errors import IntegrityError, OperatorError, ResourceError
from vampd.io.beneath import Beneath
from vampd.io.fits import Tiles
from vampd.io.raw import RawFile
from vampd.io.root import NightPlace
from vampd.stages import rebuild, sidecar
from vampd.stages.rebuild import ProofJob, Rebuilder
from vampd.stages.sidecar import make_sidecar
from vampd.stages.sidecar_index import LeftBehind, Sidecar
from vampd.stages.sidecar_job import SidecarFile
from vampd.stages.sidecar_reading import Reading
from vampd.states import FileState

_MOST_KIB = 100 * 1024  # the interpreter with numpy and imagecodecs takes 45 MiB of them


def noise(frames: int, height: int = 6, width: int = 9) -> NDArray[np.uint16]:
    cube = np.random.default_rng(7).integers(0, 65536, (frames, height, width))
    return cube.astype(np.uint16)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "20251106"
    (folder / ".vampd" / "scratch").mkdir(parents=True)
    return folder


def check_all(night: Path, path: Path) -> None:
    with closing(Sidecar(below(path))) as opened, Rebuilder(below(night), opened) as rebuilder:
        for name in opened.paths:
            found = opened.entry(name)
            assert found.sha256 == sha256(night / name)
            rebuilder.check(found)


@pytest.mark.parametrize("tiles", ["frame", "row"])
@pytest.mark.parametrize("rejected", [0, 3, 6])
def test_a_frame_in_no_output_comes_back_from_the_sidecar(
    night: Path, rejected: int, tiles: Tiles
) -> None:
    cube = write_raw_cube(night, list(noise(7)))

    check_all(night, make(night, cube, **build_without(night, cube, rejected, tiles=tiles)))


@pytest.mark.parametrize("shape", [(6, 9), (100, 101), (700, 800)])
@pytest.mark.parametrize(
    "rejected", [(0, 1), (2, 5), (3, 2, 7), (1, 3, 5, 7, 8), tuple(range(1, 9))]
)
def test_many_frames_in_no_output_come_back_whatever_their_size(
    night: Path, rejected: tuple[int, ...], shape: tuple[int, int]
) -> None:
    cube = write_raw_cube(night, list(noise(9, *shape)))
    facts = build_without(night, cube, *rejected)
    with cube.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    check_all(night, make(night, cube, **{**facts, "sha256": digest}))


@pytest.mark.parametrize("size", [1, 7, 1 << 14, 1 << 20, (1 << 20) + 1, 1 << 22])
def test_what_is_read_for_a_sidecar_is_never_short_before_its_end(night: Path, size: int) -> None:
    cube = write_raw_cube(night, list(noise(9, 300, 401)))
    content = cube.read_bytes()
    parts = [(0, 5000), (100, 3), (4096, 1 << 21), (7, 1)]
    expected = b"".join(content[start : start + length] for start, length in parts)
    raw = RawFile(Beneath(night), str(cube.relative_to(night)), identity(cube))
    source = Reading(raw, parts)

    with closing(raw):
        found = list(iter(lambda: source.read(size), b""))

    assert {len(block) for block in found[:-1]} <= {size}
    assert b"".join(found) == expected
    assert source.digest.digest() == hashlib.sha256(expected).digest()


def test_bytes_behind_the_pixels_that_are_no_zeros_come_back(night: Path) -> None:
    cube = write_raw_cube(night, list(noise(5)))
    with cube.open("r+b") as file:
        file.seek(-7, 2)
        file.write(b"strange")

    check_all(night, make(night, cube, **build_without(night, cube, 2)))


def test_a_raw_file_of_other_bytes_than_recorded_gets_no_sidecar(night: Path) -> None:
    cube = write_raw_cube(night, list(noise(5)))
    text = entry(night, cube.with_suffix(".txt"), sha256="0" * 64)

    with pytest.raises(IntegrityError, match="vcam1_05:10:00"):
        make_sidecar(sidecar_job(night, [text]))

    assert list((night / ".vampd").rglob("*.tar*")) == []


def test_a_quarantined_file_that_cannot_be_read_is_left_out_and_told(night: Path) -> None:
    cube = write_raw_cube(night, list(noise(5)))
    bad = entry(night, cube, state=FileState.QUARANTINED, stored="whole", sha256=None)
    cube.write_bytes(b"now it is another")

    made = make_sidecar(sidecar_job(night, [bad, entry(night, cube.with_suffix(".txt"))]))

    assert "vcam1_05:10:00.000000000.fits" in made.reports[0]
    with closing(Sidecar(Beneath(night) / made.sidecar.path)) as opened:
        assert opened.paths == ["vcam1/vcam1_05:10:00.000000000.txt"]


def quarantined(night: Path, name: str, content: bytes, size_bytes: int = 0) -> SidecarFile:
    """A quarantined file; what is beyond its *content*, up to *size_bytes*, is a hole."""
    path = night / "vcam1" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(max(size_bytes, len(content)))
    return entry(night, path, state=FileState.QUARANTINED, stored="whole", sha256=None)


def left_out(night: Path) -> dict[str, LeftBehind]:
    with closing(Sidecar(below(night / ".vampd" / "raw_sidecar.tar"))) as opened:
        return {left.path: left for left in opened.head.left_out}


def test_a_huge_file_of_holes_stays_where_it_is_and_is_told(night: Path) -> None:
    terabytes = 4 << 40
    huge = quarantined(night, "vcam1_05:10:00.000000000.fits", b"SIMPLE", terabytes)
    small = quarantined(night, "vcam1_05:11:00.000000000.fits", b"too short")
    started = time.process_time()

    made = make_sidecar(sidecar_job(night, [huge, small]))

    assert time.process_time() - started < 5
    assert made.sidecar.size_bytes < 1 << 20
    (report,) = made.reports
    assert huge.path in report
    assert "mostly holes: 4398046511104 bytes" in report
    assert left_out(night)[huge.path].size_bytes == terabytes
    check_these(night, [small.path])


def test_quarantined_files_take_no_more_of_a_sidecar_than_they_may(night: Path) -> None:
    sizes = {"1": 3000, "2": 1000, "3": 2000, "4": 500}
    files = [
        quarantined(night, f"vcam1_05:1{name}:00.000000000.fits", bytes([7]) * size)
        for name, size in sizes.items()
    ]

    made = make_sidecar(replace(sidecar_job(night, files), quarantined_bytes=3600))

    assert [file.path for file in made.digests] == [
        file.path for file in files if file.who.size_bytes != 3000
    ]
    (line,) = left_out(night).values()
    assert line.path == files[0].path
    assert line.sha256 == sha256(night / files[0].path)
    assert "disk.quarantined_gb" in line.why
    check_these(night, [file.path for file in files[1:]])


def test_what_a_sidecar_left_out_is_named_with_its_reason(night: Path) -> None:
    file = quarantined(night, "vcam1_05:10:00.000000000.fits", b"long")
    make_sidecar(replace(sidecar_job(night, [file]), quarantined_bytes=3))

    with (
        closing(Sidecar(below(night / ".vampd" / "raw_sidecar.tar"))) as opened,
        pytest.raises(OperatorError, match=r"knows no raw file .*quarantined_gb"),
    ):
        opened.entry(file.path)


def test_a_sidecar_that_does_not_fit_is_not_begun(night: Path) -> None:
    file = quarantined(night, "vcam1_05:10:00.000000000.fits", b"long")
    job = replace(sidecar_job(night, [file]), keep_free_bytes=1e18)

    with pytest.raises(ResourceError, match=r"needs 0.0 GB.* 0.0 GB are free"):
        make_sidecar(job)

    assert list((night / ".vampd").rglob("*.tar*")) == []


def check_these(night: Path, paths: Sequence[str]) -> None:
    path = night / ".vampd" / "raw_sidecar.tar"
    with closing(Sidecar(below(path))) as opened, Rebuilder(Beneath(night), opened) as rebuilder:
        assert opened.paths == sorted(paths)
        for name in opened.paths:
            assert opened.entry(name).sha256 == sha256(night / name)
            rebuilder.check(opened.entry(name))


def test_a_listed_sidecar_stays_even_when_its_raw_files_are_gone(night: Path) -> None:
    cube = write_raw_cube(night, list(noise(5)))
    bad = entry(night, cube, state=FileState.QUARANTINED, stored="whole", sha256=None)
    first = make_sidecar(sidecar_job(night, [bad])).sidecar
    cube.unlink()

    again = make_sidecar(replace(sidecar_job(night, []), listed=first.sha256)).sidecar

    assert again == first
    assert sha256(night / first.path) == first.sha256


def test_the_same_files_give_the_same_sidecar(night: Path) -> None:
    cube = write_raw_cube(night, list(noise(7)))
    facts = build_without(night, cube, 3)
    path = make(night, cube, **facts)
    first = sha256(path)
    path.unlink()

    assert sha256(make(night, cube, **facts)) == first


def _edited_index(path: Path, old: bytes, new: bytes) -> None:
    """Let the sidecar's index say something else, in valid form."""
    import io
    import lzma

    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            if member.name == sidecar.INDEX:
                content = lzma.compress(lzma.decompress(content).replace(old, new))  # noqa: PLW2901
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["vcam1/../../../etc/passwd", "/etc/passwd", "vcam2/vcam1_05:10:00.000000000.txt"]
)
def test_a_sidecar_that_leads_out_of_its_night_is_refused(night: Path, name: str) -> None:
    path = make_small(night)
    _edited_index(path, b"vcam1/vcam1_05:10:00.000000000.txt", name.encode())

    with pytest.raises(IntegrityError, match="raw file's name"):
        Sidecar(below(path))


def test_a_newer_sidecar_is_not_guessed_at(night: Path) -> None:
    path = make_small(night)
    _edited_index(path, b'"version": 1', b'"version": 2')

    with pytest.raises(OperatorError, match="version 2"):
        Sidecar(below(path))


def make_small(night: Path) -> Path:
    cube = write_raw_cube(night, list(noise(4)))
    return make(night, cube, **build_without(night, cube, 1))


def _large_frames(count: int) -> Iterator[NDArray[np.uint16]]:
    frame = noise(1, 1024, 1024)[0]
    for number in range(count):
        yield np.roll(frame, number)


def test_memory_does_not_grow_with_the_cube(night: Path) -> None:
    frames = 64  # 128 MiB
    cube = write_raw_cube(night, _large_frames(frames), declared_frames=frames)
    facts = build_without(night, cube, 30)
    with cube.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path = make(night, cube, **facts, sha256=digest)
    outputs = {str(made.relative_to(night)): sha256(made) for made in night.glob("vgen2/*.fz")}
    job = night.parent / "job"
    files = {str(cube.relative_to(night)): digest}
    job.write_bytes(pickle.dumps(proof_job(night, path, files=files, outputs=outputs)))
    code = (
        "import pickle; from pathlib import Path; from vampd.stages.rebuild import prove;"
        f" found = prove(pickle.loads(Path({str(job)!r}).read_bytes()));"
        " assert len(found.rebuilt) == 1, found;"
        " status = Path('/proc/self/status').read_text();"
        " print(status.split('VmHWM:')[1].split()[0])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(done.stdout) < _MOST_KIB


def proof_job(night: Path, sidecar: Path, **words: Any) -> ProofJob:
    known: dict[str, Any] = {
        "sha256": sha256(sidecar),
        "files": {},
        "outputs": {},
    }
    return ProofJob(
        night=1,
        batch=1,
        place=NightPlace(folder=str(night), root=str(night.parent), marker=""),
        sidecar=str(sidecar.relative_to(night)),
        **{**known, **words},
    )


def test_a_proof_is_of_the_sidecar_that_is_meant(night: Path) -> None:
    path = make_small(night)

    with pytest.raises(IntegrityError, match=path.name):
        rebuild.prove(proof_job(night, path, sha256="0" * 64))


def test_a_proof_needs_the_recorded_digests_of_the_outputs(night: Path) -> None:
    path = make_small(night)
    with closing(Sidecar(below(path))) as opened:
        files = {name: opened.entry(name).sha256 for name in opened.paths}
    outputs = {"vgen2/vcam1_05:10:00.000000.fits.fz": "0" * 64}

    found = rebuild.prove(proof_job(night, path, files=files, outputs=outputs))

    assert [file.path for file in found.rebuilt] == ["vcam1/vcam1_05:10:00.000000000.txt"]
    assert "recorded was" in found.problems[0]
