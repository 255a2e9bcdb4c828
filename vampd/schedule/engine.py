"""Hands out what is due, takes back what came of it, and keeps every night's status true.

Each piece of it is done within the barrier: see `vampd.ledger.barrier`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from vampd.back_off import pause_us
from vampd.causes import Cause
from vampd.io.disk import free_bytes
from vampd.ledger import files, nights, strays, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.dates import Dates
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.schedule import retries
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.brake import Brake
from vampd.schedule.dispatch import DELIVERY, SHADOWED, NightSnapshot, stages_due, standing
from vampd.schedule.facts import read_facts
from vampd.schedule.live import Follower
from vampd.schedule.readings import BATCH_FILES, digest_batch, pair_batches
from vampd.schedule.stage_table import STAGES
from vampd.schedule.suspects import Suspects, is_away
from vampd.schedule.work import (
    Digesting,
    Reading,
    RunningJob,
    TaskWork,
    Work,
    is_light,
    night_of,
    of_trouble,
    results_of,
    unrecorded,
    uses_network,
)
from vampd.schedule.workers import Outcome, Workers
from vampd.settings.sections import Config
from vampd.states import FINAL, ErrorClass, FileCode, NightStatus, Stage, WaitCode
from vampd.watch import inspect
from vampd.watch.scan_cycle import ScanCycle

log = logging.getLogger(__name__)

_OF_FILES = frozenset({ErrorClass.DETERMINISTIC, ErrorClass.INPUT, ErrorClass.INTEGRITY})


class Engine:
    """The daemon's hands. All methods are for its one thread."""

    def __init__(
        self,
        ledger: Ledger,
        config: Config,
        scan_cycle: ScanCycle,
        workers: Workers,
        background_jobs: Sequence[BackgroundJob],
    ) -> None:
        self.config = config
        self.facts: list[NightSnapshot] = []
        self._ledger = ledger
        self._scan_cycle = scan_cycle
        self._workers = workers
        self._background_jobs = background_jobs
        self._barrier = scan_cycle.barrier
        self._keys = count(1)
        self._work: dict[int, Work] = {}
        self._suspects = Suspects(ledger)
        self._dates = Dates(ledger)
        self._follower = Follower(ledger, scan_cycle)
        self.brake = Brake(scan_cycle, ledger.clock)
        self._seen: tuple[object, ...] = ()  #: at the last refresh
        self._rests_until_ns = 0  #: no reading before this time, by a clock that nobody sets

    @property
    def busy(self) -> int:
        """How many pieces of work are going on."""
        return len(self._work)

    def collect(self) -> bool:
        """Record what came of finished work; return whether there was any."""
        outcomes = self._workers.finished()
        for outcome in outcomes:
            work = self._work.pop(outcome.key)
            self._barrier.attempt(str(work), lambda: self._take(work, outcome))  # noqa: B023
        return bool(outcomes)

    def hand_out(self) -> None:
        """Give free seats work: reading first, which is short, then the stages.

        Transfers and verifications wait for a network, and have a seat of their own.
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
        for background_job in self._background_jobs:
            hand_out = partial(self._hand_out_background_job, background_job)
            self._barrier.regularly(f"the background job {background_job.name}", hand_out)
        self._barrier.regularly("reading again", self._hand_out_rereading)
        self.refresh()

    def refresh(self) -> None:
        """Bring the facts, and every night's status, in line with what was written and seen.

        Where nothing was written, looked at or filled up since the last time, there is nothing
        to do: hundreds of nights at rest cost nothing.
        """
        full = self._full_disks()
        seen = (self._scan_cycle.looks, tuple(sorted(full.items())), self._barrier.resting)
        if (self._ledger.changes, *seen) == self._seen:
            return
        self.facts = read_facts(self._ledger, self._scan_cycle, full)
        moved: list[int] = []
        for facts in self.facts:
            bring = partial(self._bring_in_line, facts, moved)
            self._for_night(facts.number, "its status", bring)
        if moved:
            self.facts = read_facts(self._ledger, self._scan_cycle, full)
        self._seen = (self._ledger.changes, *seen)

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
        """Kill a night's workers, and requeue its tasks; None: those of background jobs."""
        keys = [key for key, work in self._work.items() if night_of(work) == night]
        self._workers.cancel(keys)
        for key in keys:
            work = self._work.pop(key)
            if isinstance(work, TaskWork):
                tasks.requeue(self._ledger, work.task, None, None, due_us=0)

    def stop(self) -> None:
        """Kill what is still going on; its tasks are put back."""
        for night in {night_of(work) for work in self._work.values()}:
            self.cancel(night)

    def _seats(self, *, delivery: bool) -> int:
        """How much more may be begun now."""
        if self.brake.why:
            return 0
        seated = [work for work in self._work.values() if not is_light(work)]
        taken = sum(1 for work in seated if uses_network(work) is delivery)
        return (1 if delivery else self.config.workers.processes) - taken

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
        watch = self._scan_cycle.nights.get(night.number)
        rests = self._ledger.clock.monotonic_ns() < self._rests_until_ns
        if watch is None or rests or self._seats(delivery=False) <= 0:
            return
        for pairs in pair_batches(self._unasked(watch.wanted), self._suspects.of(night.number)):
            if self._seats(delivery=False) <= 0:
                return
            work = Reading(night=night.number, pairs=pairs)
            job = {"night": str(watch.folder), "cubes": [list(pair) for pair in pairs.values()]}
            self._start(work, inspect.work, job)
        if self._seats(delivery=False) > 0 and (night.digests_missing or night.unread_again):
            self._hand_out_digests(night, watch.folder)

    def _hand_out_rereading(self) -> None:
        """Read again what lies elsewhere of nights at rest: a whole disk, perhaps, so it is last.

        One batch at a time, when nothing else is to be done.
        """
        for night in self.facts:
            if not night.unread_again or night.status not in FINAL or night.pause is not None:
                continue
            rests = self._ledger.clock.monotonic_ns() < self._rests_until_ns
            going = any(isinstance(work, Digesting) for work in self._work.values())
            if not (rests or going) and self._seats(delivery=False) > 0:
                row = nights.get_night(self._ledger, night.number)
                self._hand_out_digests(night, Path(row["folder"]))

    def _unasked(self, wanted: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        asked = {
            pair
            for work in self._work.values()
            if isinstance(work, Reading)
            for pair in work.pairs.values()
        }
        return {stem: pair for stem, pair in wanted.items() if pair not in asked}

    def _hand_out_digests(self, night: NightSnapshot, folder: Path) -> None:
        asked = {
            path
            for work in self._work.values()
            if isinstance(work, Digesting) and work.night == night.number
            for path in work.paths
        }
        unread = strays.unread(self._ledger, night.number)
        most = BATCH_FILES + len(asked)  # of which so many may be among those that are asked
        rows = (*unread, *files.without_digest(self._ledger, night.number, most))
        paths = digest_batch(rows, asked, self._suspects.of(night.number))
        if paths:
            work = Digesting(night=night.number, paths=paths)
            self._start(work, inspect.sha256_files, {"night": str(folder), "files": list(paths)})

    def _hand_out_stage(self, night: int, stage: Stage) -> None:
        while self._seats(delivery=stage in DELIVERY) > 0:
            number = self._ledger.value(
                "select id from task where night = ? and stage = ? and state = 'pending'"
                " and due_us <= ? order by id limit 1",
                [night, stage, self._ledger.now_us()],
            )
            task = None if number is None else tasks.claim(self._ledger, number)
            if task is None:
                return
            self._start_task(task)

    def _hand_out_background_job(self, background_job: BackgroundJob) -> None:
        """Background jobs come last: a night's own work has the first claim to every seat."""
        going = any(
            isinstance(work, RunningJob) and work.background_job is background_job
            for work in self._work.values()
        )
        # An alarm must not wait for a night of building, nor a mail for a transfer of hours.
        full = (
            not background_job.is_light and self._seats(delivery=background_job.uses_network) <= 0
        )
        if going or full:
            return
        if self._barrier.rests(str(RunningJob(background_job=background_job, job=None))):
            return
        job = background_job.due(self._ledger, self.config)
        if job is None:
            return
        running = RunningJob(background_job=background_job, job=job)
        trouble = self._barrier.attempt(
            f"{running}: beginning it", lambda: self._start(running, background_job.body, job)
        )
        if trouble is not None:
            self._collect_background_job(running, of_trouble(trouble))

    def _start_task(self, task: Task) -> None:
        work = TaskWork(task=task)
        trouble = self._barrier.attempt(f"{work}: beginning it", lambda: self._begin(work))
        if trouble is not None:
            self._take_task(work, of_trouble(trouble))

    def _begin(self, work: TaskWork) -> None:
        room = STAGES[work.task.stage]
        night = nights.night_of_task(self._ledger, work.task)
        job = room.prepare(self._ledger, self.config, night, work.task.unit)
        self._start(work, room.body, job)

    def _start(self, work: Work, body: Any, job: object) -> None:
        key = next(self._keys)
        self._workers.start(key, body, job)
        self._work[key] = work

    def _take(self, work: Work, outcome: Outcome) -> None:
        if isinstance(work, TaskWork):
            self._take_task(work, outcome)
        elif isinstance(work, Reading):
            self._take_reading(work, outcome)
        elif isinstance(work, RunningJob):
            self._collect_background_job(work, outcome)
        else:
            self._take_digests(work, outcome)

    def _take_task(self, work: TaskWork, outcome: Outcome) -> None:
        """Record how a task ended; what cannot be recorded is the task's failure."""
        trouble = self._barrier.attempt(str(work), lambda: self._record_task(work.task, outcome))
        if trouble is not None:
            failed = unrecorded(outcome, trouble)
            self._barrier.attempt(str(work), lambda: self._record_task(work.task, failed))

    def _record_task(self, task: Task, outcome: Outcome) -> None:
        outcome = self._blamed(task.night, outcome)
        with self._ledger.transaction():
            if outcome.crashed:
                retries.after_crash(self._ledger, task, outcome.error or "")
            elif outcome.error_class is not None:
                retries.after_error(self._ledger, task, outcome, self.config)
            else:
                retries.after_success(self._ledger, task, outcome.result, self.config)

    def _collect_background_job(self, work: RunningJob, outcome: Outcome) -> None:
        """Record what came of a background job; if that fails, so did the job, and it rests."""
        trouble = self._barrier.attempt(
            str(work), lambda: self._record_background_job(work, outcome)
        )
        if trouble is None:
            self._barrier.forget(str(work))
            return
        self._barrier.rest(str(work), trouble)
        failed = unrecorded(outcome, trouble)
        self._barrier.attempt(str(work), lambda: self._record_background_job(work, failed))

    def _record_background_job(self, work: RunningJob, outcome: Outcome) -> None:
        with self._ledger.transaction():
            work.background_job.record(self._ledger, self.config, work.job, outcome)

    def _blamed(self, night: int, outcome: Outcome) -> Outcome:
        """What went wrong while the night's disk was away says nothing of any file."""
        if outcome.error_class in _OF_FILES and is_away(self._ledger, night):
            error = f"its disk is not there: {outcome.error}"
            return replace(outcome, error_class=ErrorClass.TRANSIENT, code=None, error=error)
        return outcome

    def _take_reading(self, work: Reading, outcome: Outcome) -> None:
        results = results_of(outcome, len(work.pairs))
        if results is None:
            known = partial(files.known_path, self._ledger, work.night)
            self._count_crash(work.night, [known(pair) for pair in work.pairs.values()], outcome)
        else:
            for stem, plain in zip(work.pairs, results, strict=True):
                self._take_inspection(work, stem, plain)
        self._scan_cycle.judge_again(
            work.night, work.pairs
        )  # what is quarantined is not wanted any more

    def _take_inspection(self, work: Reading, stem: str, plain: Any) -> None:
        cube = files.known_path(self._ledger, work.night, work.pairs[stem])
        trouble = self._barrier.attempt(
            f"night {work.night}: what was read of {cube}",
            lambda: self._scan_cycle.accept(
                work.night, [stem], [inspect.inspection_from_plain(plain)]
            ),
        )
        if trouble is not None:
            self._suspects.count(work.night, cube, Cause(FileCode.ODD, {"error": trouble.words}))

    def _take_digests(self, work: Digesting, outcome: Outcome) -> None:
        results = results_of(outcome, len(work.paths))
        if results is None:
            self._count_crash(work.night, work.paths, outcome)
            return
        with self._ledger.transaction():
            for path, result in zip(work.paths, results, strict=True):
                trouble = self._barrier.attempt(
                    f"night {work.night}: the digest of {path}",
                    partial(self._suspects.take_digest, work.night, path, result),
                )
                if trouble is not None:
                    odd = Cause(FileCode.ODD, {"error": trouble.words})
                    self._suspects.count(work.night, path, odd)

    def _count_crash(self, night: int, paths: Any, outcome: Outcome) -> None:
        """The files of a batch that failed are taken one by one; one that fails alone is bad.

        A shortage on this machine says nothing of the files: reading rests for a while.
        """
        log.warning("reading %d files, %s first: %s", len(paths), paths[0], outcome.error)
        passes = outcome.error_class in {ErrorClass.RESOURCE, ErrorClass.TRANSIENT}
        if passes or is_away(self._ledger, night):
            retry = self.config.retry
            rest_ns = 1000 * pause_us(retry.first_seconds, retry.longest_seconds)
            self._rests_until_ns = self._ledger.clock.monotonic_ns() + rest_ns
            return
        for path in paths:
            cause = Cause(FileCode.READING_FAILS, {"error": str(outcome.error)})
            self._suspects.count(night, path, cause)


def _free(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except OSError:
        return None


def _log_status(night: Night, status: NightStatus, cause: Cause | None) -> None:
    level = logging.INFO
    if status in {NightStatus.FAILED, NightStatus.HELD} and cause != SHADOWED:
        level = logging.ERROR
    moved = f"{night['status']} -> {status}" if night["status"] != status else f"still {status}"
    text = f"{nights.label(night)}: {moved}"
    log.log(level, "%s%s", text, f": {cause}" if cause else "", extra={"NIGHT": night["date"]})
