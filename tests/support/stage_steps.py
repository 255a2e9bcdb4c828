"""The steps of a stage, taken by hand: what its worker is given, and what it does with that."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.schedule.stage_table import STAGES
from vampd.settings.sections import Config

J = TypeVar("J")


def prepared(ledger: Ledger, config: Config, night: Night, task: Task) -> Callable[[], object]:
    """The worker's part of a task, prepared, as it comes through the pipe."""
    found: list[Callable[[], object]] = []

    def submit(work: Callable[[J], object], job: J) -> int:
        found.append(partial(work, pickle.loads(pickle.dumps(job))))
        return 1

    STAGES[task.stage].begin(ledger, config, night, task, submit)
    return found[0]


def piped(value: object) -> object:
    """What comes of a value that a worker tells."""
    return pickle.loads(pickle.dumps(value))
