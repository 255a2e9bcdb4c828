"""Files into the trash, out of it, and back: only the listed ones, only on the right disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from vampd.background.reclaim import moves as reclaim_moves
from vampd.background.reclaim.moves import MoveJob
from vampd.errors import IntegrityError, RetryableError
from vampd.io.disk import MARKER_NAME, claim_root
from vampd.layout import TRASH_FOLDER
from vampd.ledger.trash import LeavingFile
from vampd.states import TrashState

DATE = "20251106"
NAMES = ("vcam1/vcam1_05:00:00.000000000.fits", "vcam1/vcam1_05:00:00.000000000.txt")


class Site:
    """One night of two raw files below a root."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.night = self.root / DATE
        for path in NAMES:
            (self.night / path).parent.mkdir(parents=True, exist_ok=True)
            (self.night / path).write_text(path)
        marker = claim_root(self.root)
        assert marker is not None
        self.marker = marker
        self.files = [self.listed(number, path) for number, path in enumerate(NAMES)]

    def listed(self, number: int, path: str, state: TrashState = TrashState.LEAVING) -> LeavingFile:
        status = (self.night / path).lstat()
        return LeavingFile(
            id=number,
            path=path,
            place=f"{DATE}.1/{path}",
            inode=status.st_ino,
            size_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            sha256=hashlib.sha256(path.encode()).hexdigest(),
            state=state,
        )

    def job(self, step: reclaim_moves.Step, state: TrashState = TrashState.LEAVING) -> MoveJob:
        return MoveJob(
            step=step,
            label=f"archive {DATE}",
            root=str(self.root),
            marker=self.marker,
            date=DATE,
            reclaim=None,
            files=[replace(file, state=state) for file in self.files],
        )

    def do(self, step: reclaim_moves.Step, state: TrashState = TrashState.LEAVING) -> list[str]:
        return [result.became for result in reclaim_moves.move(self.job(step, state))]

    def in_place(self) -> list[str]:
        return [path for path in NAMES if (self.night / path).exists()]

    def in_trash(self) -> list[str]:
        return [path for path in NAMES if (self.trash / path).exists()]

    @property
    def trash(self) -> Path:
        return self.root / TRASH_FOLDER / f"{DATE}.1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_files_go_into_the_trash_with_their_inodes(site: Site) -> None:
    assert site.do("move") == ["trashed", "trashed"]
    assert site.in_place() == []
    assert [(site.trash / path).stat().st_ino for path in NAMES] == [
        file.inode for file in site.files
    ]


def test_to_move_twice_is_to_move_once(site: Site) -> None:
    site.do("move")

    assert site.do("move") == ["trashed", "trashed"]
    assert site.in_trash() == list(NAMES)


def test_files_come_back_as_they_were(site: Site) -> None:
    site.do("move")

    assert site.do("return", TrashState.RETURNING) == ["returned", "returned"]
    assert site.in_place() == list(NAMES)
    assert [site.listed(n, path) for n, path in enumerate(NAMES)] == site.files
    assert not site.trash.exists()


def test_files_are_removed_from_the_trash_and_empty_folders_with_them(site: Site) -> None:
    (site.night / "notes.txt").write_text("ours")
    site.do("move")

    assert site.do("unlink", TrashState.UNLINKING) == ["unlinked", "unlinked"]
    assert site.in_trash() == []
    assert [path.name for path in site.night.iterdir()] == ["notes.txt"]
    assert not site.trash.exists()


def test_a_folder_that_holds_anything_stays(site: Site) -> None:
    other = site.night / "vcam1/notes.txt"
    other.write_text("an observer's")
    site.do("move")

    site.do("unlink", TrashState.UNLINKING)

    assert other.read_text() == "an observer's"


@pytest.mark.parametrize("step", ["move", "unlink"])
def test_a_file_with_another_time_stays(site: Site, step: reclaim_moves.Step) -> None:
    if step == "unlink":
        site.do("move")
    changed = (site.trash if step == "unlink" else site.night) / NAMES[0]
    os.utime(changed, ns=(1, 1))

    results = reclaim_moves.move(site.job(step))

    assert changed.exists()
    assert results[0].became == ("trashed" if step == "unlink" else "returned")
    assert "not the listed file" in (results[0].why or "")


def test_the_listed_bytes_come_back_from_a_trash_that_was_copied(site: Site) -> None:
    site.do("move")
    copied, other = (site.trash / name for name in NAMES)
    for path in (copied, other):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content if path is copied else content[::-1])

    results = reclaim_moves.move(site.job("return", TrashState.RETURNING))

    assert [result.became for result in results] == ["returned", "trashed"]
    assert site.in_place() == [NAMES[0]]
    assert "not the listed file" in (results[1].why or "")


