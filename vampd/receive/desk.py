"""What goes on in the receiver's workers, and who is told what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from vampd.ledger.barrier import Barrier
from vampd.schedule.workers import Body, Outcome, Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    sort: str
    about: str
    done: Callable[[Outcome], None]


class Desk:
    """Hands work to processes, and brings back what came of it, one piece at a time.

    *sort* and *about* name a piece: of the same ones there is one at a time.
    """

    def __init__(self, workers: Workers, barrier: Barrier) -> None:
        self._workers = workers
        self._barrier = barrier
        self._works: dict[int, _Work] = {}
        self._next = 1

    def count(self, *sorts: str) -> int:
        """How many pieces of these sorts are at work."""
        return sum(work.sort in sorts for work in self._works.values())

    def is_at_work(self, sort: str, about: str) -> bool:
        """Whether this very piece is at work."""
        return any((work.sort, work.about) == (sort, about) for work in self._works.values())

    def start(
        self, sort: str, about: str, body: Body, job: Any, done: Callable[[Outcome], None]
    ) -> None:
        """Let a process do *body* of *job*; *done* is told how it ended."""
        key, self._next = self._next, self._next + 1
        self._workers.start(key, body, job)
        self._works[key] = _Work(sort=sort, about=about, done=done)

    def collect(self) -> bool:
        """Tell of all that has ended; return whether anything had."""
        outcomes = self._workers.finished()
        for outcome in outcomes:
            work = self._works.pop(outcome.key)
            if outcome.error is not None:
                log.warning("%s of %s: %s", work.sort, work.about, outcome.error)
            record = partial(work.done, outcome)
            self._barrier.attempt(f"recording {work.sort} of {work.about}", record)
        return bool(outcomes)

    def pipes(self) -> list[Connection]:
        """What becomes readable when a piece ends."""
        return self._workers.pipes()

    def __len__(self) -> int:
        return len(self._works)
