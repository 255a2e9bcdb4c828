"""The watch and the operators, about raw files that gave their space back or are about to."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.support.reclaim_nights import DAY_US, NightTruth
from tests.support.reclaim_story import ack, tick_and_work
from tests.support.reclaim_world import World, template_ledger
from vampd.background.reclaim.moves import MoveJob
from vampd.errors import OperatorError
from vampd.layout import TRASH_FOLDER
from vampd.ledger.connection import Row
from vampd.orders.night import Orders

_PATH = "vcam1/vcam1_00:00:00.000000000.fits"


class _Calm(Random):
    """A world in which nothing goes wrong by chance."""

    def random(self) -> float:
        return 0.99


@pytest.fixture
def world(tmp_path: Path) -> World:
    template = template_ledger(tmp_path / "template")
    return World(tmp_path / "world", template, _Calm(1))


@pytest.fixture
def trashed(world: World) -> NightTruth:
    """A night whose raw files lie in the trash."""
    night = world.nights[0]
    ack(world, night)
    while "decided move raw" not in world.seen:
        tick_and_work(world, night)
        if world.job is None:
            world.pass_time(DAY_US // 2)
    tick_and_work(world, night)
    return night


def _row(world: World, night: NightTruth) -> Row:
    query = "select * from raw_file where night = ? and path = ?"
    row = world.ledger.row(query, [night.number, _PATH])
    assert row is not None
    return row


def _facts(world: World, row: Row) -> int:
    count: int = world.ledger.value("select count(*) from cube where raw_file = ?", [row["id"]])
    return count


def test_a_file_in_the_trash_is_gone_without_an_alarm_and_its_facts_stay(
    world: World, trashed: NightTruth, caplog: pytest.LogCaptureFixture
) -> None:
    world.ledger.execute("update raw_file set state = 'whole' where path = ?", [_PATH])
    caplog.clear()

    world.scan_cycle.go()

    row = _row(world, trashed)
    assert (row["state"], row["reason"]) == (
        "gone",
        "in the trash; `vampd space undelete` puts it back",
    )
    assert _facts(world, row) == 1
    assert caplog.messages == []


def test_a_file_that_comes_back_is_what_it_was(world: World, trashed: NightTruth) -> None:
    before = dict(_row(world, trashed))

    assert world.order("undelete", trashed)
    world.begin_daemon()

    row = _row(world, trashed)
    changing = {"state", "reason", "reason_code", "why", "changed_us", "changed_by"}
    assert row["state"] == "whole"
    assert {k: v for k, v in dict(row).items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_a_file_whose_return_is_not_recorded_yet_is_not_late(
    world: World, trashed: NightTruth
) -> None:
    """A power cut between the file's way back and the ledger's word of it."""
    world.ledger.execute("update trash set state = 'returning' where path = ?", [_PATH])
    place = world.ledger.value("select place from trash where path = ?", [_PATH])
    (world.root / TRASH_FOLDER / place).rename(trashed.folder / _PATH)

    world.begin_daemon()
    seen = _row(world, trashed)["state"]
    tick_and_work(world, trashed)

    assert seen == "gone"
    assert _row(world, trashed)["state"] == "whole"
    assert _facts(world, _row(world, trashed)) == 1


def test_another_file_under_the_name_is_told_and_left_alone(
    world: World, trashed: NightTruth, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(_row(world, trashed))
    (trashed.folder / _PATH).write_text("another")

    world.begin_daemon()

    assert dict(_row(world, trashed)) == before
    assert f"{_PATH} is not the file that gave its space back" in caplog.text


def test_a_night_is_not_restored_while_its_raw_files_are_in_the_trash(
    world: World, trashed: NightTruth
) -> None:
    named = {"kind": trashed.kind, "date": trashed.date, "dry_run": False, "force": True}

    with pytest.raises(OperatorError, match="4 raw files are not in their place"):
        Orders(world.ledger, world.config).carry_out("restore", named, "uid 0")


def test_undelete_shows_that_the_daemon_lives(world: World, trashed: NightTruth) -> None:
    lying = world.ledger.value("select count(*) from trash where state = 'trashed'")
    beats: list[None] = []
    orders = Orders(world.ledger, world.config, beat=lambda: beats.append(None))

    named = {"kind": trashed.kind, "date": trashed.date, "dry_run": False}
    orders.carry_out("undelete", named, "uid 0")

    assert len(beats) == lying > 0


def test_undelete_stops_what_is_under_way(world: World, trashed: NightTruth) -> None:
    while world.ledger.value("select count(*) from trash where state = 'unlinking'") == 0:
        world.tick()
        if not isinstance(world.job, MoveJob):
            world.work()
            world.pass_time(DAY_US // 2)

    refused = not world.order("undelete", trashed)
    world.begin_daemon()
    tick_and_work(world, trashed)
    done = world.order("undelete", trashed)

    assert refused
    assert done
    assert _row(world, trashed)["state"] == "whole"
