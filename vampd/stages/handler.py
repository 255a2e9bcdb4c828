"""The one shape of a stage: prepare, work, record. Each stage's module has its `STAGE`.

1. *prepare* makes the job, of the ledger and the settings. What it raises is the task's failure.
2. *work* does it, in a worker, perhaps of another host: it sees files and its job alone. What it
   raises says by its class who must act, and may carry *progress*: what was done before.
3. *record* writes the result to the ledger, in one transaction with the end of the task.

A job is a frozen record of plain values. It names paths, never what is open, and the attempt for
which it was made. A result counts for that attempt of its task alone: see `vampd.ledger.tasks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.settings.sections import Config


class StageJob(Protocol):
    """What every stage's job says."""

    @property
    def attempt(self) -> int:
        """The attempt of the task for which it is done: `Task.attempts`."""


J = TypeVar("J", bound=StageJob)
R = TypeVar("R")
Any_J = TypeVar("Any_J")


class Submit(Protocol):
    """Gives work to a worker; returns the key under which its outcome comes."""

    def __call__(self, work: Callable[[Any_J], object], job: Any_J, /) -> int:
        """Have *work* done with *job*."""


class AnyStage(Protocol):
    """A stage, whatever its jobs and results are: as the engine sees it."""

    def begin(
        self, ledger: Ledger, config: Config, night: Night, task: Task, submit: Submit
    ) -> int:
        """Prepare the job of a claimed task, and submit it."""

    def end(self, ledger: Ledger, task: Task, result: object) -> str | None:
        """Record the result of a task that is done; return what is still awaited, if anything."""

    def keep_progress(self, ledger: Ledger, task: Task, progress: object) -> None:
        """Record what was done before work went wrong."""


class StageHandler(Struct, Generic[J, R], frozen=True, kw_only=True):
    """A stage: *J* is what its worker must know, *R* what it finds out."""

    prepare: Callable[[Ledger, Config, Night, Task], J]
    work: Callable[[J], R]
    result: type[R] | tuple[type[R], ...]
    record: Callable[[Ledger, Task, R], str | None]  #: returns what is still awaited, if anything
    record_progress: Callable[[Ledger, Task, R], object] | None = None  #: of work that went wrong

    def begin(
        self, ledger: Ledger, config: Config, night: Night, task: Task, submit: Submit
    ) -> int:
        """Prepare the job of a claimed task, and submit it."""
        return submit(self.work, self.prepare(ledger, config, night, task))

    def end(self, ledger: Ledger, task: Task, result: object) -> str | None:
        """Record the result of a task that is done. TypeError: it is none of this stage."""
        if not isinstance(result, self.result):
            msg = f"its worker answered with {type(result).__name__}"
            raise TypeError(msg)
        return self.record(ledger, task, result)

    def keep_progress(self, ledger: Ledger, task: Task, progress: object) -> None:
        """Record what was done before work went wrong, if the stage keeps that."""
        if self.record_progress is not None and isinstance(progress, self.result):
            self.record_progress(ledger, task, progress)
