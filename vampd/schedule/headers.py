"""Taking every header into the table of headers, soon after its file was first seen whole."""

from __future__ import annotations

from typing import Any

from vampd.ledger import headers
from vampd.ledger.connection import Ledger
from vampd.schedule.chores import Chore
from vampd.schedule.workers import Outcome
from vampd.sections import Config
from vampd.stages.headers import work
from vampd.states import ErrorClass

_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})


class _Headers:
    """Remembers that the table is there, and a rest after a passing failure."""

    def __init__(self) -> None:
        self._rests_until_us = 0
        self._is_there = False

    def due(self, ledger: Ledger, config: Config) -> Any | None:
        if not self._is_there:
            self._is_there = True
            if not (config.state_dir / headers.HEADERS_NAME).exists():
                headers.ask_anew(ledger)
        if ledger.now_us() < self._rests_until_us:
            return None
        return headers.due(ledger)

    def record(self, ledger: Ledger, config: Config, job: Any, outcome: Outcome) -> None:
        if outcome.result is not None:
            path = config.state_dir / headers.HEADERS_NAME
            headers.record(ledger, path, job, outcome.result)
        elif outcome.error_class in _PASSING:
            self._rests_until_us = ledger.now_us() + round(config.retry.first_seconds * 1e6)
        else:
            headers.give_up(ledger, job)


_HEADERS = _Headers()

CHORE = Chore(
    name="headers", uses_network=False, due=_HEADERS.due, body=work, record=_HEADERS.record
)
