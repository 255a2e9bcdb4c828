"""A small observatory in which space is given back while everything goes wrong.

Real: the ledger, the decision, the background job, the orders, the watch, the files, their moves.
Played: the far machine (a table of digests), the clocks, the operators, and crashes, which end the
daemon at any statement of the ledger or after any file.

What must hold is judged from outside, by what the world itself did: never by the ledger's word.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace

from tests.support.reclaim_nights import (
    DAY_US,
    HOUR_US,
    OUTPUT_DAYS,
    RAW_DAYS,
    TRASH_DAYS,
    Connection,
    CrashError,
    NightTruth,
    TwoClocks,
    make_night,
)
from vampd.background.reclaim import job as reclaim_job
from vampd.background.reclaim import moves as stage
from vampd.background.reclaim.moves import Checked, CopiesJob, Done, MoveJob, OnDisk
from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.io.disk import claim_root
from vampd.layout import TRASH_FOLDER
from vampd.ledger import nights as night_rows
from vampd.ledger.connection import Ledger, open_ledger
from vampd.orders.night import Orders
from vampd.remote.answers import FileDigest as FarAnswer
from vampd.remote.location import Location
from vampd.schedule.dispatch import standing
from vampd.schedule.executor import Outcome
from vampd.schedule.facts import read_facts
from vampd.settings.sections import Config, Deliveries, Delivery, Reclaim, Root
from vampd.stages.verify import VerifyResult, judge
from vampd.states import ErrorClass, Kind
from vampd.watch.scan_cycle import ScanCycle


class World:
    """One daemon after another, over the same disk and ledger."""

    def __init__(self, folder: Path, template: sqlite3.Connection, random: Random) -> None:
        self.random = random
        self.clock = TwoClocks()
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        (self.root / "lost+found").mkdir()
        self.marker = claim_root(self.root)
        self.config = _config(self.root, folder)
        self.connection = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        template.backup(self.connection)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma foreign_keys = on")
        self.ledger = Ledger(self.connection, self.clock)
        self.seen: Counter[str] = Counter()
        self.job: CopiesJob | MoveJob | None = None
        self.nights: list[NightTruth] = []
        self.replaced: dict[str, Path] = {}  #: raw files beside those that took their names
        self.ledger.insert(
            "root", path=str(self.root), marker=self.marker, claimed_us=self.clock.now_us()
        )
        self.begin_daemon()
        for date in ("20251101", "20251102"):
            folder = self.root / date
            self.nights.append(make_night(self.ledger, self.clock, random, folder))

    # -- the daemon ----------------------------------------------------------------------

    def begin_daemon(self) -> None:
        """A daemon starts, where there was another one or none."""
        self.job = None
        self.connection.statements_left = None
        if self.connection.in_transaction:
            self.connection.execute("rollback")
        self.ledger.actor = "vampd"
        self.ledger.insert("daemon", started_us=self.clock.now_us(), pid=1, version="0", heard_us=0)
        self.scan_cycle = ScanCycle(self.ledger, self.clock, self.config)
        self.scan_cycle.go()

    def refresh(self) -> None:
        """Every night's status follows from its facts."""
        facts = read_facts(self.ledger, self.scan_cycle, {})
        for each in facts:
            found = standing(each, facts)
            row = night_rows.get_night(self.ledger, each.number)
            night_rows.set_status(self.ledger, row, found.status, found.cause)

    def tick(self) -> None:
        """The background job is asked; what it hands out is judged at that moment."""
        if self.job is None:
            self.job = reclaim_job.JOB.due(self.ledger, self.config)
            if isinstance(self.job, MoveJob) and self.job.step in {"move", "unlink"}:
                self._judge_decision(self.job)

    def work(self) -> None:
        """A worker does the job; its outcome is recorded, unless somebody dies."""
        if self.job is None:
            return
        job, self.job = self.job, None
        outcome = self._move(job) if isinstance(job, MoveJob) else self._verify(job)
        step = job.step if isinstance(job, MoveJob) else "verify"
        self.seen[f"{step} {outcome.error_class or 'done'}"] += 1
        with self.ledger.transaction():
            reclaim_job.JOB.record(self.ledger, self.config, job, outcome)

    def _verify(self, job: CopiesJob) -> Outcome[Done]:
        night = self._night_of(job)
        chance = self.random.random()
        if chance < 0.06:
            return Outcome(key=1, crashed=True, error="its worker died")
        if chance < 0.12:
            return Outcome(key=1, error_class=ErrorClass.TRANSIENT, error="unreachable")
        results = [judge(file, _far_answer(night.far.get(file.path))) for file in job.copies.files]
        if chance < 0.16:
            results = results[: self.random.randrange(len(results))]
        elif chance < 0.20:
            # It says that all is well, of other bytes than were sent.
            results = [
                replace(each, verdict="verified", sha256=each.sha256 or "d" * 64)
                for each in results
            ]
            one = self.random.randrange(len(results))
            results[one] = replace(results[one], sha256="f" * 64)
        elif night.far_is_right:
            night.right_us = self.clock.true_us
        try:
            found = stage.survey(job, job.paths)
        except RetryableError as error:
            return Outcome(key=1, error_class=error.error_class, error=str(error))
        # It takes its time.
        self.pass_time(self.random.randrange(HOUR_US))
        copies = VerifyResult(
            results=results,
            seconds=1.0,
            verify_at=job.copies.verify_at,
            destination=job.copies.destination,
            patience_hours=0.0,
            marked=[],
        )
        return Outcome(key=1, result=Done(checked=Checked(copies=copies, found=found)))

    def _move(self, job: MoveJob) -> Outcome[Done]:
        """The files are moved; a worker may die after any of them, and the daemon with it."""
        chance = self.random.random()
        if chance < 0.2:
            job = replace(job, files=job.files[: self.random.randrange(len(job.files) + 1)])
        try:
            results = stage.move(job)
            assert not (self.root / "marker.away").exists(), "moved on another disk"
        except VampdError as error:
            return Outcome(key=1, error_class=error.error_class, error=str(error))
        finally:
            self.after_moves()
        if chance < 0.1:
            raise CrashError
        if chance < 0.2:
            return Outcome(key=1, crashed=True, error="its worker died")
        return Outcome(key=1, result=Done(moved=results))

    def order(self, order: str, night: NightTruth, **arguments: Any) -> bool:
        """An operator's order; False: it was refused."""
        orders = Orders(self.ledger, self.config)
        named = {"kind": night.kind, "date": night.date, "dry_run": False}
        try:
            orders.carry_out(order, {**named, **arguments}, "uid 0")
        except (OperatorError, RetryableError):
            self.seen[f"{order} refused"] += 1
            return False
        finally:
            if order in {"undelete", "restore"}:
                self.after_moves()
        self.seen[order] += 1
        return True

    def is_unfinished(self, night: NightTruth) -> bool:
        """Whether any work of a night waits to be done."""
        query = "select 1 from task where night = ? and state != 'done'"
        return self.ledger.value(query, [night.number]) is not None

    def pass_time(self, time_us: int) -> None:
        """Time passes, and is not seen unless somebody looks."""
        self.clock.true_us += time_us

    # -- what must hold ------------------------------------------------------------------

    def _judge_decision(self, job: MoveJob) -> None:
        """A move that is handed out at this moment must be right by the truth."""
        night = self._night_of(job)
        now_us = self.clock.true_us
        is_raw = job.files[0].path.startswith("vcam")
        assert not night.kept, "kept"
        assert not night.held, "held"
        assert not self.is_unfinished(night), "unfinished"
        assert night.acked or night.kind is not Kind.ARCHIVE, "not acknowledged"
        assert night.right_us is not None, "never verified"
        assert now_us - night.right_us <= DAY_US, "not verified within a day"
        least_us = (RAW_DAYS if is_raw else OUTPUT_DAYS) * DAY_US
        assert now_us - night.safe_us >= least_us, "too early"
        late = "select 1 from raw_file where night = ? and state = 'late'"
        assert self.ledger.value(late, [night.number]) is None, "late files"
        if is_raw:
            assert night.let_go or not night.has_quarantined, "quarantined"
            assert night.proved, "not proved to be rebuildable"
        if job.step == "unlink" and is_raw:
            for file in job.files:
                lay_us = now_us - night.trashed_us[file.path]
                assert lay_us >= TRASH_DAYS * DAY_US, "not long enough in the trash"
            for file in job.files:
                night.raw[file.path].removed = True
        self.seen["decided " + job.step + (" raw" if is_raw else " outputs")] += 1

    def after_moves(self) -> None:
        """Every raw file is in its place or in the trash, unless it was removed rightly."""
        for night in self.nights:
            places = self._inodes(night)
            for path, inode in night.strangers.items():
                assert places.get(inode) == "place", f"{night.date}/{path} of somebody else went"
            for raw in night.raw.values():
                where = places.get(raw.inode)
                if where is not None and self.job is None:
                    raw.removed = False
                if where is None:
                    assert raw.removed, f"{night.date}/{raw.path} is nowhere"
                elif where == "trash":
                    assert not raw.is_another, "somebody else's file was moved"
                    night.trashed_us.setdefault(raw.path, self.clock.true_us)
                else:
                    night.trashed_us.pop(raw.path, None)

    def _inodes(self, night: NightTruth) -> dict[int, str]:
        found = {}
        for folder in ("vcam1", "vcam2"):
            for entry in _entries(night.folder / folder):
                found[entry.inode()] = "place"
        for each in _entries(self.root / TRASH_FOLDER):
            if each.name.startswith(night.date):
                for folder in ("vcam1", "vcam2"):
                    for entry in _entries(Path(each.path) / folder):
                        found[entry.inode()] = "trash"
        return found

    def _night_of(self, job: OnDisk) -> NightTruth:
        return next(night for night in self.nights if night.date == job.date)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _far_answer(sha256: str | None) -> FarAnswer:
    why = None if sha256 is not None else "No such file or directory"
    return FarAnswer(sha256=sha256, why=why)


def _config(root: Path, folder: Path) -> Config:
    far = Delivery(destination=Location.parse(str(folder / "far")))
    return Config(
        state_dir=folder,
        roots=(Root(kind=Kind.ARCHIVE, path=root),),
        delivery=Deliveries(archive=far, engineering=far),
        reclaim=Reclaim(
            enabled=True,
            outputs_after_days=OUTPUT_DAYS,
            raw_after_days=RAW_DAYS,
            trash_days=TRASH_DAYS,
        ),
    )


def template_ledger(folder: Path) -> sqlite3.Connection:
    """An empty ledger of the present schema, to be copied into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = open_ledger(folder, version="0", clock=TwoClocks())
    return ledger.connection
