"""What follows a received night: the steps of the reduction, begun, watched and recorded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import asdict, replace

from vampd.back_off import pause_us
from vampd.ledger.connection import Ledger
from vampd.receive import ledger as books
from vampd.receive import ledger_steps, slurm, step_work, steps
from vampd.receive.desk import Desk
from vampd.receive.records import NightRow, StepRow
from vampd.receive.settings import Inbox, ReceiveConfig, Step
from vampd.receive.slurm import AskJob, SlurmAnswer, SlurmJob
from vampd.receive.states import NightState
from vampd.receive.step_work import Header, HeadersJob, StepEnd, StepJob
from vampd.receive.steps import Cube, Run
from vampd.schedule.executor import Outcome
from vampd.states import ErrorClass
from vampd.time_units import SECOND_US

R = TypeVar("R")

log = logging.getLogger(__name__)

STEP, HEADERS, ASKING = "a step", "reading headers", "asking Slurm"

_ASK_US = 5 * SECOND_US


class Reduction:
    """Does the steps of received nights. All methods are for one thread, the receiver's."""

    def __init__(self, ledger: Ledger, config: ReceiveConfig, desk: Desk) -> None:
        self._ledger = ledger
        self.config = config
        self._desk = desk
        self._throttle = steps.Throttle()
        self._at_work: set[int] = set()  # runs that a process here has
        self._asked_us: dict[int, int] = {}  # by run: when Slurm was asked after it
        self._headers: dict[str, Header] = {}  # by digest of the file
        self._unread_until_us: dict[int, int] = {}  # by night: its headers cannot be read now
        self._rested: dict[int, tuple[tuple[Step, ...], int]] = {}  # nothing to do since this event

    def begin(self) -> None:
        """What was running when the last receiver died is done again."""
        self._put_back("the receiver died while it ran")

    def _put_back(self, why: str) -> None:
        """What runs by the ledger, and in no process here, is done again."""
        tries = {step.name: step.tries for step in self.config.step}
        ledger_steps.put_back(self._ledger, tries, why, but=self._at_work)

    def stop(self) -> None:
        """What is running here ends with the receiver, and is begun again with the next one."""
        ledger_steps.stop(self._ledger, "the receiver was stopped while it ran")

    @property
    def is_idle(self) -> bool:
        """Whether nothing is at work, and nothing is to be begun, now or later."""
        is_busy = self._desk.count(STEP, HEADERS) or ledger_steps.any_open(self._ledger)
        return not is_busy and not any(self._due(row) for row in self._received())

    def hand_out(self) -> None:
        """Ask after what Slurm has; begin what may be begun, as far as the limits let it."""
        self._put_back("what came of it could not be recorded")
        self._ask()
        if not self.config.step:
            return
        for row in self._received():
            for run in self._due(row):
                now_us = self._steady_us()
                if ledger_steps.running(self._ledger) >= self.config.reduce.jobs:
                    return
                if not self._throttle.may_begin(now_us):
                    return
                self._begin(row, run)
                files = len(run.cubes)
                self._throttle.given(files, self.config.reduce.files_per_minute, now_us)

    def _steady_us(self) -> int:
        """Of the clock that nobody sets: for what lasts no longer than this process."""
        return self._ledger.clock.monotonic_ns() // 1000

    def _received(self) -> list[NightRow]:
        if not self.config.step:
            return []
        quiet_us = self.config.reduce.quiet_minutes * 60 * SECOND_US
        return [
            row
            for row in books.nights(self._ledger)
            if row.state == NightState.RECEIVED
            and self._ledger.now_us() - row.moved_us >= quiet_us
            and self.config.inbox_of(row.kind) is not None
        ]

    def _due(self, row: NightRow) -> list[Run]:
        """What may be begun now of a night; where all is done, nothing is read before it changes.

        Hundreds of nights of a thousand cubes are asked about every second.
        """
        now = (self.config.step, books.last_event(self._ledger, row.id))
        if self._rested.get(row.id) == now:
            return []
        found = self._runs(row)
        if found == [] and not ledger_steps.any_open(self._ledger, row.id):
            self._rested[row.id] = now
        return found or []

    def _runs(self, row: NightRow) -> list[Run] | None:
        """The runs that may be begun now; None: headers must be read first."""
        cubes = ledger_steps.cubes_of(self._ledger, row.id)
        if any(step.per != "night" for step in self.config.step):
            unread = [cube for cube in cubes if cube.sha256 not in self._headers]
            if unread:
                self._read_headers(row, unread)
                return None
            cubes = [
                replace(cube, target=found.target, start_s=found.start_s)
                for cube in cubes
                for found in [self._headers[cube.sha256]]
            ]
        known = ledger_steps.done_of(self._ledger, row.id)
        return steps.due_runs(self.config.step, row.kind, cubes, known, self._ledger.now_us())

    def _read_headers(self, row: NightRow, cubes: Sequence[Cube]) -> None:
        about = str(row)
        is_busy = self._desk.count(HEADERS) >= self.config.workers.processes
        if is_busy or self._desk.is_at_work(HEADERS, about):
            return
        if self._unread_until_us.get(row.id, 0) > self._steady_us():
            return
        base, marker = self._disk_of(row)
        place, paths = str(self._inbox(row).place(row.date)), [cube.path for cube in cubes]
        job = HeadersJob(disk=base, marker=marker, place=place, paths=paths)
        digests = {cube.path: cube.sha256 for cube in cubes}
        done = partial(self._headers_read, row.id, digests)
        self._desk.start(HEADERS, about, step_work.read_headers, job, done)

    def _headers_read(
        self, night: int, digests: dict[str, str], outcome: Outcome[dict[str, Header]]
    ) -> None:
        """Keep what they say; of a worker that died, or a disk that is away, nobody knows it."""
        if outcome.result is None:
            rest_us = round(self.config.retry.longest_seconds * SECOND_US)
            self._unread_until_us[night] = self._steady_us() + rest_us
            return
        for path, header in outcome.result.items():
            self._headers[digests[path]] = header

    def _disk_of(self, row: NightRow) -> tuple[str, str | None]:
        """A folder of the disk on which a night's files lie, and by which marker it is known."""
        base = str(self._inbox(row).base())
        return base, books.marker_of(self._ledger, base)

    def _inbox(self, row: NightRow) -> Inbox:
        inbox = self.config.inbox_of(row.kind)
        assert inbox is not None, row.kind
        return inbox

    def _begin(self, row: NightRow, run: Run) -> None:
        about = f"{row.kind} {row.date} {run.step.name} {run.unit}".rstrip()
        with self._ledger.transaction():  # no process: it was not begun
            number = ledger_steps.begin(self._ledger, row.id, run)
            self._start(row, run, number, about)
        self._at_work.add(number)
        log.info("%s: begun for %d files", about, len(run.cubes))

    def _start(self, row: NightRow, run: Run, number: int, about: str) -> None:
        job = self._job(row, run)
        if run.step.executor == "local":
            done = partial(self._ended, number, run.step)
            self._desk.start(STEP, about, step_work.work, job, done)
            return
        slurm_job = SlurmJob(
            **asdict(job),
            name=_name(row.date, run.step.name, run.unit, run.inputs),
            sbatch=run.step.sbatch,
        )
        submitted = partial(self._submitted, number, run.step)
        self._desk.start(STEP, about, slurm.submit, slurm_job, submitted)

    def _submitted(self, number: int, step: Step, outcome: Outcome[str]) -> None:
        self._at_work.discard(number)
        if outcome.result is None:
            self._went_wrong(number, step, outcome)
            return
        ledger_steps.handed_in(self._ledger, number, outcome.result)
        log.info("step %s: Slurm has it as job %s", step.name, outcome.result)

    def _ask(self) -> None:
        """Where the jobs are that Slurm has; of those that are over, how they ended."""
        now_us = self._ledger.now_us()
        on_slurm = ledger_steps.on_slurm(self._ledger)
        on_slurm.sort(key=lambda row: self._asked_us.get(row.id, 0))
        for row in on_slurm:
            if self._desk.count(ASKING) >= self.config.workers.processes:
                return
            if abs(now_us - self._asked_us.get(row.id, 0)) < _ASK_US:
                continue
            if self._desk.is_at_work(ASKING, f"job {row.job}"):
                continue
            self._asked_us[row.id] = now_us
            step = next((each for each in self.config.step if each.name == row.step), None)
            inbox = self.config.inbox_of(row.kind)
            if step is None or inbox is None:
                continue  # its settings went; they may come again
            base, folder = _folder_of(step, inbox, row.date)
            job = AskJob(
                job=row.job or "",
                base=str(base),
                folder=folder,
                name=_name(row.date, row.step, row.unit, row.inputs),
            )
            done = partial(self._asked, row.id, step)
            self._desk.start(ASKING, f"job {row.job}", slurm.ask, job, done)

    def _asked(self, number: int, step: Step, outcome: Outcome[SlurmAnswer]) -> None:
        if outcome.result is not None and outcome.result.end is not None:
            self._record_end(number, step, outcome.result.end)

    def _job(self, row: NightRow, run: Run) -> StepJob:
        place = self._inbox(row).place(row.date)
        base, folder = _folder_of(run.step, self._inbox(row), row.date)
        values = {
            "night": row.date,
            "kind": row.kind,
            "target": run.cubes[0].target,
            "segment": run.unit if run.step.per == "segment" else "",
            "place": str(place),
            "folder": str(base / folder),
        }
        files = [str(place / cube.path) for cube in run.cubes]
        disk, marker = self._disk_of(row)
        return StepJob(
            disk=disk,
            marker=marker,
            base=str(base),
            folder=folder,
            keep_free_bytes=round(self.config.reduce.keep_free_gb * 1e9),
            command=steps.words(run.step.command, values, files),
            deadline_seconds=run.step.deadline_minutes * 60,
        )

    def _ended(self, number: int, step: Step, outcome: Outcome[StepEnd]) -> None:
        self._at_work.discard(number)
        if outcome.result is None:
            self._went_wrong(number, step, outcome)
        else:
            self._record_end(number, step, outcome.result)

    def _record_end(self, number: int, step: Step, ended: StepEnd) -> None:
        row = ledger_steps.get_run(self._ledger, number)
        if ended.error is None:
            ledger_steps.done(self._ledger, number, ended)
        elif steps.is_passing(step, ended.code) and row.attempts < step.tries:
            ledger_steps.again(self._ledger, number, ended, self._due_us(row))
        else:
            ledger_steps.failed(self._ledger, number, ended)

    def _due_us(self, row: StepRow) -> int:
        retry = self.config.retry
        pause = pause_us(retry.first_seconds, retry.longest_seconds, failures=row.attempts - 1)
        return self._ledger.now_us() + pause

    def _went_wrong(self, number: int, step: Step, outcome: Outcome[R]) -> None:
        """It ended without a result."""
        row = ledger_steps.get_run(self._ledger, number)
        due_us, told = self._due_us(row), StepEnd(error=outcome.error)
        is_short = outcome.error_class in {ErrorClass.RESOURCE, ErrorClass.TRANSIENT}
        if is_short:
            ledger_steps.again(self._ledger, number, told, due_us, counts=False)
        elif outcome.crashed and row.attempts < step.tries:
            ledger_steps.again(self._ledger, number, told, due_us)
        else:
            ledger_steps.failed(self._ledger, number, told)


def _folder_of(step: Step, inbox: Inbox, date: str) -> tuple[Path, str]:
    """Where a step works: a folder that must be there, and the one below it that is made."""
    template = step.folder or inbox.to
    base = Path(template.partition("{night}")[0].rpartition("/")[0] or "/")
    return base, str(Path(template.replace("{night}", date)).relative_to(base))


def _name(date: str, step: str, unit: str, inputs: str) -> str:
    """What Slurm calls a run: the same one again has the same name."""
    return "-".join(word for word in ("vampd", date, step, unit, inputs[:16]) if word)
