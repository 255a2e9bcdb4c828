"""Work beside the nights' stages: one of a kind at a time, and its end is always recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.schedule import worker_bodies as bodies
from tests.schedule.hostile import Crowded, Pool
from tests.support.fake_ledger import FakeClock, opened, settings
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.engine import Engine
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.schedule.workers import Workers
from vampd.settings.sections import Config
from vampd.states import ErrorClass
from vampd.watch.scan_cycle import ScanCycle


class Errands:
    """Jobs for one background job, and how each of them ended."""

    def __init__(self, jobs: list[Any], body: bodies.Body) -> None:
        self.jobs = jobs
        self.asked = 0
        self.ended: list[tuple[Any, Outcome[Any]]] = []
        self.background_job = BackgroundJob(
            name="errands",
            seat=Seat.BUILDER,
            due=self._due,
            work=body,
            result=int,
            record=self._record,
        )

    def _due(self, _ledger: Ledger, _config: Config) -> Any | None:
        self.asked += 1
        return self.jobs.pop(0) if self.jobs else None

    def _record(self, _ledger: Ledger, _config: Config, job: Any, outcome: Outcome[Any]) -> None:
        self.ended.append((job, outcome))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(nice=0)
    yield workers
    workers.stop()


def carry_out(folder: Path, ledger: Ledger, workers: Workers, errands: Errands) -> None:
    """Go round until nothing is due any more."""
    clock = FakeClock()
    config = settings(folder)
    scan_cycle = ScanCycle(ledger, clock, config)
    engine = Engine(ledger, config, scan_cycle, workers, background_jobs=[errands.background_job])
    engine.hand_out()
    while engine.busy:
        asked = errands.asked
        engine.hand_out()
        assert errands.asked == asked, "a second job was asked for while the first went on"
        assert wait(workers.pipes(), timeout=60), "no worker said anything"
        engine.collect()
        engine.hand_out()


def test_every_job_of_a_chore_is_done_in_turn_and_recorded(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    errands = Errands([3, 4], bodies.double)

    carry_out(tmp_path, ledger, workers, errands)

    assert [(job, outcome.result) for job, outcome in errands.ended] == [(3, 6), (4, 8)]


def test_a_job_that_kills_its_worker_is_recorded_as_a_crash(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    errands = Errands([9], bodies.die)

    carry_out(tmp_path, ledger, workers, errands)

    [(job, outcome)] = errands.ended
    assert job == 9
    assert outcome.crashed


def test_an_error_of_a_chore_keeps_its_class(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    errands = Errands(["the far side is silent"], bodies.refuse)

    carry_out(tmp_path, ledger, workers, errands)

    [(_, outcome)] = errands.ended
    assert outcome.error_class is ErrorClass.TRANSIENT
    assert outcome.error == "the far side is silent"


@pytest.mark.parametrize(("is_light", "going"), [(False, 1), (True, 2)])
def test_only_a_light_chore_waits_for_no_transfer(
    tmp_path: Path, ledger: Ledger, workers: Workers, *, is_light: bool, going: int
) -> None:
    first, second = (Errands([each], bodies.double) for each in (3, 4))
    config = settings(tmp_path)
    background_jobs = [
        replace(first.background_job, seat=Seat.NETWORK),
        replace(second.background_job, seat=Seat.NONE if is_light else Seat.NETWORK),
    ]
    scan_cycle = ScanCycle(ledger, FakeClock(), config)
    engine = Engine(ledger, config, scan_cycle, workers, background_jobs=background_jobs)

    engine.hand_out()

    assert engine.busy == going
    engine.stop()


class Unreachable(Pool):
    """An executor whose workers cannot be told that nobody waits for them any more."""

    def cancel(self, keys: Iterable[int]) -> None:
        """Nobody hears it."""


def test_what_comes_of_work_that_was_given_up_meanwhile_is_dropped(
    tmp_path: Path, ledger: Ledger
) -> None:
    errands = Errands([3], bodies.double)
    config = settings(tmp_path)
    pool = Unreachable(lambda _, outcome: outcome)
    scan_cycle = ScanCycle(ledger, FakeClock(), config)
    engine = Engine(ledger, config, scan_cycle, pool, background_jobs=[errands.background_job])
    engine.hand_out()

    engine.cancel(None)

    assert engine.collect()
    assert errands.ended == []


def test_a_machine_without_a_process_left_says_nothing_of_the_work(
    tmp_path: Path, ledger: Ledger
) -> None:
    errands, config = Errands([3], bodies.double), settings(tmp_path)
    scan_cycle = ScanCycle(ledger, FakeClock(), config)
    crowded = Crowded(lambda _, outcome: outcome)
    engine = Engine(ledger, config, scan_cycle, crowded, background_jobs=[errands.background_job])

    engine.hand_out()

    ((_, outcome),) = errands.ended
    assert outcome.error_class is ErrorClass.RESOURCE
