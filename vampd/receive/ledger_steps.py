"""The steps of the reduction in the receiver's ledger; nothing else writes their table."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.ledger.connection import Ledger
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.receive.records import SlurmStep, StepRow
from vampd.receive.states import StepState
from vampd.receive.step_work import StepEnd
from vampd.receive.steps import Cube, Done, Run


def cubes_of(ledger: Ledger, night: int) -> list[Cube]:
    """The outputs of a night that lie where they belong."""
    rows = ledger.rows(
        "select path, sha256 from file where night = ? and state = 'placed' and path like ?"
        " order by path",
        [night, f"{OUTPUT_FOLDER}/%{OUTPUT_ENDING}"],
    )
    return [Cube(path=path, sha256=sha256) for path, sha256 in rows]


def done_of(ledger: Ledger, night: int) -> dict[tuple[str, str], Done]:
    """What is known of a night's steps, by step and unit."""
    return {
        (row.step, row.unit): Done(
            number=row.id,
            state=row.state,
            inputs=row.inputs,
            attempts=row.attempts,
            due_us=row.due_us,
        )
        for row in fetch_all(StepRow, ledger, "select * from step_run where night = ?", [night])
    }


def get_run(ledger: Ledger, number: int) -> StepRow:
    """The row of a run that exists."""
    row = fetch_one(StepRow, ledger, "select * from step_run where id = ?", [number])
    assert row is not None, number
    return row


def begin(ledger: Ledger, night: int, run: Run) -> int:
    """A run begins; its number. For other files than before it begins to count anew."""
    columns = {
        "state": StepState.RUNNING,
        "inputs": run.inputs,
        "files": len(run.cubes),
        "started_us": ledger.now_us(),
        "finished_us": None,
        "error": None,
        "code": None,
        "job": None,
        **ledger.stamp("it was never done for these files" if run.is_new else "it is tried again"),
    }
    if run.number is None:
        return ledger.insert(
            "step_run", night=night, step=run.step.name, unit=run.unit, attempts=1, **columns
        )
    attempts = 1 if run.is_new else get_run(ledger, run.number).attempts + 1
    ledger.update("step_run", run.number, attempts=attempts, **columns)
    return run.number


def done(ledger: Ledger, number: int, ended: StepEnd) -> None:
    """It ended well."""
    _end(ledger, number, StepState.DONE, ended)


def failed(ledger: Ledger, number: int, ended: StepEnd) -> None:
    """It went wrong, and is not tried again by itself."""
    _end(ledger, number, StepState.FAILED, ended)


def again(ledger: Ledger, number: int, ended: StepEnd, due_us: int, *, counts: bool = True) -> None:
    """It is tried again, not before *due_us*; without *counts* it was no attempt."""
    _end(ledger, number, StepState.PENDING, ended, due_us=due_us)
    if not counts:
        ledger.execute("update step_run set attempts = attempts - 1 where id = ?", [number])


def handed_in(ledger: Ledger, number: int, job: str) -> None:
    """Slurm has it, under the number *job*."""
    ledger.update("step_run", number, job=job)


def on_slurm(ledger: Ledger) -> list[SlurmStep]:
    """What Slurm has, each with its night's kind and date."""
    return fetch_all(
        SlurmStep,
        ledger,
        "select step_run.*, night.kind, night.date from step_run join night"
        " on night.id = step_run.night where step_run.state = 'running' and job is not null",
    )


def running(ledger: Ledger) -> int:
    """How many are at work, here and there."""
    count: int = ledger.value("select count(*) from step_run where state = 'running'")
    return count


def put_back(
    ledger: Ledger, tries: Mapping[str, int], why: str, *, but: Collection[int] = ()
) -> None:
    """What was running here when a receiver died is begun again, up to *tries*, by step.

    Slurm goes on with what it has, and a process with the runs in *but*.
    """
    for row in _running_here(ledger):
        if row.id in but:
            continue
        if row.attempts >= tries.get(row.step, row.attempts + 1):
            error = f"{why}, {row.attempts} times"
            failed(ledger, row.id, StepEnd(error=error, output=row.output or ""))
        else:
            ledger.update(
                "step_run", row.id, state=StepState.PENDING, due_us=0, **ledger.stamp(why)
            )


def stop(ledger: Ledger, why: str) -> None:
    """What is running here is ended with the receiver, and that was no attempt."""
    for row in _running_here(ledger):
        ledger.update(
            "step_run",
            row.id,
            state=StepState.PENDING,
            attempts=row.attempts - 1,
            due_us=0,
            **ledger.stamp(why),
        )


def _running_here(ledger: Ledger) -> list[StepRow]:
    query = "select * from step_run where state = 'running' and job is null"
    return fetch_all(StepRow, ledger, query)


def force(ledger: Ledger, night: int, step: str | None, why: str) -> list[str]:
    """Let steps be done again: *step*, or those that failed; what was let, in words."""
    rows = fetch_all(
        StepRow,
        ledger,
        "select * from step_run where night = :night and state in ('done', 'failed')"
        " and (step = :step or (:step is null and state = 'failed'))",
        {"night": night, "step": step},
    )
    for row in rows:
        ledger.update(
            "step_run",
            row.id,
            state=StepState.PENDING,
            attempts=0,
            due_us=0,
            **ledger.stamp(why),
        )
    return [f"{row.step} {row.unit}".rstrip() for row in rows]


def any_open(ledger: Ledger, night: int | None = None) -> bool:
    """Whether a step is begun, or to be tried again: of a night, or of any."""
    return bool(
        ledger.value(
            "select count(*) from step_run where state in ('pending', 'running')"
            " and (:night is null or night = :night)",
            {"night": night},
        )
    )


def any_failed(ledger: Ledger) -> bool:
    """Whether a step went wrong for good."""
    return bool(ledger.value("select count(*) from step_run where state = 'failed'"))


def _end(ledger: Ledger, number: int, state: StepState, ended: StepEnd, **more: int) -> None:
    ledger.update(
        "step_run",
        number,
        state=state,
        code=ended.code,
        error=ended.error,
        output=ended.output,
        numbers=ended.numbers,
        finished_us=ledger.now_us(),
        **more,
        **ledger.stamp(ended.error),
    )
