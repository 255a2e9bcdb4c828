"""How long each stage of a night took, in how many attempts, and how fast it went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from vampd.commands.screen import duration_text, hst_text, minute_text, record_json
from vampd.states import STAGES_OF, Kind, Stage, TaskState
from vampd.views.details import TaskRow

_FEW_A_SECOND = 0.1


class StageTimes(Struct, frozen=True, kw_only=True):
    """One stage of one batch. A stage that is done again tells of the last attempt."""

    batch: int
    stage: Stage
    state: TaskState
    units: int
    done: int
    running: int
    attempts: int  #: the most of any unit
    began_us: int | None
    ended_us: int | None  #: None while units are left
    worked_us: int  #: of all units together, however many went on at once

    def took_us(self, now_us: int) -> int | None:
        """From its first unit's begin to its last one's end, or until now."""
        if self.began_us is None:
            return None
        return (now_us if self.ended_us is None else self.ended_us) - self.began_us


def stage_times(kind: Kind, batches: int, rows: Sequence[TaskRow]) -> Iterator[StageTimes]:
    """Every stage of every batch, in their order."""
    for batch in range(1, batches + 1):
        for stage in STAGES_OF[kind]:
            yield _of(batch, stage, [r for r in rows if (r.batch, r.stage) == (batch, stage)])


def _of(batch: int, stage: Stage, rows: Sequence[TaskRow]) -> StageTimes:
    done = sum(row.state is TaskState.DONE for row in rows)
    began = [row.started_us for row in rows if row.started_us is not None]
    ended = [row.finished_us for row in rows if row.finished_us is not None]
    return StageTimes(
        batch=batch,
        stage=stage,
        state=_state(rows, done),
        units=len(rows),
        done=done,
        running=sum(row.state is TaskState.RUNNING for row in rows),
        attempts=max((row.attempts for row in rows), default=0),
        began_us=min(began, default=None),
        ended_us=max(ended) if ended and _is_over(rows) else None,
        worked_us=sum(row.took_us or 0 for row in rows),
    )


def _state(rows: Sequence[TaskRow], done: int) -> TaskState:
    states = {row.state for row in rows}
    if TaskState.FAILED in states:
        return TaskState.FAILED
    if rows and done == len(rows):
        return TaskState.DONE
    return TaskState.RUNNING if done or TaskState.RUNNING in states else TaskState.PENDING


def _is_over(rows: Sequence[TaskRow]) -> bool:
    """Whether nothing of it is to be done any more, for good or for ill."""
    return all(row.state in {TaskState.DONE, TaskState.FAILED} for row in rows)


def facts(times: StageTimes, *, now_us: int) -> list[str]:
    """What there is to say of a stage."""
    found = []
    if times.units > 1:
        found.append(f"{times.done} of {times.units} units")
    took_us = times.took_us(now_us)
    if times.began_us is not None and took_us is not None and took_us >= 0:
        is_over = times.ended_us is not None
        idle = not is_over and not times.running
        if is_over:
            found.append(duration_text(took_us))
        elif not idle:
            found.append(f"for {duration_text(took_us)}")
        if times.units > 1 and times.done and took_us and not idle:
            found.append(_rate(times.done / (took_us / 1e6)))
    if times.attempts > 1:
        found.append(f"{times.attempts} attempts")
    if times.began_us is not None:
        found.append(f"began {minute_text(times.began_us)} ({hst_text(times.began_us)})")
    return found


def _rate(units_a_second: float) -> str:
    if units_a_second < _FEW_A_SECOND:
        return f"{60 * units_a_second:.2g} units/min"
    return f"{units_a_second:.2g} units/s"


def times_json(times: StageTimes) -> dict[str, Any]:
    """For programs; seconds of processor's work, and of the clock."""
    wall_us = None if times.ended_us is None else times.took_us(times.ended_us)
    return {
        **record_json(times, "batch", "stage", "state", "units", "units_done=done", "attempts"),
        **record_json(times, "began_us", "ended_us"),
        "seconds": None if wall_us is None else wall_us / 1e6,
        "seconds_of_work": times.worked_us / 1e6,
        "units_per_second": times.done / (wall_us / 1e6) if wall_us and times.done else None,
    }
