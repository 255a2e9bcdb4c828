"""What goes on in workers, as the engine remembers it."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.schedule.executor import Executor, Outcome
from vampd.settings.sections import Config


class Seat(Enum):
    """What a piece of work takes while it goes on."""

    BUILDER = auto()  #: a builder of another host, or one of `workers.processes`
    HERE = auto()  #: one of `workers.processes`, always of this machine
    NETWORK = auto()  #: that of deliveries, of which there is one
    NONE = auto()  #: hardly any work: it waits for nobody


class Work(Protocol):
    """A piece of work that a worker has. Its text is how the log names it."""

    @property
    def kind(self) -> object:
        """What it is a piece of: a stage, or a background job."""

    @property
    def night(self) -> int | None:
        """The night to which it belongs, if to one."""

    @property
    def seat(self) -> Seat:
        """What it takes."""

    def begin(self, ledger: Ledger, config: Config, executor: Executor) -> int:
        """Have it done; return the key under which its outcome comes."""

    def note_builder(self, ledger: Ledger, builder: str | None) -> None:
        """Keep which other host has it; None: it is done here."""

    def end(
        self, ledger: Ledger, config: Config, barrier: Barrier, outcome: Outcome[object]
    ) -> None:
        """Record how it ended, or that it could not be begun."""

    def put_back(self, ledger: Ledger) -> None:
        """It was ended before it was done: let it be done again."""
