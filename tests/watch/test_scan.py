from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from vampd.io import openat2
from vampd.watch.naming import Role
from vampd.watch.scan import find_nights, look

STEM = "vcam1_05:11:38.081003904"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    night = tmp_path / "20251106"
    (night / "vcam1").mkdir(parents=True)
    (night / "vcam2").mkdir()
    return night


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_nights_are_real_folders_with_dates_for_names(tmp_path: Path) -> None:
    for name in ("20251107", "20251106", "20250230", "ARCHIVED_DATA/20251105", "vgen2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "20251108").symlink_to(tmp_path / "20251106")
    (tmp_path / "20251109").write_bytes(b"")

    nights = find_nights(tmp_path)

    assert nights.folders == (tmp_path / "20251106", tmp_path / "20251107")
    assert nights.problems == (
        f"{tmp_path}/20251108: a symbolic link, so it is ignored",
        f"{tmp_path}/20251109: not a folder, so it is ignored",
    )


def test_an_absent_root_is_a_problem_and_not_an_empty_one(tmp_path: Path) -> None:
    nights = find_nights(tmp_path / "absent")

    assert nights.folders == ()
    assert nights.problems == (f"{tmp_path}/absent: No such file or directory",)


def test_a_look_sees_each_file_with_its_role_and_identity(night: Path) -> None:
    cube = write(night / "vcam1" / f"{STEM}.fits", b"four")
    write(night / "vcam1" / f"{STEM}.txt")
    write(night / "vcam1" / f"{STEM}.fits.1.2.tmp")
    write(night / "notes.txt")

    seen = look(night)

    assert {path: file.role for path, file in seen.files.items()} == {
        f"vcam1/{STEM}.fits": Role.CUBE,
        f"vcam1/{STEM}.txt": Role.TIMING,
        f"vcam1/{STEM}.fits.1.2.tmp": Role.TEMPORARY,
        "notes.txt": Role.OTHER,
    }
    identity = seen.files[f"vcam1/{STEM}.fits"].identity
    status = cube.stat()
    assert (identity.inode, identity.size_bytes) == (status.st_ino, 4)
    assert identity.modified_ns == status.st_mtime_ns
    assert not seen.problems
    assert not seen.unread


def test_what_we_write_into_a_night_is_not_looked_at(night: Path) -> None:
    write(night / "vgen2" / "vsync_05:11:38.080947.cam1.A.fits.fz")
    write(night / ".vampd" / "journal.jsonl")
    write(night / "manifest_VMP_20251106.csv")

    assert look(night).files == {}


def test_the_incumbents_folders_are_listed_once_and_not_entered(night: Path) -> None:
    write(night / "vcam1_hlinkbak" / f"{STEM}.fits")

    seen = look(night)

    assert list(seen.files) == ["vcam1_hlinkbak"]
    assert seen.files["vcam1_hlinkbak"].role is Role.OTHER


def test_links_pipes_sockets_and_folders_under_a_cubes_name_have_no_role(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = night / "vcam1"
    real = write(folder / f"{STEM}.fits")
    (folder / "vcam1_05:11:39.000000000.fits").symlink_to(real)
    (folder / "vcam1_05:11:40.000000000.fits").symlink_to("vcam1_05:11:40.000000000.fits")
    os.mkfifo(folder / "vcam1_05:11:41.000000000.fits")
    (folder / "vcam1_05:11:42.000000000.fits").mkdir()
    monkeypatch.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("vcam1_05:11:43.000000000.fits")

    seen = look(night)

    assert len(seen.files) == 6
    assert [path for path, file in seen.files.items() if file.role is not Role.OTHER] == [
        f"vcam1/{STEM}.fits"
    ]
    assert sum(file.is_regular for file in seen.files.values()) == 1


def test_hostile_names_are_listed_as_one_printable_line_each(night: Path) -> None:
    names = [b"a\nb", b"\xff\xfe", "naïve ✓".encode(), b"a\\nb", b"!x[1](2).fits", b"\x1b[2J"]
    for name in names:
        write(night / "vcam1" / os.fsdecode(name))

    seen = look(night)

    assert set(seen.files) == {
        "vcam1/a\\nb",
        "vcam1/\\udcff\\udcfe",
        "vcam1/naïve ✓",
        "vcam1/a\\\\nb",
        "vcam1/!x[1](2).fits",
        "vcam1/\\x1b[2J",
    }
    assert {file.role for file in seen.files.values()} == {Role.OTHER}


def test_a_camera_folder_that_is_a_link_is_reported_and_not_followed(night: Path) -> None:
    elsewhere = write(night.parent / "elsewhere" / f"{STEM}.fits").parent
    (night / "vcam1").rmdir()
    (night / "vcam1").symlink_to(elsewhere)

    seen = look(night)

    assert list(seen.files) == ["vcam1"]
    assert seen.problems == (f"{night}/vcam1: not a folder, so nothing in it is looked at",)


def test_a_night_that_became_a_symbolic_link_is_not_followed(night: Path) -> None:
    write(night / "vcam1" / f"{STEM}.fits")
    link = night.with_name("20251107")
    link.symlink_to(night)

    seen = look(link)

    assert seen.files == {}
    assert seen.unread == {"."}


def test_an_absent_night_is_unread_and_not_empty(tmp_path: Path) -> None:
    seen = look(tmp_path / "20251106")

    assert seen.unread == {"."}
    assert seen.problems == (f"{tmp_path}/20251106: No such file or directory",)


def test_a_folder_that_cannot_be_opened_hides_its_files_and_no_others(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(night / "vcam1" / f"{STEM}.fits")
    other = write(night / "vcam2" / f"{STEM.replace('vcam1', 'vcam2')}.fits")
    monkeypatch.setattr(openat2, "is_available", lambda: False)
    refuse(monkeypatch, "open", lambda path: path == "vcam1", errno.EACCES)

    seen = look(night)

    assert list(seen.files) == [f"vcam2/{other.name}"]
    assert seen.unread == {"vcam1"}
    assert seen.problems == (f"{night}/vcam1: Permission denied",)


def test_a_disk_error_in_the_middle_of_a_folder_keeps_what_was_seen_before(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for second in range(5):
        write(night / "vcam1" / f"vcam1_05:11:0{second}.000000000.fits")
    monkeypatch.setattr(os, "scandir", failing_after(3, os.scandir))

    seen = look(night)

    assert seen.unread == {"vcam1"}
    assert len(seen.files) == 3
    assert seen.problems == (f"{night}/vcam1: Input/output error",)


def test_a_file_that_vanishes_during_the_look_is_named_unless_it_is_a_finished_temporary(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = write(night / "vcam1" / f"{STEM}.fits.1.2.tmp")
    lost = write(night / "vcam1" / f"{STEM}.fits")
    kept = write(night / "vcam1" / f"{STEM}.txt")

    def remove() -> None:
        temporary.unlink(missing_ok=True)
        lost.unlink(missing_ok=True)

    monkeypatch.setattr(os, "scandir", doing_after_listing(remove, os.scandir))

    seen = look(night)

    assert list(seen.files) == [f"vcam1/{kept.name}"]
    assert seen.problems == (f"{lost}: vanished during the look",)
    assert not seen.unread


class Entries:
    """A folder's entries, with a fault at a chosen place."""

    def __init__(self, entries: list[os.DirEntry[str]], fault_at: int | None) -> None:
        self.entries = iter(entries)
        self.left = fault_at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> os.DirEntry[str]:
        if self.left == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.left is not None:
            self.left -= 1
        return next(self.entries)


def failing_after(count: int, real: Callable[..., object]) -> Callable[[int], Entries]:
    def scandir(folder: int) -> Entries:
        entries = list(real(folder))  # type: ignore[call-overload]
        return Entries(entries, fault_at=count if len(entries) > count else None)

    return scandir


def doing_after_listing(
    action: Callable[[], None], real: Callable[..., object]
) -> Callable[[int], Entries]:
    def scandir(folder: int) -> Entries:
        entries = list(real(folder))  # type: ignore[call-overload]
        if any(entry.name.startswith("vcam1_") for entry in entries):
            action()
        return Entries(entries, fault_at=None)

    return scandir


def refuse(
    monkeypatch: pytest.MonkeyPatch, name: str, applies: Callable[[object], bool], number: int
) -> None:
    real = getattr(os, name)

    def refusing(path: object, *arguments: object, **keywords: object) -> object:
        if applies(path):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(os, name, refusing)
