"""What every destination promises, tried on each kind: a folder here, one by ssh, vampd-remote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from tests.support.far_side import DATE, SIDES, FarSide
from vampd.errors import FarDiskError, OperatorError, VampdError
from vampd.io.listed_files import ListedFile
from vampd.remote.answers import ABSENT, EXISTS, PUBLISHED
from vampd.remote.commands import LEDGER_COPIES
from vampd.remote.destination_marker import Disk
from vampd.remote.location import Location
from vampd.remote.store import ABSENT as NOT_THERE
from vampd.remote.store import Store
from vampd.remote.table import store_of

CUBE, LIST = "vgen2/VMPA00000007.fits.fz", "manifest.csv"


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with SIDES[request.param](tmp_path) as side:
        side.add(CUBE, b"frames" * 1000)
        side.add(LIST, b"VMPA00000007\n")
        yield side


def store(side: FarSide, *disks: Disk) -> Store:
    return store_of(replace(side.transfer_job(), disks=disks), Location.parse(side.place))


def delivered(side: FarSide) -> Store:
    """A store to which all was delivered."""
    made = store(side)
    made.receive(DATE, side.night, side.files, afresh=False)
    made.publish(DATE, {file.path: "" for file in side.files})
    return made


def renewed(side: FarSide, path: str, content: bytes) -> ListedFile:
    """Other bytes under a name that was listed."""
    side.files[:] = [file for file in side.files if file.path != path]
    return side.add(path, content)


def test_what_arrives_bears_no_final_name_until_it_is_published(side: FarSide) -> None:
    made = store(side)

    sent = made.receive(DATE, side.night, side.files, afresh=False)
    before = made.digests(side.files, below=DATE)
    arrived = made.arrived(DATE, side.files)
    words = made.publish(DATE, {file.path: "" for file in side.files})
    after = made.digests(side.files, below=DATE)

    assert sorted(sent) == sorted([CUBE, LIST])
    assert all(before[path].why in NOT_THERE for path in (CUBE, LIST))
    assert words == {CUBE: PUBLISHED, LIST: PUBLISHED}
    for file in side.files:
        assert arrived[file.path].sha256 == after[file.path].sha256 == file.sha256
    assert not side.incoming.exists()


def test_what_was_published_already_is_published_again_and_what_never_came_is_lost(
    side: FarSide,
) -> None:
    made = delivered(side)

    assert made.publish(DATE, {CUBE: ""}) == {CUBE: ABSENT}
    made.receive(DATE, side.night, side.files[:1], afresh=False)
    (side.arrived / CUBE).unlink()
    os.link(side.incoming / CUBE, side.arrived / CUBE)
    assert made.publish(DATE, {CUBE: ""}) == {CUBE: PUBLISHED}


def test_what_a_killed_rsync_left_of_a_file_goes_once_that_is_published(side: FarSide) -> None:
    made = store(side)
    made.receive(DATE, side.night, side.files, afresh=False)
    left = [side.incoming / "vgen2" / f".{name}.MZb0TA" for name in (Path(CUBE).name, "other")]
    for path in left:
        path.write_bytes(b"frames")

    made.publish(DATE, {file.path: "" for file in side.files})

    assert [path.exists() for path in left] == [False, True]


def test_a_file_in_the_way_is_never_replaced(side: FarSide) -> None:
    made = delivered(side)
    other = renewed(side, CUBE, b"other frames")

    made.receive(DATE, side.night, [other], afresh=False)
    words = made.publish(DATE, {CUBE: ""})

    assert words == {CUBE: EXISTS}
    assert (side.arrived / CUBE).read_bytes() == b"frames" * 1000
    assert made.evidence(DATE) == []


def test_a_file_in_the_way_is_set_aside_under_its_tag_and_kept(side: FarSide) -> None:
    made = delivered(side)
    other = renewed(side, CUBE, b"other frames")

    made.receive(DATE, side.night, [other], afresh=False)
    words = made.publish(DATE, {CUBE: "sha256-old"})

    assert words == {CUBE: PUBLISHED}
    assert (side.arrived / CUBE).read_bytes() == b"other frames"
    assert made.evidence(DATE) == [f"{CUBE}.sha256-old"]
    assert side.evidence == {f"{CUBE}.sha256-old": b"frames" * 1000}


def test_what_arrived_wrong_under_the_same_size_and_time_arrives_right_when_compared(
    side: FarSide,
) -> None:
    made = store(side)
    made.receive(DATE, side.night, side.files, afresh=False)
    there = side.incoming / CUBE
    status = there.stat()
    there.write_bytes(b"FRAMES" * 1000)
    os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))

    trusted = made.receive(DATE, side.night, side.files[:1], afresh=False)
    compared = made.receive(DATE, side.night, side.files[:1], afresh=True)

    assert (trusted, compared) == ([], [CUBE])
    assert made.arrived(DATE, side.files[:1])[CUBE].sha256 == side.files[0].sha256


def test_a_link_in_place_of_a_folder_is_followed_by_no_verb(side: FarSide) -> None:
    elsewhere = side.destination.parent / "elsewhere"
    elsewhere.mkdir()
    side.arrived.symlink_to(elsewhere)

    with pytest.raises(VampdError):  # at the latest when it would bear a name there
        delivered(side)

    assert list(elsewhere.iterdir()) == []


def test_the_first_claim_of_a_disk_stands_and_answers_count_on_that_disk_alone(
    side: FarSide,
) -> None:
    made = delivered(side)

    unclaimed = made.disk()
    first, second = made.claim(), made.claim()
    known = store(side, Disk(place=side.place, marker=first.marker))
    other = store(side, Disk(place=side.place, marker=str(UUID(int=0))))

    assert (unclaimed.marker, unclaimed.is_bare) == (None, False)
    assert first.marker is not None
    assert first.marker == second.marker == made.disk().marker
    assert known.digests(side.files, below=DATE)[CUBE].sha256 == side.files[0].sha256
    with pytest.raises(FarDiskError, match="is another"):
        other.digests(side.files, below=DATE)


def test_a_destination_that_is_not_there_receives_nothing_and_says_why(side: FarSide) -> None:
    assert store(side).complaints() == []
    side.destination.rename(side.destination.with_name("moved"))

    with pytest.raises(OperatorError, match="No such file or directory"):
        store(side).receive(DATE, side.night, side.files, afresh=False)
    assert any("no folder" in line for line in store(side).complaints())
    assert not side.destination.exists()


def test_frame_ids_of_what_was_delivered_are_told_by_date(side: FarSide) -> None:
    delivered(side)
    place = Location.parse(side.place)
    nights = Location(path=f"{place.path}/", host=place.host)

    assert store_of(side.transfer_job(), nights).numbers("") == {DATE: [7]}


def test_what_was_published_is_fetched_back_where_the_key_may_read(
    side: FarSide, tmp_path: Path
) -> None:
    made = delivered(side)
    back = tmp_path / "back"
    descriptor = os.open(back, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        if side.far_helper:
            with pytest.raises(OperatorError, match="its key may send and not fetch"):
                made.fetch(side.files[0], descriptor, below=DATE)
            assert back.read_bytes() == b""
        else:
            made.fetch(side.files[0], descriptor, below=DATE)
            assert back.read_bytes() == b"frames" * 1000
    finally:
        os.close(descriptor)


def test_of_the_ledger_s_copies_the_newest_stay_and_nothing_else_goes(side: FarSide) -> None:
    made = store(side)
    names = [f"ledger-2025110{day}T030000Z-{'ab' * 32}.sqlite3.gz" for day in range(1, 6)]
    others = ["ledger-20251101T030000Z.sqlite3.gz", "VMPA00000007.fits.fz"]
    copies = [renewed(side, name, name.encode()) for name in [*names, *others]]
    made.thin(2)  # where nothing was ever delivered
    made.receive(LEDGER_COPIES, side.night, copies, afresh=False)
    made.publish(LEDGER_COPIES, dict.fromkeys([*names, *others], ""))

    made.thin(0)

    left = {path.name for path in (side.destination / LEDGER_COPIES).iterdir()}
    assert left == {*names[-2:], *others}
    assert made.digests(copies[4:5], below=LEDGER_COPIES)[names[-1]].sha256 == copies[4].sha256
