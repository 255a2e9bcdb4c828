"""Tasks: claimed in one statement, fenced by their attempt's number."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from vampd.ledger.connection import Ledger, Row
from vampd.ledger.records import RawFile
from vampd.ledger.rows import record_of
from vampd.states import ErrorClass, ErrorCode, Stage, TaskState


class Task(Struct, frozen=True, kw_only=True):
    """A unit of a stage's work, as it was when it was read."""

    id: int
    night: int
    batch: int
    stage: Stage
    unit: str  #: "": the whole night; of building, `CUBE.CAMERA` or the sidecar's
    state: TaskState
    attempts: int  #: the fence: a worker that was lost has an older number
    crashes: int  #: in succession
    error_class: ErrorClass | None
    error_code: ErrorCode | None
    error: str | None
    failing_since_us: int | None
    due_us: int  #: not before this time
    started_us: int | None
    builder: str | None  #: the other host that has it, or had it last


def add_task(ledger: Ledger, night: int, stage: Stage, unit: str = "") -> None:
    """Make a task of the night's batch to be done; one that exists stays as it is."""
    ledger.execute(
        "insert into task (night, batch, stage, unit, state, changed_us, changed_by, why)"
        " values (:night, (select batch from night where id = :night), :stage, :unit, 'pending',"
        " :changed_us, :changed_by, :why)"
        " on conflict do nothing",
        {"night": night, "stage": stage, "unit": unit, **ledger.stamp()},
    )


def tasks_of(ledger: Ledger, night: int) -> list[Task]:
    """All tasks of a night."""
    rows = ledger.rows("select * from task where night = ? order by id", [night])
    return [record_of(Task, row) for row in rows]


def get_task(ledger: Ledger, number: int) -> Task:
    """A task that exists."""
    row = ledger.row("select * from task where id = ?", [number])
    assert row is not None, number
    return record_of(Task, row)


def next_due(ledger: Ledger, night: int, stage: Stage) -> int | None:
    """The number of the next pending task of a night's stage that is due; None: there is none."""
    number: int | None = ledger.value(
        "select id from task where night = ? and stage = ? and state = 'pending'"
        " and due_us <= ? order by id limit 1",
        [night, stage, ledger.now_us()],
    )
    return number


def claim(ledger: Ledger, number: int) -> Task | None:
    """Claim a pending task that is due; None when it is not there to be claimed."""
    row: Row | None = ledger.execute(
        "update task set state = 'running', attempts = attempts + 1, started_us = :now,"
        " finished_us = null, changed_us = :now, changed_by = :actor, why = null"
        " where id = :id and state = 'pending' and due_us <= :now returning *",
        {"now": ledger.now_us(), "actor": ledger.actor, "id": number},
    ).fetchone()
    return None if row is None else record_of(Task, row)


def note_builder(ledger: Ledger, task: Task, builder: str | None) -> None:
    """Keep which other host has a claimed task; None: it is done here."""
    if builder != task.builder:
        ledger.execute(
            "update task set builder = ? where id = ? and attempts = ?",
            [builder, task.id, task.attempts],
        )


def finish(ledger: Ledger, task: Task) -> bool:
    """Mark a claimed task done; False when the claim was lost meanwhile."""
    return _leave(ledger, task, TaskState.DONE, why=None, crashes=0)


def requeue(
    ledger: Ledger,
    task: Task,
    error_class: ErrorClass | None,
    error: str | None,
    *,
    due_us: int,
    code: ErrorCode | None = None,
    crashes: int = 0,
) -> bool:
    """Make a claimed task pending again, to be done from *due_us* on."""
    return _leave(
        ledger,
        task,
        TaskState.PENDING,
        why=error,
        crashes=crashes,
        error_class=error_class,
        code=code,
        error=error,
        due_us=due_us,
    )


def fail(
    ledger: Ledger,
    task: Task,
    error_class: ErrorClass,
    error: str,
    *,
    code: ErrorCode | None = None,
) -> bool:
    """Give a claimed task up: an operator must act."""
    return _leave(
        ledger,
        task,
        TaskState.FAILED,
        why=error,
        crashes=0,
        error_class=error_class,
        code=code,
        error=error,
    )


def _leave(
    ledger: Ledger,
    task: Task,
    state: TaskState,
    *,
    why: str | None,
    crashes: int,
    error_class: ErrorClass | None = None,
    code: ErrorCode | None = None,
    error: str | None = None,
    due_us: int = 0,
) -> bool:
    failing_since_us = None
    if error is not None or state is TaskState.DONE:
        failing_since_us = task.failing_since_us or (ledger.now_us() if error else None)
    cursor = ledger.execute(
        "update task set state = :state, error_class = :error_class, error_code = :code,"
        " error = :error, due_us = :due_us, crashes = :crashes,"
        " failing_since_us = :failing_since_us,"
        " finished_us = :changed_us, changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where id = :id and attempts = :attempts and state = 'running'",
        {
            **ledger.stamp(why),
            "state": state,
            "error_class": error_class,
            "code": code,
            "error": error,
            "due_us": due_us,
            "crashes": crashes,
            "failing_since_us": failing_since_us,
            "id": task.id,
            "attempts": task.attempts,
        },
    )
    return cursor.rowcount == 1


