"""One file: verified, moved on, never over another one, and whole at every moment."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.receive_world import DATE
from vampd.errors import IntegrityError, ResourceError, RetryableError
from vampd.io.beneath import Beneath, create_folders
from vampd.receive import carry
from vampd.receive.carry import CarryFile, CarryJob, Verdict

PATH = "vgen2/VMPA00425189.fits.fz"
CONTENT = b"frames" * 5000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Site:
    """A file in an inbox, and the folder to which its night belongs."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.inbox = folder / "tier1"
        self.base = base
        (base / "lost+found").mkdir(parents=True)
        self.source = self.inbox / DATE / PATH
        self.place = base / DATE / "ARCHIVED"
        self.final = self.place / PATH
        self.source.parent.mkdir(parents=True)
        self.marker: str | None = None

    def deliver(self, content: bytes = CONTENT) -> None:
        self.source.write_bytes(content)

    def occupy(self, content: bytes) -> None:
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self.final.write_bytes(content)

    def job(self, *files: CarryFile) -> CarryJob:
        return CarryJob(
            night=f"archive {DATE}",
            inbox=str(self.inbox),
            date=DATE,
            base=str(self.base),
            place=f"{DATE}/ARCHIVED",
            marker=self.marker,
            keep_free_bytes=0,
            files=list(files),
        )

    def carry(self, *digests: str, ours: str | None = None, path: str = PATH) -> Verdict:
        done = carry.work(
            self.job(CarryFile(path=path, digests=digests or [sha256(CONTENT)], ours=ours))
        )
        self.marker = done.marker
        (verdict,) = done.verdicts
        return verdict


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Another file system, of *size*; skips where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(params=["same disk", "other disk"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "same disk":
        yield Site(tmp_path, tmp_path / "sdata")
        return
    with small_disk(tmp_path / "other", "4m") as disk:
        yield Site(tmp_path, disk / "sdata")


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".vampd-root"
    }


def test_a_file_with_the_listed_digest_is_moved_on(site: Site) -> None:
    site.deliver()
    os.utime(site.source, ns=(0, 1_762_400_000_123_456_789))

    verdict = site.carry()

    assert (verdict.word, verdict.sha256) == ("placed", sha256(CONTENT))
    assert everything(site.base) == {f"{DATE}/ARCHIVED/{PATH}": CONTENT}
    assert site.final.stat().st_mtime_ns == 1_762_400_000_123_456_789
    assert everything(site.inbox) == {}


def test_a_file_with_another_digest_stays_where_it_is(site: Site) -> None:
    site.deliver(b"damaged")

    verdict = site.carry()

    assert verdict.word == "different"
    assert sha256(b"damaged") in verdict.why
    assert sha256(CONTENT) in verdict.why
    assert site.source.read_bytes() == b"damaged"
    assert everything(site.base) == {}


def test_a_different_file_is_never_replaced(site: Site) -> None:
    site.deliver()
    site.occupy(b"another one")

    verdict = site.carry()

    assert (verdict.word, verdict.there) == ("in the way", sha256(b"another one"))
    assert site.final.read_bytes() == b"another one"
    assert site.source.read_bytes() == CONTENT


def test_a_different_file_that_comes_meanwhile_is_not_replaced(site: Site) -> None:
    site.deliver()
    file = CarryFile(path=PATH, digests=[sha256(CONTENT)], ours=None)
    place = create_folders(Beneath(site.base), f"{DATE}/ARCHIVED")
    move = carry._Move.of(site.job(file), file, place)
    site.occupy(b"another one")  # after it was looked whether the name is free
    descriptor = os.open(site.source, os.O_RDONLY)

    try:
        with pytest.raises((FileExistsError, IntegrityError)):
            carry._move(move, descriptor, os.fstat(descriptor), sha256(CONTENT))
    finally:
        os.close(descriptor)

    assert site.final.read_bytes() == b"another one"
    assert site.source.read_bytes() == CONTENT


def test_the_same_file_is_there_already_and_the_one_in_the_inbox_goes(site: Site) -> None:
    site.deliver()
    site.occupy(CONTENT)

    assert site.carry().word == "there already"

    assert site.final.read_bytes() == CONTENT
    assert not site.source.exists()


def test_an_older_version_of_its_own_is_set_aside(site: Site) -> None:
    older = b"as it was first delivered"
    site.deliver()
    site.occupy(older)

    verdict = site.carry(ours=sha256(older))

    aside = f"{DATE}/ARCHIVED/.vampd/older/{PATH}.sha256-{sha256(older)}"
    assert verdict.word == "placed"
    assert everything(site.base) == {f"{DATE}/ARCHIVED/{PATH}": CONTENT, aside: older}


def test_a_version_of_its_own_that_somebody_changed_is_not_its_own(site: Site) -> None:
    site.deliver()
    site.occupy(b"changed by hand")

    assert site.carry(ours=sha256(b"as it was")).word == "in the way"
    assert site.final.read_bytes() == b"changed by hand"


def test_what_is_in_neither_place_is_absent(site: Site) -> None:
    assert site.carry().word == "absent"


def test_what_a_hand_moved_on_is_found_there(site: Site) -> None:
    site.occupy(CONTENT)

    assert site.carry().word == "there already"


def test_another_file_there_does_not_count_as_the_awaited_one(site: Site) -> None:
    site.occupy(b"another one")

    assert site.carry().word == "absent"


def test_a_disk_that_is_full_is_waited_for_and_no_part_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path / "other", "1m") as disk:
        site = Site(tmp_path, disk / "sdata")
        site.deliver(os.urandom(3 << 20))

        with pytest.raises(ResourceError):
            site.carry(sha256(site.source.read_bytes()))

        assert site.source.stat().st_size == 3 << 20
        assert everything(site.base) == {}


