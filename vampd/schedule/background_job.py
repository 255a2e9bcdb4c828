"""Work that is no stage's: it goes on beside them, in workers too.

Most of it belongs to no night, and is listed in `vampd.background.table`: one piece of each kind at
a time, asked for every second. Reading headers and digesting raw files is of this kind as well, but
for its place: it comes before the stages, night by night. See `vampd.schedule.readings`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.schedule.executor import Executor, Outcome, unrecorded, with_result
from vampd.schedule.work import Seat, Work
from vampd.settings.sections import Config

J = TypeVar("J")
R = TypeVar("R")


class AnyBackgroundJob(Protocol):
    """One kind of it, whatever its jobs and results are."""

    @property
    def name(self) -> str:
        """As the log and the ledger name it."""

    @property
    def night(self) -> int | None:
        """The night to which it belongs, if to one."""

    @property
    def seat(self) -> Seat:
        """What it takes."""

    def next(self, ledger: Ledger, config: Config) -> Work | None:
        """The next piece of it; None: nothing is to be done."""


class BackgroundJob(Struct, Generic[J, R], frozen=True, kw_only=True):
    """One kind of it; *J* is what a worker must know, *R* what it finds out."""

    name: str
    seat: Seat
    due: Callable[[Ledger, Config], J | None]  #: its job, None: nothing to do
    work: Callable[[J], R]  #: done in a worker
    result: type[R]
    record: Callable[[Ledger, Config, J, Outcome[R]], None]  #: the job, and how it ended
    night: int | None = None

    def next(self, ledger: Ledger, config: Config) -> Work | None:
        """The next piece of it; None: nothing is to be done."""
        job = self.due(ledger, config)
        return None if job is None else BackgroundWork(kind=self, job=job)


class BackgroundWork(Struct, Generic[J, R], frozen=True, kw_only=True):
    """A background job's job that a worker has."""

    kind: BackgroundJob[J, R]
    job: J

    def __str__(self) -> str:
        """As the log names it."""
        return text_of(self.kind)

    @property
    def night(self) -> int | None:
        """The night to which it belongs, if to one."""
        return self.kind.night

    @property
    def seat(self) -> Seat:
        """What it takes."""
        return self.kind.seat

    def begin(self, ledger: Ledger, config: Config, executor: Executor) -> int:
        """Have it done."""
        del ledger, config
        return executor.submit(self.kind.work, self.job)

    def note_builder(self, ledger: Ledger, builder: str | None) -> None:
        """Nobody asks who reads."""

    def end(
        self, ledger: Ledger, config: Config, barrier: Barrier, outcome: Outcome[object]
    ) -> None:
        """Record what came of it; if that fails, so did the job, and it rests."""
        trouble = barrier.attempt(str(self), lambda: self._record(ledger, config, outcome))
        if trouble is None:
            barrier.forget(str(self))
            return
        barrier.rest(str(self), trouble)
        failed = unrecorded(outcome.key, trouble)
        barrier.attempt(str(self), lambda: self._record(ledger, config, failed))

    def put_back(self, ledger: Ledger) -> None:
        """It is due again by itself."""

    def _record(self, ledger: Ledger, config: Config, outcome: Outcome[object]) -> None:
        with ledger.transaction():
            found = with_result(outcome, self.kind.result)
            self.kind.record(ledger, config, self.job, found)


def text_of(kind: AnyBackgroundJob) -> str:
    """How the log names a piece of it."""
    if kind.night is not None:
        return f"night {kind.night}: {kind.name}"
    return f"what came of the background job {kind.name}"
