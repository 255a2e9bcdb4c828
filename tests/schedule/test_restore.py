"""What a restore must not undo, or leave half undone."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.schedule.test_given_back import world
from tests.support.reclaim_nights import CrashError, NightTruth
from tests.support.reclaim_story import ack
from tests.support.reclaim_world import World
from vampd.errors import OperatorError
from vampd.ledger import nights
from vampd.orders.night import Orders
from vampd.states import NightStatus

__all__ = ["world"]


@pytest.fixture
def night(world: World) -> NightTruth:
    """A safe night, acknowledged by the archive."""
    ack(world, world.nights[0])
    return world.nights[0]


def _outputs(night: NightTruth) -> list[Path]:
    return sorted((night.folder / "vgen2").iterdir())


def _restore(world: World, night: NightTruth) -> None:
    named = {"kind": night.kind, "date": night.date, "dry_run": False, "force": True}
    Orders(world.ledger, world.config).carry_out("restore", named, "uid 0")


def _status(world: World, night: NightTruth) -> str:
    return str(nights.get_night(world.ledger, night.number).status)


@pytest.mark.parametrize("gone", ["vcam1_00:00:00.000000000.fits", "vcam1_00:00:00.000000000.txt"])
def test_outputs_stay_while_a_raw_file_of_theirs_is_gone(
    world: World, night: NightTruth, gone: str
) -> None:
    outputs = _outputs(night)
    content = (night.folder / "vcam1" / gone).read_bytes()
    (night.folder / "vcam1" / gone).rename(world.root / "aside")
    world.scan_cycle.go()

    with pytest.raises(OperatorError, match=f"{gone}: gone"):
        _restore(world, night)
    (night.folder / "vcam1" / gone).write_bytes(content + b"other")
    with pytest.raises(OperatorError, match=f"{gone}: gone"):
        _restore(world, night)
    left = _outputs(night)
    (night.folder / "vcam1" / gone).unlink()
    (world.root / "aside").rename(night.folder / "vcam1" / gone)
    world.scan_cycle.go()

    assert left == outputs
    assert world.order("restore", night, force=True)


@pytest.mark.parametrize("what", ["safe, then held", "told of"])
def test_a_hold_does_not_make_a_safe_or_mailed_night_one_that_is_restored_without_force(
    world: World, night: NightTruth, what: str
) -> None:
    outputs = _outputs(night)
    world.order("hold", night, why="a look")
    world.refresh()
    if what == "told of":
        world.ledger.execute("update night set safe_us = null where id = ?", [night.number])

    refused = not world.order("restore", night)

    assert _status(world, night) == NightStatus.HELD
    assert refused
    assert _outputs(night) == outputs


def test_a_restore_that_was_cut_short_is_finished_before_its_night_goes_on(
    world: World, night: NightTruth
) -> None:
    world.order("hold", night, why="a look")
    world.refresh()
    for statements in count():
        world.connection.statements_left = statements
        with suppress(CrashError):
            world.order("restore", night, force=True)
        world.begin_daemon()
        if not _outputs(night):
            break
    world.refresh()

    planned = world.ledger.value("select count(*) from output where night = ?", [night.number])
    refused = [not world.order(order, night) for order in ("release", "retry")]
    refused.append(not world.order("retry", night, **{"from": "transfer"}))
    still = _status(world, night)
    finished = world.order("restore", night, force=True)

    assert planned > 0
    assert refused == [True, True, True]
    assert still == NightStatus.HELD
    assert finished
    assert world.order("release", night)


def test_a_restore_that_reads_every_raw_file_shows_that_the_daemon_lives(
    world: World, night: NightTruth
) -> None:
    raw = [path for camera in ("vcam1", "vcam2") for path in (night.folder / camera).iterdir()]
    for path in raw:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        relative = str(path.relative_to(night.folder))
        world.ledger.execute("update raw_file set sha256 = ? where path = ?", [digest, relative])
    beats: list[None] = []
    orders = Orders(world.ledger, world.config, beat=lambda: beats.append(None))
    named = {"kind": night.kind, "date": night.date, "dry_run": False, "force": True}

    orders.carry_out("restore", {**named, "prove": True}, "uid 0")

    assert len(beats) >= 2 * len(raw)  # before, and after
