"""A proof that ends after its night was restored, or while its disk is away, says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.schedule.test_given_back import world
from tests.schedule.test_restore import _restore
from tests.support.reclaim_nights import NightTruth
from tests.support.reclaim_world import World
from vampd.background.rebuild_proof import JOB
from vampd.errors import RetryableError
from vampd.ledger import nights, proofs
from vampd.schedule.executor import Outcome
from vampd.stages.rebuild import Proof
from vampd.states import ErrorClass

__all__ = ["world"]

_OUTCOMES: dict[str, Outcome[Proof]] = {
    "proved": Outcome(key=1, result=Proof()),
    "problem": Outcome(key=1, result=Proof(problems=("gone",))),
    "put off": Outcome(key=1, error_class=ErrorClass.DETERMINISTIC, error="gone"),
    "wrong": Outcome(key=1, error_class=ErrorClass.INTEGRITY, error="gone"),
}


@pytest.fixture
def night(world: World) -> NightTruth:
    """A safe night of which nothing is proved yet; the other one is kept out."""
    world.ledger.execute("update night set hold = 'x' where id = ?", [world.nights[1].number])
    proofs.forget(world.ledger, world.nights[0].number, "anew")
    return world.nights[0]


def _job(world: World) -> Any:
    return JOB.due(world.ledger, world.config)


@pytest.mark.parametrize("how", list(_OUTCOMES))
def test_a_proof_that_ends_after_its_night_was_restored_and_went_on_says_nothing(
    world: World, night: NightTruth, how: str
) -> None:
    job = _job(world)
    _restore(world, night)
    world.order("release", night)

    JOB.record(world.ledger, world.config, job, _OUTCOMES[how])

    assert job.night == night.number
    assert nights.get_night(world.ledger, night.number).hold is None
    assert (
        world.ledger.value(
            "select count(*) from rebuild_proof where batch = 1 and night = ?", [night.number]
        )
        == 0
    )


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("how", ["away", "another"])
def test_nothing_is_said_of_raw_files_while_the_disk_is_away_or_another(
    world: World, how: str
) -> None:
    job = _job(world)
    if how == "away":
        world.root.rename(world.root.with_name("away"))
    else:
        (world.root / ".vampd-root").write_text("another")

    with pytest.raises(RetryableError):
        JOB.work(job)
