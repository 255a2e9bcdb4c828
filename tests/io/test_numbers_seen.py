"""Every frame ID that a disk bears is found, and what did not change is not read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vampd.errors import OperatorError, RetryableError
from vampd.io.disk import claim_root
from vampd.io.number_runs import MOST_OF_A_NIGHT
from vampd.io.numbers_seen import NightNumbers, look_at_root, numbers_of_night

#: Long after every file of a test was made.
LATER_NS = 1 << 62


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "archive/lost+found").mkdir(parents=True)
    return tmp_path / "archive"


def put(root: Path, name: str, content: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def look(
    root: Path, known: list[NightNumbers] | None = None, *, now_ns: int = LATER_NS
) -> list[NightNumbers]:
    stamps = {night.folder: night.stamp for night in known or []}
    return look_at_root(root, claim_root(root), stamps, now_ns=now_ns)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("20251106/vgen2/VMPA00425189.fits.fz", ""),
        ("20251106/vgen2/VMPA00425189.txt", ""),
        ("20251106/vgen2.incumbent/VMPA00425189.fits.fz", ""),
        ("20251106/vgen2/name_changes.txt", "x.fits\tVMPA00425189.fits\n"),
        ("20251106/vgen2/name_changes.2.txt", "x.fits\tVMPA00425189.fits\n"),
        ("20251106/manifest_VMP_20251106.csv", "VMPA00425189|/a|5\n"),
        ("20251106/manifest_VMP_20251106.2.csv", "#FRAMEID|path\nVMPA00425189|/a|5|0\n"),
    ],
)
def test_a_number_is_found_wherever_it_stands(root: Path, name: str, content: str) -> None:
    path = put(root, name, content)
    put(root, "20251106/vgen2/VMPA00000001.fits.fz")

    (night,) = look(root)

    assert (night.highest, night.place) == (425189, str(path))


@pytest.mark.parametrize(
    "name",
    [
        "20251106/vcam1/VMPA00425189.fits",
        "20251106/vgen2/XMPA00425189.fits.fz",
        "20251106/vgen2/VMPA0042518.fits.fz",
        "2025110/vgen2/VMPA00425189.fits.fz",
        "20251106/notes_VMPA00425189.txt",
    ],
)
def test_what_is_no_number_of_a_night_counts_for_nothing(root: Path, name: str) -> None:
    put(root, name)

    assert [night.highest for night in look(root)] in ([], [0])


def test_what_did_not_change_is_not_read_again(root: Path) -> None:
    put(root, "20251106/vgen2/VMPA00425189.fits.fz")
    put(root, "20251107/vgen2/name_changes.txt", "x\tVMPA00425190.fits\n")
    first = look(root)

    assert len(first) == 2
    assert look(root, first) == []


@pytest.mark.parametrize(
    "name",
    [
        "20251106/vgen2/VMPA00425200.fits.fz",
        "20251106/manifest_VMP_20251106.csv",
        "20251106/vgen2/name_changes.txt",
        "20251106/vgen2.incumbent/VMPA00425200.fits.fz",
    ],
)
def test_what_changed_is_read_again(root: Path, name: str) -> None:
    put(root, "20251106/vgen2/name_changes.txt", "x\tVMPA00425189.fits\n")
    first = look(root)
    put(root, name, "y\tVMPA00425200.fits\n")

    (again,) = look(root, first)

    assert again.highest == 425200


def test_a_folder_that_changed_just_now_is_looked_at_again(root: Path) -> None:
    path = put(root, "20251106/vgen2/VMPA00425189.fits.fz")
    now_ns = path.parent.stat().st_mtime_ns + 1_000_000_000

    first = look(root, now_ns=now_ns)

    assert len(look(root, first, now_ns=now_ns)) == 1


def test_a_root_that_is_not_there_or_another_one_is_not_an_empty_one(root: Path) -> None:
    put(root, "20251106/vgen2/VMPA00425189.fits.fz")
    marker = claim_root(root)
    (root / ".vampd-root").unlink()

    for known in (marker, None):
        with pytest.raises(RetryableError, match="is not mounted"):
            look_at_root(root, known, {}, now_ns=LATER_NS)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_an_empty_one(root: Path) -> None:
    folder = put(root, "20251106/vgen2/VMPA00425189.fits.fz").parent
    folder.chmod(0)
    try:
        with pytest.raises(OperatorError, match="must not be reused"):
            look(root)
    finally:
        folder.chmod(0o755)


def test_all_numbers_of_a_night_are_told_with_their_places(root: Path) -> None:
    cube = put(root, "20251106/vgen2/VMPA00425189.fits.fz")
    manifest = put(root, "20251106/manifest_VMP_20251106.csv", "VMPA00425189|/a|5\n")

    assert sorted(numbers_of_night(root / "20251106")) == [
        (425189, str(manifest)),
        (425189, str(cube)),
    ]


def test_numbers_in_succession_are_one_run_with_the_file_of_its_first(root: Path) -> None:
    for number in (425189, 425190, 425191, 425199):
        put(root, f"20251106/vgen2/VMPA{number:08d}.fits.fz")

    (night,) = look(root)

    outputs = root / "20251106/vgen2"
    assert night.runs == (
        (425189, 425191, str(outputs / "VMPA00425189.fits.fz")),
        (425199, 425199, str(outputs / "VMPA00425199.fits.fz")),
    )


def test_a_list_of_more_numbers_than_a_night_has_counts_for_nothing_and_is_told(
    root: Path,
) -> None:
    path = put(
        root,
        "20251106/manifest_x.csv",
        "".join(f"VMPA{number:08d}|x|1\n" for number in range(1, MOST_OF_A_NIGHT + 2)),
    )

    (night,) = look(root)

    assert night.runs == ()
    (note,) = night.notes
    assert note.startswith(f"{path} lists more than {MOST_OF_A_NIGHT} frame IDs")


def test_what_is_no_plain_file_or_folder_is_not_looked_into_and_is_told(root: Path) -> None:
    night = root / "20251106"
    night.mkdir()
    os.mkfifo(night / "manifest_x.csv")
    (night / "vgen2").symlink_to(root)

    (seen,) = look(root)

    assert seen.runs == ()
    assert any("manifest_x.csv is a pipe" in note for note in seen.notes)
    assert any("vgen2 is a link" in note for note in seen.notes)
