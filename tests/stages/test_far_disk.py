"""A far folder counts only on the disk on which it was."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from tests.support.far_side import DATE, SIDES, FarSide, fill, liar, lie
from vampd.errors import OperatorError, RetryableError
from vampd.io.listed_files import ListedFile
from vampd.remote import destination_marker
from vampd.remote.answers import FarDisk
from vampd.remote.destination_marker import Disk, Marked, marker_text
from vampd.remote.location import Location
from vampd.remote.store import FarJob
from vampd.remote.table import store_of
from vampd.stages import transfer, verify

MARKER = ".vampd-destination"


class Marking(Struct, kw_only=True):
    """A far side, and what the ledger knows of its disk."""

    side: FarSide
    disk: Disk
    marked: list[Marked] = field(default_factory=list)

    @property
    def marker(self) -> Path:
        return self.side.destination / MARKER

    def send(self) -> None:
        job = replace(self.side.transfer_job(), disks=[self.disk])
        done = transfer.work(job)
        self.side.own.extend(file.path for file in done.published)
        self._remember(done.marked)

    def verdicts(self) -> set[str]:
        job = replace(self.side.verify_job(), disks=[self.disk])
        done = verify.work(job)
        self._remember(done.marked)
        return {result.verdict for result in done.results}

    def _remember(self, marked: list[Marked]) -> None:
        """As the ledger does."""
        self.marked = marked
        for each in marked:
            self.disk = replace(self.disk, marker=each.marker)

    def unmount(self) -> None:
        """What an absent disk leaves behind: the folder, and nothing in it."""
        self.side.destination.rename(self.side.destination.parent / "disk")
        self.side.destination.mkdir()

    def mount(self) -> None:
        shutil.rmtree(self.side.destination)
        (self.side.destination.parent / "disk").rename(self.side.destination)


@pytest.fixture(params=SIDES)
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Marking]:
    with SIDES[request.param](tmp_path) as side:
        fill(side)
        disk = Disk(place=side.place, marker=None, may_claim=True)
        yield Marking(side=side, disk=disk)


FILE = ListedFile(path="20251106/a", size_bytes=1, sha256="")
DISK = Disk(place="/far", marker=None)
MOVED_ON = replace(DISK, is_known=True, is_moved_on=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_delivery_marks_the_disk_and_the_next_one_knows_it(far: Marking) -> None:
    far.send()

    [marked] = far.marked
    assert far.marker.read_text() == marker_text(marked.marker)
    assert str(uuid.UUID(marked.marker)) == marked.marker
    assert (marked.place, marked.why) == (far.side.place, "the first delivery there")

    far.side.add("vgen2/later.txt", b"later")
    far.send()

    assert far.marked == []
    assert far.verdicts() == {"verified"}
    assert far.marker.read_text() == marker_text(marked.marker)


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_nothing_is_sent_to_what_lies_in_the_disks_place_and_nothing_there_counts(
    far: Marking, instead: str
) -> None:
    far.send()
    far.unmount()
    disk = far.side.destination.parent / "disk"
    if instead == "another":
        far.marker.write_text(marker_text(str(uuid.uuid4())))
        shutil.copytree(disk / DATE, far.side.arrived)  # though every byte be right there
    before = names(far.side.destination)
    far.side.add("vgen2/later.txt", b"later")

    words = "is another: not the disk" if instead == "another" else "is missing: not mounted"
    with pytest.raises(RetryableError, match=words):
        far.send()
    with pytest.raises(RetryableError, match=words):
        far.verdicts()

    assert names(far.side.destination) == before
    assert not (far.side.arrived / "vgen2/later.txt").exists()
    far.mount()
    far.send()
    assert far.verdicts() == {"verified"}


def test_an_unmarked_folder_that_is_empty_proves_no_copy_missing(far: Marking) -> None:
    far.send()
    far.unmount()
    far.disk = Disk(place=far.side.place, marker=None, may_claim=True, is_known=True)

    with pytest.raises(RetryableError, match="far disk"):
        far.verdicts()

    assert names(far.side.destination) == []


def test_a_disk_that_goes_while_files_arrive_publishes_none_of_them(
    far: Marking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far.send()
    far.side.add("vgen2/later.txt", b"later")
    real = shutil.which("rsync")
    lie(monkeypatch, liar(tmp_path / "bin", "rsync", f'{real} "$@" && rm "{far.marker}"'))

    with pytest.raises(RetryableError, match="is missing"):
        far.send()

    assert not (far.side.arrived / "vgen2/later.txt").exists()


def test_a_marker_that_is_there_already_is_taken_and_not_replaced(far: Marking) -> None:
    known = str(uuid.uuid4())
    far.marker.write_text(marker_text(known))

    far.send()

    assert far.marked == [Marked(place=far.side.place, marker=known, why="its marker was there")]


@pytest.mark.parametrize("kind", ["text", "empty", "link", "folder"])
def test_what_is_no_marker_is_for_an_operator(far: Marking, kind: str) -> None:
    if kind == "link":
        far.marker.symlink_to("/etc/hostname")
    elif kind == "folder":
        far.marker.mkdir()
    else:
        far.marker.write_text("mine\n" if kind == "text" else "")

    with pytest.raises(OperatorError):
        far.send()

    assert not far.side.arrived.exists()


def delivered_by_an_older_version(far: Marking) -> None:
    """The ledger knows of deliveries, and of no marker."""
    far.disk = replace(far.disk, may_claim=False)
    far.send()
    far.disk = replace(
        far.disk,
        may_claim=True,
        is_known=True,
        copies=[replace(file, path=f"{DATE}/{file.path}") for file in far.side.files[:2]],
    )
    assert not far.marker.exists()


def test_a_disk_that_an_older_version_delivered_to_is_known_by_what_lies_there(
    far: Marking,
) -> None:
    delivered_by_an_older_version(far)

    assert far.verdicts() == {"verified"}

    [marked] = far.marked
    assert marked.why == "2 of 2 files that were delivered there are there"
    assert far.marker.exists()


def test_an_empty_folder_is_not_taken_for_a_disk_that_was_delivered_to(far: Marking) -> None:
    delivered_by_an_older_version(far)
    far.unmount()

    with pytest.raises(RetryableError, match="is missing"):
        far.verdicts()
    with pytest.raises(RetryableError, match="is missing"):
        far.send()

    assert names(far.side.destination) == []


def test_where_a_folder_is_missing_nothing_is_marked(far: Marking) -> None:
    far.side.destination.rmdir()

    with pytest.raises(OperatorError, match="No such file or directory"):
        far.send()


@pytest.mark.parametrize(
    ("disk", "found", "right", "expected"),
    [
        (DISK, FarDisk(is_bare=True, marker=None), 0, "the first delivery there"),
        (replace(DISK, is_known=True), FarDisk(is_bare=False, marker=None), 0, None),
        (replace(DISK, is_known=True), FarDisk(is_bare=True, marker=None), 0, None),
        (MOVED_ON, FarDisk(is_bare=True, marker=None), 0, None),
        (
            MOVED_ON,
            FarDisk(is_bare=False, marker=None),
            0,
            "what was delivered there is moved on, and the folder is not an empty one",
        ),
        (
            replace(DISK, is_known=True, copies=[FILE]),
            FarDisk(is_bare=False, marker=None),
            1,
            "1 of 1 files that were delivered there are there",
        ),
    ],
)
def test_an_unmarked_disk_is_there_if_something_tells_so(
    disk: Disk, found: FarDisk, right: int, expected: str | None
) -> None:
    assert destination_marker.why_it_is_there(disk, found, right) == expected


def test_a_mount_point_is_not_bare(tmp_path: Path) -> None:
    """A new disk has nothing on it, and is there all the same."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    from tests.stages.test_transfer import mounted

    (tmp_path / "disk").mkdir()
    job = FarJob(night="a night")
    place = Location.parse(str(tmp_path / "disk"))
    assert store_of(job, place).disk().is_bare
    with mounted(tmp_path / "disk", "size=1m"):
        assert not store_of(job, place).disk().is_bare
