"""What goes on in workers, as the engine remembers it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from vampd.ledger.barrier import Trouble
from vampd.ledger.tasks import Task
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.dispatch import DELIVERY
from vampd.schedule.workers import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskWork:
    """A claimed task."""

    task: Task

    def __str__(self) -> str:
        """As the log names it."""
        return f"task {self.task.id}: {self.task.stage} {self.task.unit}".rstrip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Cubes to be inspected, by stem."""

    night: int
    pairs: dict[str, tuple[str, str]]

    def __str__(self) -> str:
        """As the log names it."""
        return f"night {self.night}: what was read of {len(self.pairs)} cubes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Digesting:
    """Raw files to be read through."""

    night: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        """As the log names it."""
        return f"night {self.night}: the digests of {len(self.paths)} files"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningJob:
    """A background job's job that a worker has."""

    background_job: BackgroundJob
    job: Any

    def __str__(self) -> str:
        """As the log names it."""
        return f"what came of the background job {self.background_job.name}"


Work: TypeAlias = TaskWork | Reading | Digesting | RunningJob


def night_of(work: Work) -> int | None:
    """The night that work belongs to; a background job's belongs to none."""
    if isinstance(work, RunningJob):
        return None
    return work.task.night if isinstance(work, TaskWork) else work.night


def is_light(work: Work) -> bool:
    """Whether it takes no seat."""
    return isinstance(work, RunningJob) and work.background_job.is_light


def uses_network(work: Work) -> bool:
    """Whether it takes the seat of deliveries."""
    if isinstance(work, RunningJob):
        return work.background_job.uses_network
    return isinstance(work, TaskWork) and work.task.stage in DELIVERY


def of_trouble(trouble: Trouble) -> Outcome:
    """How work ended that could not be begun."""
    return Outcome(key=0, error_class=trouble.error_class, error=trouble.words)


def unrecorded(outcome: Outcome, trouble: Trouble) -> Outcome:
    """How work ended of which the ledger could not keep what came."""
    error = f"what came of it cannot be recorded: {trouble.words}"
    return Outcome(key=outcome.key, error_class=trouble.error_class, error=error)


def results_of(outcome: Outcome, count: int) -> list[Any] | None:
    """What a worker read of *count* files, in their order; None: it did not tell."""
    told = outcome.result
    results = told.get("results") if isinstance(told, dict) else None
    return results if isinstance(results, list) and len(results) == count else None
