"""A task of a stage: claimed, prepared, handed to a worker, and recorded."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vampd.ledger import nights, tasks
from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.ledger.tasks import Task
from vampd.schedule import retries
from vampd.schedule.dispatch import DELIVERY
from vampd.schedule.executor import Executor, Outcome, unrecorded
from vampd.schedule.stage_table import STAGES
from vampd.schedule.suspects import is_away
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.states import ErrorClass, Stage

_OF_FILES = frozenset({ErrorClass.DETERMINISTIC, ErrorClass.INPUT, ErrorClass.INTEGRITY})


class StageWork(Struct, frozen=True, kw_only=True):
    """A claimed task."""

    task: Task

    def __str__(self) -> str:
        """As the log names it."""
        return f"task {self.task.id}: {self.task.stage} {self.task.unit}".rstrip()

    @property
    def kind(self) -> Stage:
        """What it is a piece of."""
        return self.task.stage

    @property
    def night(self) -> int:
        """The night to which it belongs."""
        return self.task.night

    @property
    def seat(self) -> Seat:
        """What it takes."""
        return seat_of(self.task.stage)

    def begin(self, ledger: Ledger, config: Config, executor: Executor) -> int:
        """Prepare its job, and have it done."""
        night = nights.night_of_task(ledger, self.task)
        stage = STAGES[self.task.stage]
        return stage.begin(ledger, config, night, self.task, executor.submit)

    def note_builder(self, ledger: Ledger, builder: str | None) -> None:
        """Keep which other host has it."""
        tasks.note_builder(ledger, self.task, builder)

    def end(
        self, ledger: Ledger, config: Config, barrier: Barrier, outcome: Outcome[object]
    ) -> None:
        """Record how it ended; what cannot be recorded is the task's failure."""
        trouble = barrier.attempt(str(self), lambda: self._record(ledger, config, outcome))
        if trouble is not None:
            failed = unrecorded(outcome.key, trouble)
            barrier.attempt(str(self), lambda: self._record(ledger, config, failed))

    def put_back(self, ledger: Ledger) -> None:
        """Let it be done again."""
        tasks.requeue(ledger, self.task, None, None, due_us=0)

    def _record(self, ledger: Ledger, config: Config, outcome: Outcome[object]) -> None:
        outcome = _blamed(ledger, self.task.night, outcome)
        with ledger.transaction():
            if outcome.lost:
                retries.after_loss(ledger, self.task, outcome.error or "", config)
            elif outcome.crashed:
                retries.after_crash(ledger, self.task, outcome.error or "")
            elif outcome.error_class is not None:
                retries.after_error(ledger, self.task, outcome, config)
            else:
                retries.after_success(ledger, self.task, outcome.result, config)


def seat_of(stage: Stage) -> Seat:
    """What a stage's tasks take: transfers and verifications wait for a network."""
    if stage in DELIVERY:
        return Seat.NETWORK
    return Seat.BUILDER if stage is Stage.BUILD else Seat.HERE


def claimed(ledger: Ledger, night: int, stage: Stage) -> StageWork | None:
    """The next task of a night's stage that is due, claimed; None: there is none."""
    number = tasks.next_due(ledger, night, stage)
    task = None if number is None else tasks.claim(ledger, number)
    return None if task is None else StageWork(task=task)


def _blamed(ledger: Ledger, night: int, outcome: Outcome[object]) -> Outcome[object]:
    """What went wrong while the night's disk was away says nothing of any file."""
    if outcome.error_class in _OF_FILES and is_away(ledger, night):
        error = f"its disk is not there: {outcome.error}"
        return replace(outcome, error_class=ErrorClass.TRANSIENT, code=None, error=error)
    return outcome
