"""A night is verified, and moved on to where it belongs: by a real receiver."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.receive.test_carry import small_disk
from tests.support.receive_world import DATE, World, make_world, some_files
from tests.support.waiting import wait_until
from vampd import __version__
from vampd.receive import carry
from vampd.receive.carry import CarryFile, CarryJob
from vampd.stages.delivery_list import digest_in_name

OUTPUT = "vgen2/VMPA00425189.fits.fz"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def test_nights_of_both_kinds_are_moved_on_and_nothing_is_left(world: World) -> None:
    archive, engineering = some_files(), some_files()
    world.deliver(archive)
    world.deliver(engineering, "engineering")

    world.run()

    placed = world.placed("engineering")
    ours = {path: each for path, each in placed.items() if not path.startswith("ARCHIVED/")}
    assert world.placed() == digests(archive)
    assert ours == digests(engineering)
    assert world.left() == world.left("engineering") == []
    assert {night["state"] for night in world.json("status")["nights"]} == {"received"}


def test_what_is_wrong_odd_unlisted_or_in_the_way_is_told_and_the_rest_goes_on(
    world: World,
) -> None:
    files = some_files()
    world.deliver(files)
    wrong, taken, missing = sorted(path for path in files if path.startswith("vgen2/"))[:3]
    (world.inbox() / wrong).write_bytes(b"damaged")
    (world.inbox() / missing).unlink()
    (world.place() / taken).parent.mkdir(parents=True)
    (world.place() / taken).write_bytes(b"somebody else's")
    (world.inbox() / "vgen2" / "a link").symlink_to("/etc/passwd")
    (world.inbox() / "notes.txt").write_text("by hand")
    os.mkfifo(world.inbox() / os.fsdecode(b"no\xffutf\n8"))

    world.run(status=1)

    states = world.files()
    assert states.pop(wrong) == "wrong"
    assert states.pop(taken) == "in the way"
    assert states.pop(missing) == "awaited"
    assert states.pop("vgen2/a link") == "odd"
    assert states.pop("no\\udcffutf\n8") == "odd"
    assert states.pop("notes.txt") == "unlisted"
    assert set(states.values()) == {"placed"}
    assert (world.place() / taken).read_bytes() == b"somebody else's"
    shown = world.call("show", DATE).stdout
    for content in (files[wrong], b"damaged", files[taken], b"somebody else's"):
        assert hashlib.sha256(content).hexdigest() in shown
    check = world.call("check")
    assert (check.returncode, check.stdout.startswith("VAMPD RECEIVE CRITICAL")) == (2, True)

    # An operator sees to it, and says so.
    (world.inbox() / wrong).write_bytes(files[wrong])
    (world.inbox() / missing).write_bytes(files[missing])
    (world.place() / taken).unlink()
    (world.inbox() / "vgen2" / "a link").unlink()
    (world.inbox() / os.fsdecode(b"no\xffutf\n8")).unlink()
    assert world.call("retry", DATE).returncode == 0
    world.run()

    assert world.placed() == digests(files)
    assert world.left() == ["notes.txt"]


def test_a_night_goes_on_with_what_comes_later(world: World) -> None:
    first, later = some_files(2), {"vgen2/VMPA00500000.fits.fz": b"a supplement"}
    world.deliver(first)
    world.run()
    anew = {".vampd/night.log": b"made anew\n"}

    world.deliver(later)
    world.deliver(anew)
    world.deliver({OUTPUT: first[OUTPUT]})  # sent again, for the sender saw it nowhere
    world.run()

    placed = world.placed()
    old = hashlib.sha256(first[".vampd/night.log"]).hexdigest()
    assert placed.pop(f".vampd/older/.vampd/night.log.sha256-{old}") == old
    assert placed == digests({**first, **later, **anew})
    assert world.left() == []


def test_a_file_that_grows_is_moved_on_once_it_is_whole(tmp_path: Path) -> None:
    world = make_world(tmp_path, settle=0.6)
    files = some_files(1)
    world.list_only(files)
    path = world.inbox() / OUTPUT
    path.parent.mkdir(parents=True, exist_ok=True)

    with world.running(), path.open("wb", buffering=0) as growing:
        growing.write(files[OUTPUT][:1000])
        wait_until(lambda: "arriving" in world.call("log").stdout and OUTPUT in world.files())
        wait_until(lambda: world.files()[OUTPUT] in {"arriving", "wrong"})
        growing.write(files[OUTPUT][1000:])
        wait_until((world.place() / OUTPUT).exists)

    assert (world.place() / OUTPUT).read_bytes() == files[OUTPUT]


def test_events_are_enough(tmp_path: Path) -> None:
    """The next look is an hour away: what comes meanwhile is moved on all the same."""
    world = make_world(tmp_path, events=True)
    files = some_files(2)

    with world.running():
        wait_until(lambda: f"receive {__version__} began" in world.log())
        world.deliver(files)
        wait_until(lambda: world.placed() == digests(files))

    assert world.left() == []


def test_events_of_a_folder_that_was_empty_at_the_last_look_are_enough(tmp_path: Path) -> None:
    world = make_world(tmp_path, events=True)
    files = some_files(2)
    world.inbox().mkdir()

    with world.running():
        wait_until(lambda: f"receive {__version__} began" in world.log())
        world.deliver(files, "engineering")
        wait_until(lambda: "engineering 20251106: received" in world.log(), world.log)
        (world.inbox("engineering") / "notes").touch()  # once that is seen, no look is due
        wait_until(lambda: world.files().get("notes") == "unlisted", world.log)
        world.deliver(files)
        wait_until(lambda: world.placed() == digests(files), world.log)

    assert world.left() == []


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "3m") as disk:
        world = make_world(tmp_path, to=disk)
        ballast = disk / "ballast"
        ballast.write_bytes(os.urandom(2 << 20))
        files = {OUTPUT: os.urandom(2 << 20)}
        world.deliver(files)

        with world.running():
            wait_until(lambda: ": waiting: " in world.log())
            told = world.call("status").stdout
            ballast.unlink()
            wait_until(lambda: world.placed() == digests(files))
            wait_until(lambda: world.json("status")["nights"][0]["state"] == "received")

    assert "No space left on device" in told or "are free" in told


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 2), *(pytest.param(n, 8, marks=pytest.mark.campaign) for n in range(8))]
)
def test_killed_at_any_moment_it_goes_on_to_the_same_tree(
    tmp_path: Path, seed: int, kills: int
) -> None:
    chance = random.Random(seed)
    with small_disk(tmp_path / "other", "200m") as disk:
        world = make_world(tmp_path, to=disk)
        files = some_files(40, 1_000_000)
        world.deliver(files)

        for _ in range(kills):
            goal = min(len(files), len(world.placed()) + chance.randint(1, 6))
            world.kill_when(partial(_as_many_are_placed, world, goal))
        world.run()

        assert world.placed() == digests(files)
        assert world.left() == []
        assert set(world.files().values()) == {"placed"}


def _as_many_are_placed(world: World, files: int) -> bool:
    return len(world.placed()) >= files


def test_a_list_whose_receiver_died_before_it_wrote_down_what_it_tells_is_read_again(
    world: World,
) -> None:
    first, later = some_files(2), {"vgen2/VMPA00500000.fits.fz": b"a supplement"}
    world.deliver(first)
    world.run()
    world.deliver(later)
    (path,) = (path for path in world.left() if "/delivery-" in path)

    carry.work(
        CarryJob(
            night=f"archive {DATE}",
            inbox=str(world.inbox().parent),
            date=DATE,
            base=str(world.to),
            place=f"{DATE}/ARCHIVED",
            marker=None,
            keep_free_bytes=0,
            files=[CarryFile(path=path, digests=[digest_in_name(path)], ours=None, is_list=True)],
        )
    )
    world.run()

    assert world.placed() == digests({**first, **later})
    assert world.left() == []


def test_a_file_without_a_place_keeps_no_other_one(world: World) -> None:
    files = {"a/cube": b"1", "b": b"2", "c" * 300: b"", "z/cube": b"3"}
    world.place().mkdir(parents=True)
    (world.place() / "a").write_bytes(b"somebody's")
    world.list_only(files)
    world.deliver({path: files[path] for path in ("a/cube", "b", "z/cube")}, listed=False)

    world.run(status=1)

    states = world.files()
    assert (states["b"], states["z/cube"], states["a/cube"]) == ("placed", "placed", "odd")
    assert (world.place() / "a").read_bytes() == b"somebody's"
    assert (world.inbox() / "a" / "cube").read_bytes() == b"1"


def test_what_was_wrong_is_right_once_a_list_tells_its_digest(world: World) -> None:
    world.list_only({OUTPUT: b"old"})
    world.deliver({OUTPUT: b"new"}, listed=False)
    world.run(status=1)
    assert world.files()[OUTPUT] == "wrong"

    world.list_only({OUTPUT: b"new"})
    world.run()

    assert (world.place() / OUTPUT).read_bytes() == b"new"


def test_an_older_version_is_not_the_one_that_the_last_list_awaits(world: World) -> None:
    world.deliver({OUTPUT: b"first"})
    world.run()

    world.list_only({OUTPUT: b"second"})
    world.run(status=1)
    before = world.files()[OUTPUT]
    world.deliver({OUTPUT: b"second"}, listed=False)
    world.run()

    assert before == "awaited"
    assert (world.place() / OUTPUT).read_bytes() == b"second"


def test_an_older_version_that_comes_late_is_not_all_that_is_awaited(world: World) -> None:
    for content in (b"first", b"second"):
        world.list_only({OUTPUT: content})
        world.run(status=1)

    world.deliver({OUTPUT: b"first"}, listed=False)
    world.run(status=1)
    before = world.files()[OUTPUT]
    world.deliver({OUTPUT: b"second"}, listed=False)
    world.run()

    assert before == "awaited"
    assert (world.place() / OUTPUT).read_bytes() == b"second"


def test_a_list_that_comes_again_tells_the_newest_digests(world: World) -> None:
    for content in (b"first", b"second"):
        world.deliver({OUTPUT: content})
        world.run()

    world.list_only({OUTPUT: b"first"})
    world.run(status=1)
    before = world.files()[OUTPUT]
    world.deliver({OUTPUT: b"first"}, listed=False)
    world.run()

    assert before == "awaited"
    assert (world.place() / OUTPUT).read_bytes() == b"first"
    assert world.left() == []


def test_an_inbox_that_cannot_be_looked_into_changes_nothing(world: World) -> None:
    world.deliver(some_files(1))
    (world.inbox() / OUTPUT).write_bytes(b"damaged")
    world.run(status=1)
    before = world.files()
    assert before[OUTPUT] == "wrong"

    world.inbox().rename(world.folder / "away")
    world.inbox().symlink_to(world.folder / "away")
    world.run(status=1)

    assert world.files() == before
    assert "held" in world.call("status").stdout


def test_a_date_that_was_years_ahead_puts_nothing_off(world: World) -> None:
    first, later = some_files(1), {"vgen2/VMPA00500000.fits.fz": b"a supplement"}
    world.list_only({**first, **later})
    world.deliver(first, listed=False)
    world.run(status=1)
    ahead_us = 4_102_444_800_000_000  # 2100
    with closing(sqlite3.connect(world.folder / "receiver" / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("update night set due_us = ?1, moved_us = ?1", [ahead_us])

    world.deliver(later, listed=False)
    world.run()

    assert world.placed() == digests({**first, **later})
    assert world.json("status")["nights"][0]["state"] == "received"
