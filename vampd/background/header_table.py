"""Taking every header into the table of headers, soon after its file was first seen whole."""

from __future__ import annotations

import logging
from typing import Any

from vampd.back_off import pause_us
from vampd.background.header_reading import work
from vampd.errors import ResourceError
from vampd.ledger import headers
from vampd.ledger.connection import HEADERS_NAME, Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.states import ErrorClass

log = logging.getLogger(__name__)

_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})


class HeaderReader:
    """Remembers that the table is there, and which nights rest after a passing failure.

    A disk that is away keeps its own nights waiting, and no others.
    """

    def __init__(self) -> None:
        self._rests_until_ns: dict[int, int] = {}  #: by a clock that nobody sets
        self._is_there = False

    def due(self, ledger: Ledger, config: Config) -> Any | None:
        """The next headers to be read."""
        if not self._is_there:
            self._is_there = True
            if not (config.state_dir / HEADERS_NAME).exists():
                headers.ask_anew(ledger)
        now_ns = ledger.clock.monotonic_ns()
        resting = [night for night, until_ns in self._rests_until_ns.items() if now_ns < until_ns]
        return headers.due(ledger, resting)

    def record(
        self, ledger: Ledger, config: Config, job: Any, outcome: Outcome[list[dict[str, Any]]]
    ) -> None:
        """Keep them; after a passing failure, ask again later."""
        rests_until_ns = ledger.clock.monotonic_ns() + 1000 * pause_us(
            config.retry.first_seconds, config.retry.longest_seconds
        )
        if outcome.error_class in _PASSING:
            self._rests_until_ns[job["night"]] = rests_until_ns
        elif outcome.result is None:
            headers.give_up(ledger, job)
        else:
            try:
                path = config.state_dir / HEADERS_NAME
                refused = headers.record(ledger, path, job, outcome.result)
            except ResourceError as error:
                log.warning("%s", error)
                self._rests_until_ns[job["night"]] = rests_until_ns
                return
            for file, why in refused.items():
                log.warning("%s: its header is not in the table of headers: %s", file, why)


_READER = HeaderReader()

JOB = BackgroundJob(
    name="headers",
    seat=Seat.BUILDER,
    due=_READER.due,
    work=work,
    result=list,
    record=_READER.record,
)
