"""The cameras come first: nothing is begun while they write and the machine can hardly follow.

What is being done goes on, at the lowest priority there is: it lasts seconds, or minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from vampd.io.clock import Clock
from vampd.io.pressure import Resource, waiting_percent
from vampd.settings.sections import Workers
from vampd.time_units import SECOND_NS
from vampd.watch.scan_cycle import ScanCycle

log = logging.getLogger(__name__)

_LOOK_NS = SECOND_NS
#: The cameras write while something of them came or changed within this time, or two scans.
_WRITING_SECONDS = 120.0
#: Below this part of a limit work goes on again: it must not begin and stop every second.
_GOES_ON_BELOW = 0.5

_WORDS: Mapping[Resource, str] = {"io": "the disk is busy", "memory": "memory is short"}


def why_pause(
    limits: Mapping[Resource, float],
    waiting: Mapping[Resource, float | None],
    *,
    paused: bool,
) -> str:
    """Why nothing is to be begun now, in words; "": no reason.

    *limits*, *waiting*: percent of the time in which some task of others waits; a limit of 0 is
    none. One that is *paused* goes on only below half of each limit.
    """
    for resource, limit in limits.items():
        found = waiting[resource]
        most = limit * _GOES_ON_BELOW if paused else limit
        if limit and found is not None and found > most:
            return f"{_WORDS[resource]} (PSI some {found:.0f} % > {most:g} %)"
    return ""


def limits_of(workers: Workers) -> dict[Resource, float]:
    """What is set."""
    return {
        "io": workers.pause_above_io_percent,
        "memory": workers.pause_above_memory_percent,
    }


class Brake:
    """Whether work may be begun; for the daemon's one thread."""

    def __init__(
        self,
        scan_cycle: ScanCycle,
        clock: Clock,
        waiting: Callable[[Resource], float | None] = waiting_percent,
    ) -> None:
        self.why = ""  #: why nothing is begun now; "": it is
        self._scan_cycle = scan_cycle
        self._clock = clock
        self._waiting = waiting
        self._looked_ns: int | None = None

    def look(self) -> None:
        """Judge anew, at most once a second."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and 0 <= now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        why = self._judged(now_ns)
        if bool(why) is not bool(self.why):
            log.info("%s", f"pauses: {why}" if why else "goes on after a pause")
        self.why = why

    def _judged(self, now_ns: int) -> str:
        limits = limits_of(self._scan_cycle.config.workers)
        if not any(limits.values()) or not self._cameras_write(now_ns):
            return ""
        waiting = {resource: self._waiting(resource) for resource in limits}
        return why_pause(limits, waiting, paused=bool(self.why))

    def _cameras_write(self, now_ns: int) -> bool:
        seconds = max(_WRITING_SECONDS, 2 * self._scan_cycle.config.night.scan_seconds)
        return any(
            watch.changed_ns is not None and now_ns - watch.changed_ns < seconds * SECOND_NS
            for watch in self._scan_cycle.nights.values()
        )
