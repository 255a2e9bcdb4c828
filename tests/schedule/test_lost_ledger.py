"""A ledger that was lost while space was given back, or while there were supplements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.schedule.test_given_back import trashed, world
from tests.support.reclaim_nights import NightTruth
from tests.support.reclaim_world import World
from vampd.io.beneath import night_folder
from vampd.ledger import elapsed, nights, reclaims, trash
from vampd.ledger.connection import Ledger, open_ledger
from vampd.stages import story
from vampd.stages.ledger_again import make_again
from vampd.states import Kind, TrashState

__all__ = ["trashed", "world"]


@pytest.fixture
def anew(tmp_path: Path, world: World) -> Iterator[Ledger]:
    (tmp_path / "anew").mkdir()
    with closing(open_ledger(tmp_path / "anew", version="0", clock=world.clock)) as ledger:
        yield ledger


def _lose(world: World, night: NightTruth, anew: Ledger) -> None:
    """The papers are written, and a new ledger is made of them."""
    row = nights.get_night(world.ledger, night.number)
    story.write_records(world.ledger, row, night_folder(row.folder))
    make_again(anew, [(Kind.ARCHIVE, world.root)], digests=False)


def test_files_in_the_trash_count_by_the_new_ledgers_time(
    world: World, trashed: NightTruth, anew: Ledger
) -> None:
    elapsed.record_elapsed(world.ledger)
    first = trash.in_trash(world.ledger, trashed.number)[0]
    trash.set_states(world.ledger, [first.id], TrashState.RETURNING)
    trash.rest(world.ledger, [first.id], elapsed.passed_us(world.ledger) + 10**9)

    _lose(world, trashed, anew)

    assert elapsed.passed_us(anew) == 0
    assert [row.path for row in trash.unsettled(anew, 10, 0)] == [first.path]
    lying = anew.rows("select * from trash where state = 'trashed'")
    assert len(lying) == 3
    assert {row["moved_passed_us"] for row in lying} == {0}
    assert {row["moved_us"] for row in lying} == {anew.now_us()}


def test_nothing_goes_on_to_give_space_back_that_a_lost_ledger_began(
    world: World, trashed: NightTruth, anew: Ledger
) -> None:
    while reclaims.open_of(world.ledger, trashed.number) is None:
        world.pass_time(3_600_000_000)
        world.tick()

    _lose(world, trashed, anew)

    assert reclaims.open_ones(anew) == []


def test_work_that_is_to_be_done_again_is_that_of_the_present_batch(
    world: World, anew: Ledger
) -> None:
    night = world.nights[0]
    world.ledger.execute("update night set batch = 2 where id = ?", [night.number])
    world.ledger.execute(
        "insert into task (night, batch, stage, unit, state, changed_us, changed_by)"
        " select night, 2, stage, unit, state, 0, 'x' from task where night = ?",
        [night.number],
    )

    _lose(world, night, anew)

    pending = anew.rows("select batch, stage from task where state != 'done' order by stage")
    assert [tuple(row) for row in pending] == [(2, "transfer"), (2, "verify")]