def test_a_file_that_took_the_name_stays(site: Site) -> None:
    (site.night / "new").write_text(NAMES[0])
    (site.night / "new").replace(site.night / NAMES[0])

    assert site.do("move") == ["returned", "trashed"]
    assert site.in_place() == [NAMES[0]]


def test_a_link_that_took_the_name_stays(site: Site) -> None:
    path = site.night / NAMES[0]
    path.rename(site.night / "aside")
    path.symlink_to(site.night / "aside")

    assert site.do("move") == ["returned", "trashed"]
    assert path.is_symlink()


def test_a_camera_folder_that_is_a_link_is_not_entered(site: Site, tmp_path: Path) -> None:
    (site.night / "vcam1").rename(tmp_path / "elsewhere")
    (site.night / "vcam1").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"vcam1"):
        site.do("move")

    assert len(list((tmp_path / "elsewhere").iterdir())) == 2


def test_what_lies_in_the_place_is_never_replaced(site: Site) -> None:
    site.do("move")
    (site.night / NAMES[0]).write_text("another")

    results = reclaim_moves.move(site.job("return", TrashState.RETURNING))

    assert [result.became for result in results] == ["trashed", "returned"]
    assert "another file lies in its place" in (results[0].why or "")
    assert (site.night / NAMES[0]).read_text() == "another"


@pytest.mark.parametrize("marker", [None, "vampd-root 00000000-0000-0000-0000-000000000000\n"])
@pytest.mark.parametrize("step", ["move", "settle", "return", "unlink"])
def test_on_another_disk_nothing_is_touched(
    site: Site, step: reclaim_moves.Step, marker: str | None
) -> None:
    (site.root / MARKER_NAME).unlink()
    if marker is not None:
        (site.root / MARKER_NAME).write_text(marker)

    with pytest.raises(RetryableError, match="nothing of archive 20251106 was touched"):
        site.do(step)

    assert site.in_place() == list(NAMES)


def test_a_missing_root_is_no_fault_of_the_files(site: Site) -> None:
    site.root.rename(site.root.with_name("away"))

    with pytest.raises(RetryableError):
        site.do("settle")


@pytest.mark.parametrize(
    "path", ["manifest_VMP_20251106.csv", "../20251105/vcam1/a", "vgen2/../../x", "/etc/passwd"]
)
def test_nothing_but_cameras_files_and_outputs_may_go(site: Site, path: str) -> None:
    site.files[0] = replace(site.files[0], path=path)

    with pytest.raises(IntegrityError):
        site.do("move")


@pytest.mark.parametrize("place", ["../20251106/vcam1/x", "/etc/passwd"])
def test_the_trash_is_not_left_by_name(site: Site, place: str) -> None:
    site.files[0] = replace(site.files[0], place=place)

    with pytest.raises(IntegrityError):
        site.do("move")


#: What was intended, where the file is found; what that means; is it in its place, in the trash.
FOUND = [
    ("leaving", "place", "returned", True, False),
    ("leaving", "trash", "trashed", False, True),
    ("leaving", "nowhere", "lost", False, False),
    ("leaving", "both", "returned", True, False),
    (TrashState.RETURNING, "place", "returned", True, False),
    (TrashState.RETURNING, "trash", "returned", True, False),
    (TrashState.RETURNING, "nowhere", "lost", False, False),
    (TrashState.UNLINKING, "trash", "trashed", False, True),
    (TrashState.UNLINKING, "nowhere", "unlinked", False, False),
]


@pytest.mark.parametrize(("intended", "where", "became", "in_place", "in_trash"), FOUND)
def test_after_a_crash_files_are_where_they_are_found(
    site: Site, intended: str, where: str, became: str, in_place: bool, in_trash: bool
) -> None:
    path, lying = site.night / NAMES[0], site.trash / NAMES[0]
    site.files = site.files[:1]
    lying.parent.mkdir(parents=True)
    if where == "both":
        os.link(path, lying)
    elif where == "trash":
        path.rename(lying)
    elif where == "nowhere":
        path.unlink()

    results = site.do("settle", TrashState(intended))

    assert results == [TrashState(became)]
    assert (path.exists(), lying.exists()) == (in_place, in_trash)


def test_a_file_in_the_place_of_a_lost_one_is_told(site: Site) -> None:
    (site.night / NAMES[0]).rename(site.night / "aside")
    (site.night / NAMES[0]).write_text("another")

    results = reclaim_moves.move(site.job("settle"))

    assert results[0].became == "returned"
    assert "another file lies in its place" in (results[0].why or "")


def test_a_survey_finds_regular_files_only(site: Site) -> None:
    (site.night / "vcam2").mkdir()
    (site.night / "vcam2/a").mkdir()
    (site.night / "vcam2/b").symlink_to(site.night / NAMES[0])

    found = reclaim_moves.survey(site.job("move"), [*NAMES, "vcam2/a", "vcam2/b", "vgen2/c"])

    assert list(found) == list(NAMES)
