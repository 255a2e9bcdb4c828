"""Where work is done, and how it ended: what the engine asks of whoever does it.

These are processes of this machine (`vampd.schedule.workers`), or builders of other hosts beside
them (`vampd.builders`). A job is a record of plain
values, paths among them, and what is done with it is a function of a module: both go to another
host as they are. What they make is published without replacing anything, and what comes back counts
for the attempt for which it was handed out, and for no other: see `vampd.ledger.tasks`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from vampd.ledger.barrier import Trouble
from vampd.ledger.builders import Roster
from vampd.states import ErrorClass, ErrorCode

#: What can be waited for together.
Readable: TypeAlias = Connection | socket.socket

J = TypeVar("J")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Outcome(Struct, Generic[R_co], frozen=True, kw_only=True):
    """How one piece of work ended: with a result, an error, or a dead worker."""

    key: int
    result: R_co | None = None  #: with an error: what was done before it
    error_class: ErrorClass | None = None
    code: ErrorCode | None = None
    error: str | None = None
    path: str | None = None  #: the bad raw file of an input error
    crashed: bool = False
    lost: bool = False  #: its builder was: no word about the work
    builder: str | None = None  #: the other host that did it
    is_ours: bool = False  #: the daemon could not begin or record it: no word about the work


class Elsewhere(Protocol):
    """Builders of other hosts, to whom some of the work goes."""

    @property
    def places(self) -> int:
        """How many pieces of it may go on."""

    @property
    def away(self) -> str | None:
        """Why none of it can be done now; None: it can."""

    @property
    def is_gathering(self) -> bool:
        """Whether builders may be about to join."""

    @property
    def roster(self) -> Roster:
        """Who they are, for people."""

    def builder_of(self, key: int) -> str | None:
        """The host that has a piece; None: it is done here."""


class Executor(Protocol):
    """Whoever does work. All calls are of one thread, and none of them waits."""

    def submit(self, work: Callable[[J], object], job: J) -> int:
        """Have *work* done with *job*; return the key under which its outcome comes.

        What cannot be begun is raised: nothing goes on then.
        """

    def finished(self) -> list[Outcome[object]]:
        """What has ended since the last call, each once."""

    def cancel(self, keys: Iterable[int]) -> None:
        """End the work of *keys*; what it was at is left as it is, and no outcome comes of it."""

    def stop(self) -> None:
        """End all work."""

    def pipes(self) -> Sequence[Readable]:
        """What becomes readable when there may be an outcome."""

    @property
    def elsewhere(self) -> Elsewhere | None:
        """The builders of other hosts; None: all work is done here."""


def of_trouble(trouble: Trouble) -> Outcome[object]:
    """How work ended that could not be begun."""
    return Outcome(key=0, error_class=trouble.error_class, error=trouble.words, is_ours=True)


def unrecorded(key: int, trouble: Trouble) -> Outcome[object]:
    """How work ended of which the ledger could not keep what came."""
    error = f"what came of it cannot be recorded: {trouble.words}"
    return Outcome(key=key, error_class=trouble.error_class, error=error, is_ours=True)


def with_result(outcome: Outcome[object], kind: type[R] | tuple[type[R], ...]) -> Outcome[R]:
    """The same, with a result that is of its *kind*; a worker that tells another has failed."""
    result = outcome.result
    if result is not None and not isinstance(result, kind):
        return Outcome(
            key=outcome.key,
            error_class=outcome.error_class or ErrorClass.DETERMINISTIC,
            error=outcome.error or f"its worker answered with {type(result).__name__}",
            path=outcome.path,
            builder=outcome.builder,
        )
    return Outcome(
        key=outcome.key,
        result=result,
        error_class=outcome.error_class,
        code=outcome.code,
        error=outcome.error,
        path=outcome.path,
        crashed=outcome.crashed,
        lost=outcome.lost,
        builder=outcome.builder,
        is_ours=outcome.is_ours,
    )
