"""Hands out what is due, takes back what came of it, and keeps every night's status true.

Each piece of it is done within the barrier: see `vampd.ledger.barrier`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from vampd.causes import Cause
from vampd.io.disk import free_bytes
from vampd.ledger import builders, nights
from vampd.ledger.builders import Roster
from vampd.ledger.connection import Ledger
from vampd.ledger.dates import Dates
from vampd.ledger.records import Night
from vampd.schedule.background_job import AnyBackgroundJob, text_of
from vampd.schedule.brake import Brake
from vampd.schedule.dispatch import SHADOWED, NightSnapshot, stages_due, standing
from vampd.schedule.executor import Executor, Outcome, of_trouble
from vampd.schedule.facts import read_facts
from vampd.schedule.live import Follower
from vampd.schedule.readings import Readings
from vampd.schedule.stage_work import claimed, seat_of
from vampd.schedule.work import Seat, Work
from vampd.settings.sections import Config
from vampd.states import FINAL, NightStatus, Stage, WaitCode
from vampd.time_units import MINUTE_US
from vampd.watch.scan_cycle import ScanCycle

log = logging.getLogger(__name__)


class Engine:
    """The daemon's hands. All methods are for its one thread."""

    def __init__(
        self,
        ledger: Ledger,
        config: Config,
        scan_cycle: ScanCycle,
        executor: Executor,
        background_jobs: Sequence[AnyBackgroundJob],
    ) -> None:
        self.config = config
        self.facts: list[NightSnapshot] = []
        self._ledger = ledger
        self._scan_cycle = scan_cycle
        self._executor = executor
        self._background_jobs = background_jobs
        self._barrier = scan_cycle.barrier
        self._going: dict[int, Work] = {}
        self._readings = Readings(ledger, scan_cycle)
        self._dates = Dates(ledger)
        self._follower = Follower(ledger, scan_cycle)
        self.brake = Brake(scan_cycle, ledger.clock)
        self._seen: tuple[object, ...] = ()  #: at the last refresh
        self._stopped: dict[int, int] = {}  #: at the last heartbeat
        self._stopped_since_ns: dict[int, int] = {}
        self._told_stopped = ""
        self._roster: Roster | None = None  #: as the ledger has it

    @property
    def busy(self) -> int:
        """How many pieces of work are going on."""
        return len(self._going)

    @property
    def is_gathering(self) -> bool:
        """Whether builders may be about to join."""
        elsewhere = self._executor.elsewhere
        return elsewhere is not None and elsewhere.is_gathering

    def collect(self) -> bool:
        """Record what came of finished work; return whether there was any."""
        outcomes = self._executor.finished()
        for outcome in outcomes:
            work = self._going.pop(outcome.key, None)
            if work is not None:  # else it was ended meanwhile, and is done again
                self._barrier.attempt(str(work), partial(self._end, work, outcome))
        return bool(outcomes)

    def hand_out(self) -> None:
        """Give free seats work: reading first, which is short, then the stages.

        Background jobs come last: a night's own work has the first claim to every seat.
        """
        self._barrier.regularly("mending dates", self._mend_dates)
        self._barrier.regularly("looking who else waits for the disk", self.brake.look)
        self.refresh()
        self._follower.follow_all(self.facts, self._for_night)
        self.refresh()
        for night in self.facts:
            if night.status not in FINAL and night.pause is None:
                self._for_night(night.number, "reading it", partial(self._hand_out_reading, night))
        for number, stage in stages_due(self.facts):
            hand_out = partial(self._hand_out_stage, number, stage)
            self._for_night(number, f"beginning its {stage}", hand_out)
        for kind in self._background_jobs:
            hand_out = partial(self._hand_out_jobs, [kind])
            self._barrier.regularly(f"the background job {kind.name}", hand_out)
        self._barrier.regularly("reading again", self._hand_out_rereading)
        self.refresh()

    def refresh(self) -> None:
        """Bring the facts, and every night's status, in line with what was written and seen.

        Where nothing was written, looked at or filled up since the last time, there is nothing
        to do: hundreds of nights at rest cost nothing.
        """
        full = self._full_disks()
        away = self._note_builders()
        seen = (self._scan_cycle.looks, tuple(sorted(full.items())), self._barrier.resting, away)
        if (self._ledger.changes, *seen) == self._seen:
            return
        self.facts = read_facts(self._ledger, self._scan_cycle, full, away)
        moved: list[int] = []
        for facts in self.facts:
            bring = partial(self._bring_in_line, facts, moved)
            self._for_night(facts.number, "its status", bring)
        if moved:
            self.facts = read_facts(self._ledger, self._scan_cycle, full, away)
        self._seen = (self._ledger.changes, *seen)

    def _note_builders(self) -> str | None:
        """Keep who builds on other hosts, when that has changed; return why nobody does."""
        elsewhere = self._executor.elsewhere
        if elsewhere is None:
            return None
        if (roster := elsewhere.roster) != self._roster:
            builders.keep(self._ledger, roster)
            self._roster = roster
        return elsewhere.away

    def _bring_in_line(self, facts: NightSnapshot, moved: list[int]) -> None:
        if facts.is_unread and facts.hold is None:
            return  # nobody knows where it stands
        now = standing(facts, self.facts)
        if now.status == facts.status and now.status in FINAL:
            return  # it keeps the cause with which it came to rest
        night = nights.get_night(self._ledger, facts.number)
        if nights.set_status(self._ledger, night, now.status, now.cause):
            moved.append(facts.number)
            _log_status(night, now.status, now.cause)

    def _for_night(self, night: int, work: str, do: Callable[[], object]) -> None:
        """Do something for a night; one for which it goes wrong twice is held, and no other."""
        self._barrier.regularly(
            f"night {night}: {work}",
            do,
            lambda words: nights.hold_for_trouble(self._ledger, night, words),
        )

    def _mend_dates(self) -> None:
        longest = max(self.config.retry.longest_seconds, self.config.retry.first_seconds)
        self._dates.mend(round(longest * 1e6))

    def cancel(self, night: int | None) -> None:
        """End a night's work, and requeue its tasks; None: that of background jobs."""
        keys = [key for key, work in self._going.items() if work.night == night]
        self._executor.cancel(keys)
        for key in keys:
            self._going.pop(key).put_back(self._ledger)

    def tell_stopped(self, stopped: Mapping[int, int]) -> dict[int, str]:
        """Let operators know of workers, by key their process, that a signal stopped.

        Their work is neither done nor given to others: it may be at it when it goes on. What is
        found twice in succession is told, until it goes on or has ended. Returns those that are
        stopped for longer than `workers.stopped_minutes`, and why each is to be given up.
        """
        lasting = {key: pid for key, pid in stopped.items() if self._stopped.get(key) == pid}
        self._stopped = dict(stopped)
        words = "; ".join(
            f"process {pid} ({self._at_what(self._going[key])}) was stopped by a signal: "
            f"kill -CONT {pid}"
            for key, pid in sorted(lasting.items())
            if key in self._going
        )
        if words != self._told_stopped:
            self._told_stopped = words
            self._barrier.note("a worker that is stopped", words or None)
            if words:
                log.error("%s", words)
        return self._stopped_too_long()

    def _stopped_too_long(self) -> dict[int, str]:
        """Workers, by key, that were stopped for too long; and so in words."""
        now_ns = self._ledger.clock.monotonic_ns()
        since = self._stopped_since_ns
        self._stopped_since_ns = {key: since.get(key, now_ns) for key in self._stopped}
        minutes = self.config.workers.stopped_minutes
        return {
            key: f"its worker was stopped by a signal for {minutes:g} min, and was ended"
            for key, since_ns in self._stopped_since_ns.items()
            if minutes and now_ns - since_ns >= minutes * MINUTE_US * 1000
        }

    def _at_what(self, work: Work) -> str:
        if work.night is None:
            return str(work)
        return f"{nights.label(nights.get_night(self._ledger, work.night))}, {work}"

    def stop(self) -> None:
        """End what is still going on; its tasks are put back."""
        for night in {work.night for work in self._going.values()}:
            self._barrier.attempt("ending what goes on", partial(self.cancel, night))

    def _is_free(self, seat: Seat) -> bool:
        if seat is Seat.NONE:
            return True  # an alarm must not wait for a night of building, nor for a transfer
        if self.brake.why:
            return False
        taken = Counter(work.seat for work in self._going.values())
        if seat is Seat.NETWORK:
            return not taken[seat]
        elsewhere = self._executor.elsewhere
        if elsewhere is None:
            return taken[Seat.BUILDER] + taken[Seat.HERE] < self.config.workers.processes
        most = elsewhere.places if seat is Seat.BUILDER else self.config.workers.processes
        return taken[seat] < most

    def _full_disks(self) -> dict[str, Cause]:
        """By root: why nothing may be written there."""
        least = self.config.disk.keep_free_gb * 1e9
        full: dict[str, Cause] = {}
        for root in self.config.roots if least else ():
            free = _free(root.path)
            if free is not None and free < least:
                words = {"least": f"{least / 1e9:g}", "root": str(root.path)}
                full[str(root.path)] = Cause(WaitCode.DISK_LOW, words)
        return full

    def _hand_out_reading(self, night: NightSnapshot) -> None:
        if self._is_free(Seat.BUILDER):
            self._hand_out_jobs(self._readings.of_night(night, self._going.values()))

    def _hand_out_rereading(self) -> None:
        """Last of all, when nothing else is to be done."""
        self._hand_out_jobs(self._readings.at_rest(self.facts, self._going.values()))

    def _hand_out_stage(self, night: int, stage: Stage) -> None:
        while self._is_free(seat_of(stage)):
            work = claimed(self._ledger, night, stage)
            if work is None:
                return
            self._start(work)

    def _hand_out_jobs(self, kinds: Iterable[AnyBackgroundJob]) -> None:
        """One piece of each of *kinds*, of which none goes on or went wrong a short while ago."""
        for kind in kinds:
            if any(work.kind is kind for work in self._going.values()):
                continue
            if not self._is_free(kind.seat) or self._barrier.rests(text_of(kind)):
                continue
            work = kind.next(self._ledger, self.config)
            if work is not None:
                self._start(work)

    def _start(self, work: Work) -> None:
        trouble = self._barrier.attempt(f"{work}: beginning it", partial(self._begin, work))
        if trouble is not None:
            self._end(work, of_trouble(trouble))

    def _begin(self, work: Work) -> None:
        key = work.begin(self._ledger, self.config, self._executor)
        self._going[key] = work
        if (elsewhere := self._executor.elsewhere) is not None:
            work.note_builder(self._ledger, elsewhere.builder_of(key))

    def _end(self, work: Work, outcome: Outcome[object]) -> None:
        work.end(self._ledger, self.config, self._barrier, outcome)


def _free(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except OSError:
        return None


def _log_status(night: Night, status: NightStatus, cause: Cause | None) -> None:
    level = logging.INFO
    if status in {NightStatus.FAILED, NightStatus.HELD} and cause != SHADOWED:
        level = logging.ERROR
    moved = f"{night.status} -> {status}" if night.status != status else f"still {status}"
    text = f"{nights.label(night)}: {moved}"
    log.log(level, "%s%s", text, f": {cause}" if cause else "", extra={"NIGHT": night.date})
