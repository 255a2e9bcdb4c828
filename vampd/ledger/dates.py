"""What the ledger says of the past must not lie in the future, though the host's date was ahead.

A clock that was years ahead for an hour leaves times behind that are to come. Waiting for them
would hold a night until then. So they are taken as now: when a daemon begins, and whenever the date
is seen to go back. Events keep the times at which they were written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from vampd.ledger.connection import Ledger
from vampd.time_units import SECOND_US

log = logging.getLogger(__name__)


#: Each table with what is still to be done in it from its `due_us` on.
_PUT_OFF = {
    "task": "state = 'pending'",
    "mail": "state in ('wanted', 'composed')",
    "rebuild_proof": "proved_us is null and problem is null",
}

#: Times since which something counts, by table. Those on whose word raw data may go are not among
#: them: they are counted by time that was seen to pass (see `vampd.ledger.elapsed`).
_SINCE = {
    "night": ("last_change_us", "closed_us", "verified_us", "verify_since_us", "verify_tried_us"),
    "task": ("started_us", "finished_us", "failing_since_us"),
    "deliverable": ("sent_us", "verified_us"),
    "disk": ("looked_us",),
    "mail": ("composed_us", "sent_us", "failing_since_us"),
    "alert": ("began_us", "told_us"),
    "hook": ("since_us",),
    "local_copy": ("read_us",),
    "scrubbed": ("oldest_us", "since_us"),
}


class Dates:
    """Keeps them so. For the daemon's one thread.

    *put_off*, *since*: the tables of another ledger, as in `_PUT_OFF` and `_SINCE`.
    """

    def __init__(
        self,
        ledger: Ledger,
        put_off: Mapping[str, str] = _PUT_OFF,
        since: Mapping[str, Sequence[str]] = _SINCE,
    ) -> None:
        self._ledger = ledger
        self._put_off = put_off
        self._since = since
        self._ahead_us: int | None = (
            None  #: the date less the clock that never steps, when last seen
        )

    def mend(self, longest_us: int) -> None:
        """Nothing is put off for longer than *longest_us*; nothing past is still to come."""
        clamp_due(self._ledger, longest_us, self._put_off)
        ahead_us = self._ledger.now_us() - self._ledger.clock.monotonic_ns() // 1000
        if self._ahead_us is None or ahead_us < self._ahead_us - SECOND_US:
            mend_past(self._ledger, self._since)
        self._ahead_us = ahead_us


def clamp_due(ledger: Ledger, longest_us: int, put_off: Mapping[str, str] = _PUT_OFF) -> None:
    """Nothing is put off for longer than *longest_us* from now, the longest pause there is."""
    latest_us = ledger.now_us() + longest_us
    for table, is_open in put_off.items():
        too_late = f"from {table} where {is_open} and due_us > ?"
        for row in ledger.rows(f"select id {too_late}", [latest_us]):
            ledger.update(table, row["id"], due_us=latest_us)


def mend_past(ledger: Ledger, since: Mapping[str, Sequence[str]] = _SINCE) -> None:
    """What is dated in the future was so by a wrong date: it counts from now. It is told."""
    now_us = ledger.now_us()
    mended = 0
    with ledger.transaction():
        for table, columns in since.items():
            changes = ", ".join(f"{column} = min({column}, ?1)" for column in columns)
            ahead = " or ".join(f"{column} > ?1" for column in columns)
            query = f"update {table} set {changes} where {ahead}"  # noqa: S608 - constants
            mended += ledger.execute(query, [now_us]).rowcount
    if mended:
        log.warning(
            "the host's date was ahead: what %d rows of the ledger date to times that are still to"
            " come counts from now",
            mended,
        )
