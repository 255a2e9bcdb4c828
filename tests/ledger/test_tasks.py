"""A task is claimed by one, and only who still holds the claim may end it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import (
    NOW_US,
    SECOND_US,
    FakeClock,
    a_night,
    a_task,
    claimed,
    opened,
)
from vampd.ledger import tasks
from vampd.ledger.connection import Ledger
from vampd.states import ErrorClass, Stage, TaskState


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


@pytest.fixture
def task(ledger: Ledger) -> int:
    return a_task(ledger, a_night(ledger).id)


def test_a_claimed_task_cannot_be_claimed_again(ledger: Ledger, task: int) -> None:
    first = claimed(ledger, task)

    assert tasks.claim(ledger, task) is None
    assert (first.state, first.attempts) == (TaskState.RUNNING, 1)


def test_a_task_cannot_be_claimed_before_it_is_due(
    ledger: Ledger, task: int, clock: FakeClock
) -> None:
    due_us = NOW_US + 5 * SECOND_US
    tasks.requeue(ledger, claimed(ledger, task), ErrorClass.TRANSIENT, "later", due_us=due_us)

    early = tasks.claim(ledger, task)
    clock.pass_seconds(5)

    assert early is None
    assert claimed(ledger, task).attempts == 2


def test_of_many_connections_that_claim_at_once_one_gets_each_task(
    ledger: Ledger, tmp_path: Path
) -> None:
    night = a_night(ledger).id
    numbers = [a_task(ledger, night, Stage.BUILD, f"{cube}.1") for cube in range(20)]
    start = threading.Barrier(4)
    won: list[int] = []

    def claim_all() -> None:
        with closing(opened(tmp_path)) as mine:
            start.wait()
            won.extend(number for number in numbers if tasks.claim(mine, number) is not None)

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == numbers


def _fail(ledger: Ledger, row: tasks.Task) -> bool:
    return tasks.fail(ledger, row, ErrorClass.DETERMINISTIC, "bad")


def _put_back(ledger: Ledger, row: tasks.Task) -> bool:
    return tasks.requeue(ledger, row, None, None, due_us=0)


@pytest.mark.parametrize("end", [tasks.finish, _put_back, _fail])
def test_who_lost_the_claim_can_end_nothing(
    ledger: Ledger, task: int, end: Callable[[Ledger, tasks.Task], bool]
) -> None:
    lost = claimed(ledger, task)
    tasks.reap(ledger, "its worker died")
    held = claimed(ledger, task)

    assert not end(ledger, lost)
    assert tasks.get_task(ledger, task).state == TaskState.RUNNING
    assert end(ledger, held)


def test_a_task_made_pending_meanwhile_is_lost_to_its_worker(ledger: Ledger, task: int) -> None:
    old = claimed(ledger, task)

    tasks.make_pending(ledger, old.night, [Stage.SYNC], "retry")

    assert not tasks.finish(ledger, old)
    claimed(ledger, task)
    assert not tasks.finish(ledger, old)


def test_reaping_puts_back_what_runs_and_nothing_else(ledger: Ledger) -> None:
    night = a_night(ledger).id
    running, done, failed, pending = (
        a_task(ledger, night, Stage.BUILD, f"{cube}.1") for cube in range(4)
    )
    claimed(ledger, running)
    tasks.finish(ledger, claimed(ledger, done))
    tasks.fail(ledger, claimed(ledger, failed), ErrorClass.DETERMINISTIC, "bad")

    count = tasks.reap(ledger, "its worker died with the daemon")

    assert count == 1
    assert states(ledger, night) == {
        running: "pending",
        done: "done",
        failed: "failed",
        pending: "pending",
    }
    assert tasks.reap(ledger, "again") == 0


def test_of_one_unit_only_one_task_runs(ledger: Ledger, task: int) -> None:
    row = claimed(ledger, task)

    with pytest.raises(sqlite3.IntegrityError):
        ledger.execute(
            "insert into task (night, stage, unit, state, changed_us, changed_by)"
            " values (?, 'sync', '', 'running', 0, 'test')",
            [row.night],
        )
    tasks.add_task(ledger, row.night, Stage.SYNC)

    assert len(tasks.tasks_of(ledger, row.night)) == 1


def test_the_first_failure_dates_the_trouble_until_it_passes(
    ledger: Ledger, task: int, clock: FakeClock
) -> None:
    for _ in range(3):
        row = claimed(ledger, task)
        tasks.requeue(ledger, row, ErrorClass.TRANSIENT, "no route", due_us=0)
        clock.pass_seconds(60)

    assert tasks.get_task(ledger, task).failing_since_us == NOW_US


def test_a_retry_makes_failed_and_waiting_tasks_due_and_clean(ledger: Ledger) -> None:
    night = a_night(ledger).id
    failed, waiting, done = (a_task(ledger, night, Stage.BUILD, f"{cube}.1") for cube in range(3))
    tasks.fail(ledger, claimed(ledger, failed), ErrorClass.DETERMINISTIC, "bad")
    tasks.requeue(
        ledger, claimed(ledger, waiting), ErrorClass.TRANSIENT, "no route", due_us=NOW_US * 2
    )
    tasks.finish(ledger, claimed(ledger, done))

    count = tasks.retry_failed(ledger, night, "retry")

    assert count == 2
    assert tasks.get_task(ledger, done).state == TaskState.DONE
    for number in (failed, waiting):
        row = claimed(ledger, number)
        assert (row.error, row.error_class, row.failing_since_us) == (None, None, None)


def states(ledger: Ledger, night: int) -> dict[int, str]:
    rows: list[tasks.Task] = tasks.tasks_of(ledger, night)
    return {row.id: row.state for row in rows}