def test_free_space_is_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "other", "4m") as disk:
        site = Site(tmp_path, disk / "sdata")
        site.deliver()
        job = site.job(CarryFile(path=PATH, digests=[sha256(CONTENT)], ours=None))

        with pytest.raises(ResourceError, match=r"disk\.keep_free_gb \(0\.1\)"):
            carry.work(replace(job, keep_free_bytes=100_000_000))


def test_a_copy_that_was_cut_is_made_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "other", "4m") as disk:
        site = Site(tmp_path, disk / "sdata")
        site.deliver()
        site.final.parent.mkdir(parents=True)
        (site.final.parent / f".{sha256(CONTENT)[:32]}.vampd-receive").write_bytes(b"half of")

        assert site.carry().word == "placed"
        assert everything(site.base) == {f"{DATE}/ARCHIVED/{PATH}": CONTENT}


def test_without_its_disk_nothing_is_written(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "sdata")
    site.deliver()
    (site.base / "lost+found").rmdir()  # as a mount point without its disk looks

    with pytest.raises(RetryableError, match="as if its disk were not mounted"):
        site.carry()

    assert list(site.base.iterdir()) == []


def test_another_disk_in_its_place_is_not_written_to(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "sdata")
    site.deliver()
    site.marker = "00000000-0000-0000-0000-000000000000"

    with pytest.raises(RetryableError, match="not the disk that it was"):
        site.carry()

    assert site.source.exists()


@pytest.mark.parametrize("sort", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_odd_and_not_touched(tmp_path: Path, sort: str) -> None:
    site = Site(tmp_path, tmp_path / "sdata")
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT)
    match sort:
        case "link":
            site.source.symlink_to(outside)
        case "pipe":
            os.mkfifo(site.source)
        case _:
            site.source.mkdir()

    assert site.carry().word == "odd"
    assert everything(site.base) == {}
    assert outside.read_bytes() == CONTENT


def test_a_link_where_a_folder_belongs_leads_nowhere(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "sdata")
    site.deliver()
    outside = tmp_path / "outside"
    outside.mkdir()
    site.place.mkdir(parents=True)
    (site.place / "vgen2").symlink_to(outside)

    assert site.carry().word == "odd"
    assert list(outside.iterdir()) == []
    assert site.source.read_bytes() == CONTENT


def test_progress_is_told_with_the_error(tmp_path: Path) -> None:
    with small_disk(tmp_path / "other", "1m") as disk:
        site = Site(tmp_path, disk / "sdata")
        site.deliver()
        big = site.source.with_name("big")
        big.write_bytes(os.urandom(3 << 20))
        files = [
            CarryFile(path=PATH, digests=[sha256(CONTENT)], ours=None),
            CarryFile(path="vgen2/big", digests=[sha256(big.read_bytes())], ours=None),
        ]

        with pytest.raises(ResourceError) as error:
            carry.work(site.job(*files))

        assert [each.word for each in error.value.progress.verdicts] == ["placed"]


def test_a_file_that_cannot_be_moved_keeps_no_other_one(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "sdata")
    site.deliver()
    site.source.with_name("next").write_bytes(b"next")
    mount = ["mount", "--bind", str(site.source), str(site.source)]  # nobody can rename it now
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    files = [
        CarryFile(path=PATH, digests=[sha256(CONTENT)], ours=None),
        CarryFile(path="vgen2/next", digests=[sha256(b"next")], ours=None),
    ]
    try:
        with pytest.raises(RetryableError, match="busy") as caught:
            carry.work(site.job(*files))
    finally:
        subprocess.run(["umount", str(site.source)], check=True)

    told = caught.value.progress
    assert [(each.path, each.word) for each in told.verdicts] == [("vgen2/next", "placed")]
