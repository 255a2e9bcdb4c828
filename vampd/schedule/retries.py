"""What follows from how a task ended. The class of an error says who must act, and when."""

from __future__ import annotations

import logging

from vampd.back_off import pause_us
from vampd.causes import Cause
from vampd.ledger import files, nights, strays, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.tasks import Task
from vampd.schedule.executor import Outcome
from vampd.schedule.stage_table import STAGES
from vampd.settings.sections import Config
from vampd.stages.verify import sent_too_often
from vampd.states import ErrorClass, FileCode, Stage
from vampd.time_units import SECOND_US

log = logging.getLogger(__name__)

_MOST_CRASHES = 3  # of one task in succession
_MOST_LOSSES = 10  # of its builders in succession: then it is no chance any more


def after_success(ledger: Ledger, task: Task, result: object, config: Config) -> None:
    """Record the result, unless the claim was lost meanwhile."""
    night = nights.get_night(ledger, task.night)
    if not tasks.finish(ledger, task):
        log.warning("%s: %s came too late, and is dropped", nights.label(night), task.stage)
        return
    awaited = STAGES[task.stage].end(ledger, task, result)
    if awaited is not None:
        _await(ledger, task, awaited, config)
        return
    assert task.started_us is not None, task.id
    seconds = (ledger.now_us() - task.started_us) / SECOND_US
    log.info(
        "%s: %s %s done in %.1f s",
        nights.label(night),
        task.stage,
        task.unit or "of the night",
        seconds,
        extra={"NIGHT": night.date, "STAGE": task.stage},
    )


def after_error(ledger: Ledger, task: Task, outcome: Outcome[object], config: Config) -> None:
    """Decide what becomes of a task that raised an error."""
    error, error_class = outcome.error or "", outcome.error_class
    assert error_class is not None
    _log(ledger, task, error_class, error)
    if outcome.result is not None:
        STAGES[task.stage].keep_progress(ledger, task, outcome.result)
    if error_class in {ErrorClass.TRANSIENT, ErrorClass.RESOURCE}:
        due_us = ledger.now_us() + _pause_us(ledger, task, config)
        tasks.requeue(ledger, task, error_class, error, code=outcome.code, due_us=due_us)
    elif error_class is ErrorClass.INPUT and task.stage == Stage.SYNC and outcome.path:
        if tasks.requeue(ledger, task, None, None, due_us=0):
            cause = Cause(FileCode.CONTENT, {"problem": error})
            files.quarantine(ledger, task.night, outcome.path, cause)
    elif error_class is ErrorClass.DETERMINISTIC and not _is_the_same(task, outcome):
        due_us = ledger.now_us() + pause_us(
            config.retry.first_seconds, config.retry.longest_seconds
        )
        tasks.requeue(ledger, task, error_class, error, code=outcome.code, due_us=due_us)
    else:
        tasks.fail(ledger, task, error_class, error, code=outcome.code)
        if error_class is ErrorClass.INPUT and outcome.path:
            strays.note_unreadable(ledger, task.night, outcome.path, error)


def after_crash(ledger: Ledger, task: Task, error: str) -> None:
    """A worker that dies costs one retry; a task that kills its workers is given up."""
    _log(ledger, task, ErrorClass.DETERMINISTIC, error)
    crashes = task.crashes + 1
    if crashes < _MOST_CRASHES:
        tasks.requeue(ledger, task, None, None, due_us=0, crashes=crashes)
    else:
        tasks.fail(ledger, task, ErrorClass.DETERMINISTIC, f"{error}, {crashes} times")


def after_loss(ledger: Ledger, task: Task, error: str, config: Config) -> None:
    """A builder that was lost costs one attempt, and says little of the task."""
    _log(ledger, task, ErrorClass.TRANSIENT, error)
    crashes = task.crashes + 1
    if crashes < _MOST_LOSSES:
        due_us = ledger.now_us() + pause_us(
            config.retry.first_seconds, config.retry.longest_seconds, failures=task.crashes
        )
        tasks.requeue(ledger, task, ErrorClass.TRANSIENT, error, due_us=due_us, crashes=crashes)
    else:
        tasks.fail(ledger, task, ErrorClass.DETERMINISTIC, f"{error}, {crashes} times")


def _is_the_same(task: Task, outcome: Outcome[object]) -> bool:
    """Whether it failed so before; by its code, if it has one, for words may name another file."""
    if outcome.code is not None and task.error_code is not None:
        return task.error_code == outcome.code
    return task.error == outcome.error


def _await(ledger: Ledger, task: Task, awaited: str, config: Config) -> None:
    """The work was done, and it is not enough yet: it is to be done again later."""
    task = tasks.get_task(ledger, task.id)
    why = sent_too_often(ledger, task.night)
    if why is not None:
        tasks.reopen(ledger, task, ErrorClass.DETERMINISTIC, why, due_us=None)
        return
    being_sent_again = ledger.value(
        "select count(*) from task where night = ? and stage = 'transfer' and state = 'pending'",
        [task.night],
    )
    due_us = 0 if being_sent_again else ledger.now_us() + _pause_us(ledger, task, config)
    tasks.reopen(ledger, task, ErrorClass.TRANSIENT, awaited, due_us=due_us)


def _pause_us(ledger: Ledger, task: Task, config: Config) -> int:
    now_us = ledger.now_us()
    failing_us = now_us - (task.failing_since_us or now_us)
    return pause_us(config.retry.first_seconds, config.retry.longest_seconds, failing_us=failing_us)


def _log(ledger: Ledger, task: Task, error_class: ErrorClass, error: str) -> None:
    night = nights.get_night(ledger, task.night)
    log.warning(
        "%s: %s %s went wrong (%s): %s",
        nights.label(night),
        task.stage,
        task.unit or "of the night",
        error_class,
        error,
        extra={"NIGHT": night.date, "STAGE": task.stage},
    )
