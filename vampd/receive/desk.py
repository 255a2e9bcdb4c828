"""What goes on in the receiver's workers, and who is told what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar, cast

from msgspec import Struct

from vampd.ledger.barrier import Barrier
from vampd.schedule.executor import Executor, Outcome, Readable

J = TypeVar("J")
R = TypeVar("R")

_Done: TypeAlias = Callable[[Outcome[object]], None]

log = logging.getLogger(__name__)


class _Work(Struct, frozen=True, kw_only=True):
    sort: str
    about: str
    done: _Done


class Desk:
    """Hands work to processes, and brings back what came of it, one piece at a time.

    *sort* and *about* name a piece: of the same ones there is one at a time.
    """

    def __init__(self, executor: Executor, barrier: Barrier) -> None:
        self._executor = executor
        self._barrier = barrier
        self._works: dict[int, _Work] = {}

    def count(self, *sorts: str) -> int:
        """How many pieces of these sorts are at work."""
        return sum(work.sort in sorts for work in self._works.values())

    def is_at_work(self, sort: str, about: str) -> bool:
        """Whether this very piece is at work."""
        return any((work.sort, work.about) == (sort, about) for work in self._works.values())

    def start(
        self,
        sort: str,
        about: str,
        work: Callable[[J], R],
        job: J,
        done: Callable[[Outcome[R]], None],
    ) -> None:
        """Let a process do *work* with *job*; *done* is told how it ended."""
        key = self._executor.submit(work, job)
        self._works[key] = _Work(sort=sort, about=about, done=cast("_Done", done))

    def collect(self) -> bool:
        """Tell of all that has ended; return whether anything had."""
        outcomes = self._executor.finished()
        for outcome in outcomes:
            work = self._works.pop(outcome.key)
            if outcome.error is not None:
                log.warning("%s of %s: %s", work.sort, work.about, outcome.error)
            record = partial(work.done, outcome)
            self._barrier.attempt(f"recording {work.sort} of {work.about}", record)
        return bool(outcomes)

    def pipes(self) -> Sequence[Readable]:
        """What becomes readable when a piece ends."""
        return self._executor.pipes()

    def __len__(self) -> int:
        return len(self._works)
