"""The class of an error says who must act, and when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import (
    SECOND_US,
    FakeClock,
    a_night,
    a_task,
    claimed,
    identity,
    opened,
    settings,
)
from vampd.ledger import files, tasks
from vampd.ledger.connection import Ledger
from vampd.records import Plan
from vampd.schedule import retries
from vampd.schedule.executor import Outcome
from vampd.science.quality import measure
from vampd.settings.sections import Config
from vampd.stages.manifest import ManifestResult
from vampd.stages.sync import Planned
from vampd.states import ErrorClass, FileState, Stage, TaskState

_PLAN = Plan(outputs=(), rejected=(), reports=())
_PLANNED = Planned(plan=_PLAN, quality=measure([], _PLAN), findings=(), holds=())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path, "[retry]\nfirst_seconds = 30\nlongest_seconds = 3600\n")


@pytest.fixture
def night(ledger: Ledger) -> int:
    return int(a_night(ledger).id)


def outcome(
    error_class: ErrorClass, error: str = "bad", path: str | None = None
) -> Outcome[object]:
    return Outcome(key=1, error_class=error_class, error=error, path=path)


def after(ledger: Ledger, config: Config, number: int, ended: Outcome[object]) -> tasks.Task:
    """Claim the task, let it end so, and return what became of it."""
    retries.after_error(ledger, claimed(ledger, number), ended, config)
    return tasks.get_task(ledger, number)


def crashed(ledger: Ledger, number: int) -> tasks.Task:
    retries.after_crash(ledger, claimed(ledger, number), "its worker died")
    return tasks.get_task(ledger, number)


@pytest.mark.parametrize("error_class", [ErrorClass.TRANSIENT, ErrorClass.RESOURCE])
def test_what_passes_by_itself_is_tried_again_after_ever_longer_pauses_without_limit(
    ledger: Ledger, config: Config, night: int, clock: FakeClock, error_class: ErrorClass
) -> None:
    number = a_task(ledger, night, Stage.TRANSFER)
    pauses = []

    for _ in range(40):
        row = after(ledger, config, number, outcome(error_class, "no route"))
        assert (row.state, row.error) == (TaskState.PENDING, "no route")
        pauses.append((row.due_us - ledger.now_us()) // SECOND_US)
        clock.pass_seconds(pauses[-1])

    assert pauses[:8] == [30, 30, 60, 120, 240, 480, 960, 1920]
    assert set(pauses[8:]) == {3600}


def test_after_a_success_the_pauses_begin_anew(
    ledger: Ledger, config: Config, night: int, clock: FakeClock
) -> None:
    number = a_task(ledger, night, Stage.MANIFEST)
    after(ledger, config, number, outcome(ErrorClass.TRANSIENT))
    clock.pass_seconds(3600)
    retries.after_success(ledger, claimed(ledger, number), ManifestResult(), config)
    tasks.make_pending(ledger, night, [Stage.MANIFEST], "again")

    row = after(ledger, config, number, outcome(ErrorClass.TRANSIENT))

    assert row.due_us - ledger.now_us() == 30 * SECOND_US


def test_the_same_deterministic_failure_twice_is_given_up(
    ledger: Ledger, config: Config, night: int, clock: FakeClock
) -> None:
    number = a_task(ledger, night)

    first = after(ledger, config, number, outcome(ErrorClass.DETERMINISTIC))
    pause_us = first.due_us - ledger.now_us()
    clock.pass_seconds(30)
    second = after(ledger, config, number, outcome(ErrorClass.DETERMINISTIC))

    assert (first.state, pause_us) == (TaskState.PENDING, 30 * SECOND_US)
    assert (second.state, second.error) == (TaskState.FAILED, "bad")


def test_another_deterministic_failure_is_tried_once_more(
    ledger: Ledger, config: Config, night: int, clock: FakeClock
) -> None:
    number = a_task(ledger, night)
    after(ledger, config, number, outcome(ErrorClass.DETERMINISTIC, "bad"))
    clock.pass_seconds(30)

    row = after(ledger, config, number, outcome(ErrorClass.DETERMINISTIC, "worse"))

    assert row.state == TaskState.PENDING


@pytest.mark.parametrize("error_class", [ErrorClass.INTEGRITY, ErrorClass.AMBIGUOUS])
def test_what_a_person_must_judge_is_given_up_at_once(
    ledger: Ledger, config: Config, night: int, error_class: ErrorClass
) -> None:
    row = after(ledger, config, a_task(ledger, night), outcome(error_class))

    assert (row.state, row.error_class) == (TaskState.FAILED, error_class)


def add_pair(ledger: Ledger, night: int, stem: str) -> None:
    for role, ending in (("cube", ".fits"), ("timing", ".txt")):
        files.add_file(
            ledger,
            night,
            f"vcam1/{stem}{ending}",
            role=role,
            camera=1,
            stem=stem,
            who=identity(),
            state=FileState.WHOLE,
            cause=None,
        )


def test_a_bad_cube_found_while_planning_is_quarantined_and_the_rest_planned_anew(
    ledger: Ledger, config: Config, night: int
) -> None:
    add_pair(ledger, night, "bad")
    add_pair(ledger, night, "good")

    row = after(
        ledger,
        config,
        a_task(ledger, night),
        outcome(ErrorClass.INPUT, "no times", "vcam1/bad.fits"),
    )

    states = {path: row.state for path, row in files.files_of(ledger, night).items()}
    assert states == {
        "vcam1/bad.fits": "quarantined",
        "vcam1/bad.txt": "quarantined",
        "vcam1/good.fits": "whole",
        "vcam1/good.txt": "whole",
    }
    assert (row.state, row.error, row.due_us) == (TaskState.PENDING, None, 0)


def test_a_bad_cube_found_after_planning_stops_for_a_person(
    ledger: Ledger, config: Config, night: int
) -> None:
    add_pair(ledger, night, "bad")
    number = a_task(ledger, night, Stage.BUILD, "1.1")

    row = after(ledger, config, number, outcome(ErrorClass.INPUT, "torn", "vcam1/bad.fits"))

    assert (row.state, row.error_class) == (TaskState.FAILED, ErrorClass.INPUT)
    assert files.files_of(ledger, night)["vcam1/bad.fits"].state == FileState.WHOLE


def test_a_crash_costs_one_retry_and_the_third_in_succession_gives_up(
    ledger: Ledger, night: int
) -> None:
    number = a_task(ledger, night)

    rows = [crashed(ledger, number) for _ in range(3)]

    assert [(row.state, row.due_us) for row in rows] == [
        ("pending", 0),
        ("pending", 0),
        ("failed", 0),
    ]
    assert rows[-1].error == "its worker died, 3 times"
    assert rows[-1].error_class == ErrorClass.DETERMINISTIC


def test_crashes_that_do_not_follow_each_other_are_not_counted_together(
    ledger: Ledger, config: Config, night: int, clock: FakeClock
) -> None:
    number = a_task(ledger, night)
    for _ in range(2):
        crashed(ledger, number)
    after(ledger, config, number, outcome(ErrorClass.TRANSIENT))
    clock.pass_seconds(30)

    assert crashed(ledger, number).state == TaskState.PENDING


def test_a_retry_gives_back_all_attempts(ledger: Ledger, night: int) -> None:
    number = a_task(ledger, night)
    for _ in range(3):
        crashed(ledger, number)

    tasks.retry_failed(ledger, night, "retry")

    assert crashed(ledger, number).state == TaskState.PENDING


def test_a_result_of_a_lost_claim_is_dropped(ledger: Ledger, config: Config, night: int) -> None:
    lost = claimed(ledger, a_task(ledger, night))
    ledger.insert("report", night=night, stage=Stage.SYNC, text="of the plan that counts")
    tasks.reap(ledger, "its daemon died")

    retries.after_success(ledger, lost, _PLANNED, config)

    assert tasks.get_task(ledger, lost.id).state == TaskState.PENDING
    assert ledger.value("select count(*) from report") == 1


def test_an_error_of_a_lost_claim_changes_nothing(
    ledger: Ledger, config: Config, night: int
) -> None:
    lost = claimed(ledger, a_task(ledger, night))
    tasks.reap(ledger, "its daemon died")
    claimed(ledger, lost.id)

    add_pair(ledger, night, "good")
    bad_file = outcome(ErrorClass.INPUT, "no times", "vcam1/good.fits")
    retries.after_error(ledger, lost, bad_file, config)
    retries.after_error(ledger, lost, outcome(ErrorClass.INTEGRITY), config)
    retries.after_crash(ledger, lost, "its worker died")

    row = tasks.get_task(ledger, lost.id)
    assert (row.state, row.error) == (TaskState.RUNNING, None)
    assert files.files_of(ledger, night)["vcam1/good.fits"].state == FileState.WHOLE
