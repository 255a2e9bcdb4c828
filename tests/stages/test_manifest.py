from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.errors import IntegrityError, OperatorError
from vampd.io.beneath import Beneath
from vampd.io.listed_files import ListedFile
from vampd.stages import manifest
from vampd.stages.manifest import ManifestJob, NameChange, NumberedFile

DATE = "20251106"


def number(night: Path, frame_id: str, content: bytes) -> NumberedFile:
    """A finished cube of *night*, listed."""
    path = f"vgen2/{frame_id}.fits.fz"
    (night / path).parent.mkdir(parents=True, exist_ok=True)
    (night / path).write_bytes(content)
    return NumberedFile(
        frame_id=frame_id,
        path=path,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / DATE
    folder.mkdir()
    return folder


@pytest.fixture
def job(night: Path) -> ManifestJob:
    files = [
        number(night, "VMPA00425190", b"later"),
        number(night, "VMPA00425189", b"early!"),
    ]
    return ManifestJob(
        attempt=1,
        folder=str(night),
        date=DATE,
        files=tuple(files),
        digests=False,
        changes=(),
        batch=1,
    )


def test_a_manifest_lists_frame_ids_absolute_paths_and_sizes_in_order(
    night: Path, job: ManifestJob
) -> None:
    result = manifest.work(job)

    content = (night / f"manifest_VMP_{DATE}.csv").read_bytes()
    assert content.decode() == (
        f"VMPA00425189|{night}/vgen2/VMPA00425189.fits.fz|6\n"
        f"VMPA00425190|{night}/vgen2/VMPA00425190.fits.fz|5\n"
    )
    assert result.files[1] == ListedFile(
        path=f"manifest_VMP_{DATE}.csv",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_digests_come_with_a_header_line(night: Path, job: ManifestJob) -> None:
    manifest.work(replace(job, digests=True))

    lines = (night / f"manifest_VMP_{DATE}.csv").read_text().splitlines()
    assert lines[0] == "#FRAMEID|path|size_bytes|sha256sum"
    assert lines[1].split("|")[3] == hashlib.sha256(b"early!").hexdigest()


def test_the_same_manifest_again_is_the_same_result(job: ManifestJob) -> None:
    first = manifest.work(job)

    assert manifest.work(job) == first


def test_another_manifest_is_never_replaced(night: Path, job: ManifestJob) -> None:
    manifest.work(job)
    before = (night / f"manifest_VMP_{DATE}.csv").read_bytes()
    more = number(night, "VMPA00425191", b"more")

    with pytest.raises(IntegrityError):
        manifest.work(replace(job, files=(*job.files, more)))

    assert (night / f"manifest_VMP_{DATE}.csv").read_bytes() == before


def test_a_supplement_has_a_manifest_of_its_own(night: Path, job: ManifestJob) -> None:
    manifest.work(job)

    late = replace(job, files=(number(night, "VMPA00425200", b"late"),), batch=2)

    assert [listed.path for listed in manifest.work(late).files] == [
        "vgen2/name_changes.2.txt",
        f"manifest_VMP_{DATE}.2.csv",
    ]


def test_a_manifest_never_lists_a_file_of_another_size(night: Path, job: ManifestJob) -> None:
    (night / "vgen2/VMPA00425190.fits.fz").write_bytes(b"torn")

    with pytest.raises(IntegrityError, match="VMPA00425190"):
        manifest.work(job)

    assert not list(night.glob("manifest*"))


def test_a_frame_id_names_one_file(job: ManifestJob) -> None:
    first, second = job.files
    job = replace(job, files=(first, replace(second, frame_id=first.frame_id)))

    with pytest.raises(IntegrityError, match="names 2 files"):
        manifest.work(job)


@pytest.mark.parametrize(
    "frame_id", ["", "VMPA0042519", "VMPA004251900", "vmpa00425190", "XYZA00425190"]
)
def test_what_is_no_frame_id_is_refused(job: ManifestJob, frame_id: str) -> None:
    job = replace(job, files=(replace(job.files[0], frame_id=frame_id), *job.files[1:]))

    with pytest.raises(IntegrityError, match="not a frame ID"):
        manifest.work(job)


def test_a_folder_that_would_break_the_lines_is_refused() -> None:
    file: NumberedFile = NumberedFile(
        frame_id="VMPA00425190",
        path="vgen2/x.fits.fz",
        size_bytes=1,
        sha256="0" * 64,
    )

    with pytest.raises(OperatorError, match="cannot stand in a list"):
        manifest.manifest_text(Path("/data|x"), [file], digests=False)


@given(st.sets(st.integers(0, 99_999_999), max_size=30))
def test_a_manifest_read_back_is_what_was_listed(numbers: set[int]) -> None:
    files: list[NumberedFile] = [
        NumberedFile(
            frame_id=f"VMPA{number:08d}",
            path=f"vgen2/VMPA{number:08d}.fits.fz",
            size_bytes=number,
            sha256=f"{number:064x}",
        )
        for number in numbers
    ]

    text = manifest.manifest_text(Path("/n"), files, digests=True).decode()

    rows = [line.split("|") for line in text.splitlines()[1:]]
    assert [int(row[0][4:]) for row in rows] == sorted(numbers)
    assert all(int(row[2]) == int(row[3], 16) == int(row[0][4:]) for row in rows)


def test_name_changes_are_in_the_order_of_the_frame_ids(night: Path) -> None:
    (night / "vgen2").mkdir()

    manifest.write_name_changes(
        Beneath(night),
        [
            NameChange(name="vcam1_05:12:00.000000", frame_id="VMPA00425190"),
            NameChange(name="vsync_05:11:38.080947.cam1.A", frame_id="VMPA00425189"),
        ],
        1,
    )

    assert (night / "vgen2/name_changes.txt").read_text() == (
        "vsync_05:11:38.080947.cam1.A.fits\tVMPA00425189.fits\n"
        "vcam1_05:12:00.000000.fits\tVMPA00425190.fits\n"
    )


def test_checksums_can_be_checked_without_vampd(night: Path, job: ManifestJob) -> None:
    first, second = job.files
    manifest.write_checksums(Beneath(night), [first])
    manifest.write_checksums(Beneath(night), [first, second])
    command = ["sha256sum", "--check", "--strict", ".vampd/SHA256SUMS"]

    right = subprocess.run(command, cwd=night, check=False, capture_output=True)
    (night / first.path).write_bytes(b"wrong")
    wrong = subprocess.run(command, cwd=night, check=False, capture_output=True)

    assert (right.returncode, right.stdout.count(b": OK\n")) == (0, 2)
    assert wrong.returncode == 1


def test_what_a_killed_worker_left_is_cleared_away(night: Path, job: ManifestJob) -> None:
    (night / ".vampd").mkdir()
    (night / f".vampd/manifest_VMP_{DATE}.csv.scratch").write_bytes(b"torn")
    (night / ".vampd/SHA256SUMS.scratch").write_bytes(b"torn")

    manifest.work(job)
    manifest.write_checksums(Beneath(night), [])

    assert [path.name for path in (night / ".vampd").iterdir()] == ["SHA256SUMS"]


def test_lists_leave_no_scratch_files(night: Path, job: ManifestJob) -> None:
    manifest.write_checksums(Beneath(night), job.files)
    manifest.write_name_changes(Beneath(night), [], 1)
    manifest.work(job)

    found = sorted(str(path.relative_to(night)) for path in night.rglob("*") if path.is_file())
    assert found == [
        ".vampd/SHA256SUMS",
        f"manifest_VMP_{DATE}.csv",
        "vgen2/VMPA00425189.fits.fz",
        "vgen2/VMPA00425190.fits.fz",
        "vgen2/name_changes.txt",
    ]