def make_pending(ledger: Ledger, night: int, stages: Iterable[Stage], why: str) -> int:
    """Make every task of *stages* in the night's batch pending again; return how many were not."""
    count = 0
    for stage in stages:
        cursor = ledger.execute(
            "update task set state = 'pending', attempts = attempts + 1, crashes = 0,"
            " error_class = null, error_code = null, error = null, failing_since_us = null,"
            " due_us = 0,"
            " changed_us = :changed_us, changed_by = :changed_by, why = :why"
            " where night = :night and batch = (select batch from night where id = :night)"
            " and stage = :stage and state != 'pending'",
            {**ledger.stamp(why), "night": night, "stage": stage},
        )
        count += cursor.rowcount
    return count


def retry_failed(ledger: Ledger, night: int, why: str) -> int:
    """Make the failed tasks, and those waiting for a retry, due now; return how many."""
    cursor = ledger.execute(
        "update task set state = 'pending', attempts = attempts + 1, crashes = 0, due_us = 0,"
        " error_class = null, error_code = null, error = null, failing_since_us = null,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where night = :night and (state = 'failed' or (state = 'pending' and due_us > 0))",
        {**ledger.stamp(why), "night": night},
    )
    return cursor.rowcount


def retry_of_raw(ledger: Ledger, raw_file: RawFile, error_class: ErrorClass, why: str) -> int:
    """Let what was to be built of a cube or timing file, and failed so, be tried; how many are."""
    cursor = ledger.execute(
        "update task set state = 'pending', attempts = attempts + 1, crashes = 0, due_us = 0,"
        " error_class = null, error_code = null, error = null, failing_since_us = null,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where night = :night and batch = :batch and stage = 'build' and state = 'failed'"
        " and error_class = :error_class and (unit = 'sidecar' or unit in"
        " (select output.cube || '.' || output.camera from output join cube on"
        " (cube.raw_file = :raw_file or cube.timing = :raw_file) where output.night = :night"
        " and (output.header_file = cube.raw_file or output.id in"
        " (select output from segment where segment.raw_file = cube.raw_file))))",
        {
            **ledger.stamp(why),
            "night": raw_file.night,
            "batch": raw_file.batch,
            "raw_file": raw_file.id,
            "error_class": error_class,
        },
    )
    return cursor.rowcount


def folders_at_work(ledger: Ledger) -> list[str]:
    """The folders of nights with a task that was claimed, and did not end."""
    rows = ledger.rows(
        "select distinct folder from task join night on night.id = task.night"
        " where task.state = 'running'"
    )
    return [row["folder"] for row in rows]


def reap(ledger: Ledger, why: str) -> int:
    """Put back every task that a dead daemon's workers had claimed; return how many."""
    cursor = ledger.execute(
        "update task set state = 'pending', due_us = 0,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why where state = 'running'",
        ledger.stamp(why),
    )
    return cursor.rowcount


def forget_tasks(ledger: Ledger, night: int, why: str) -> None:
    """Delete all tasks of a night."""
    with ledger.transaction():
        ledger.execute(
            "update task set changed_us = :changed_us, changed_by = :changed_by, why = :why"
            " where night = :night",
            {**ledger.stamp(why), "night": night},
        )
        ledger.execute("delete from task where night = ?", [night])


def forget_batch(ledger: Ledger, night: int, why: str) -> None:
    """Delete all tasks of the batch that is worked on."""
    batch = ledger.value("select batch from night where id = ?", [night])
    with ledger.transaction():
        ledger.execute(
            "update task set changed_us = :changed_us, changed_by = :changed_by, why = :why"
            " where night = :night and batch = :batch",
            {**ledger.stamp(why), "night": night, "batch": batch},
        )
        ledger.execute("delete from task where night = ? and batch = ?", [night, batch])


def forget_units(ledger: Ledger, night: int, keep: Collection[str], why: str) -> None:
    """Delete the units of building in a night's batch that are not among *keep*."""
    for row in ledger.rows(
        "select id, unit from task where night = ?1 and stage = 'build'"
        " and batch = (select batch from night where id = ?1)",
        [night],
    ):
        if row["unit"] not in keep:
            ledger.update("task", row["id"], **ledger.stamp(why))
            ledger.execute("delete from task where id = ?", [row["id"]])


def reopen(
    ledger: Ledger, task: Task, error_class: ErrorClass, error: str, *, due_us: int | None
) -> None:
    """Make a task that was done pending again, from *due_us* on; failed without one."""
    ledger.update(
        "task",
        task.id,
        state=TaskState.FAILED if due_us is None else TaskState.PENDING,
        error_class=error_class,
        error_code=None,
        error=error,
        due_us=due_us or 0,
        failing_since_us=task.failing_since_us or ledger.now_us(),
        **ledger.stamp(error),
    )
