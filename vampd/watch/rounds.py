"""One round after another over all nights: look, judge, write what changed to the ledger.

A round never opens a file. What must be read is asked for in `wanted`; a worker reads it,
and `accept` takes the answer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from vampd.errors import OperatorError
from vampd.io.clock import Clock
from vampd.io.disk import MarkerState, check_marker, claim_root
from vampd.ledger import files, legacy, nights, tasks
from vampd.ledger.barrier import Barrier, Trouble
from vampd.ledger.connection import Ledger, Row
from vampd.sections import Config, Root
from vampd.states import FINAL, FileState, Kind, NightStatus, Stage
from vampd.watch.batches import begin_supplement
from vampd.watch.inspect import Inspection
from vampd.watch.legacy import signs_of
from vampd.watch.losses import note_timing, renew_losses
from vampd.watch.manner import OWN, Manner
from vampd.watch.naming import Role, night_date
from vampd.watch.night_watch import NightWatch
from vampd.watch.pairs import Pair, cube_facts, pairs_of
from vampd.watch.recording import Recorder
from vampd.watch.scan import Look, find_nights, folder_stamps, look
from vampd.watch.settle import (
    Verdict,
    Watched,
    follow,
    is_stable,
    judge,
    judge_at_close,
    judge_temporary,
    needs_inspection,
    night_is_over,
)

log = logging.getLogger(__name__)

_MOST_FAILED_READS = 3


class Rounds:
    """All nights of all roots, over successive looks."""

    def __init__(self, ledger: Ledger, clock: Clock, config: Config, manner: Manner = OWN) -> None:
        self.config = config
        self.manner = manner
        self.nights: dict[int, NightWatch] = {}
        self.absent: dict[Path, str] = {}  #: roots that are not what they were, and why
        self._ledger = ledger
        self._clock = clock
        self.looks = 0  #: at a night, or at what is known of one; so far
        self._told: set[str] = set()
        self._resting = 0  #: the night at rest that was looked at whole last
        self._recorder = Recorder(ledger, self._tell)
        self.barrier = Barrier(ledger)

    def go(self, beat: Callable[[], None] = lambda: None) -> None:
        """Look at every night once; *beat* is called before each, for a look can take its time.

        1. A root whose marker is not there or not the same is left alone: a missing disk
           is not an empty one.
        2. Every night of the others is looked at; those that are finished, only if their
           folders changed, and one of them each time in turn: what is written into a file
           that is there leaves no trace in its folder.
        3. What changed is written, night by night, each in one transaction.
        4. A night with which that goes wrong twice is held; the others are looked at.
        """
        self.absent = {}
        self.looks += 1
        self._resting = self._next_at_rest()
        for root in self.config.roots:
            work = f"the root {root.path}"
            if not self.barrier.regularly(work, partial(self._go_through, root, beat)):
                self.absent[root.path] = f"{nights.TROUBLE}: {self.barrier.words_of(work)}"

    def _go_through(self, root: Root, beat: Callable[[], None]) -> None:
        why = self.manner.renew(root) if self.manner.renew is not None else None
        why = why or self._why_absent(root)
        if why is not None:
            self.absent[root.path] = why
            self._tell(f"{root.path}: {why}; its nights are paused")
            return
        found = find_nights(root.path)
        for problem in found.problems:
            self._tell(problem)
        for folder in found.folders:
            beat()
            self.barrier.regularly(
                f"{root.kind} {folder.name}: looking at it",
                partial(self._go_to, root.kind, folder),
                partial(self._hold_for_trouble, root.kind, folder),
            )
        self._begin_supplements(root)

    def _hold_for_trouble(self, kind: Kind, folder: Path, words: str) -> bool:
        query = "select id from night where kind = ? and date = ?"
        night = self._ledger.value(query, [kind, folder.name])
        return night is not None and nights.hold_for_trouble(self._ledger, night, words)

    def pause_of_row(self, night: Row) -> str | None:
        """Why a night must not be touched now."""
        root = Path(night["folder"]).parent
        why = self.absent.get(root)
        if all(root != known.path for known in self.config.roots):
            why = "not among the roots of the settings, so nobody looks whether its disk is there"
        return None if why is None else f"{root}: {why}"

    def accept(self, night: int, stems: Iterable[str], results: Iterable[Inspection]) -> None:
        """Take what a worker read of the cubes *stems*; the next round judges."""
        watch = self.nights.get(night)
        if watch is None:
            return
        self.looks += 1
        for stem, inspection in zip(stems, results, strict=True):
            watch.inspections[stem] = inspection
            watch.failed_reads[stem] = watch.failed_reads[stem] + 1 if inspection.unread else 0
            watch.wanted.pop(stem, None)

    def judge_again(self, night: int) -> None:
        """Judge a night by what is known now, without another look at the disk."""
        watch = self.nights.get(night)
        if watch is not None:
            self.looks += 1
            with self._ledger.transaction():
                self._judge_open(nights.get_night(self._ledger, night), watch)

    def _why_absent(self, root: Root) -> str | None:
        expected = self._ledger.value("select marker from root where path = ?", [str(root.path)])
        if expected is None:
            return self._claim(root)
        state = check_marker(root.path, expected)
        if state is MarkerState.OK:
            return None
        return f"its marker is {state}: not the disk that it was, or not mounted"

    def _claim(self, root: Root) -> str | None:
        try:
            marker = claim_root(root.path)
        except OperatorError as error:
            return str(error)
        if marker is None:
            return "not there, or an empty folder on which nothing is mounted"
        self._ledger.insert(
            "root", path=str(root.path), marker=marker, claimed_us=self._ledger.now_us()
        )
        return None

    def _begin_supplements(self, root: Root) -> None:
        """Let each safe night that has late files collect them as its next batch."""
        for night in self._ledger.rows(
            "select * from night where kind = ? and status in ('safe', 'reclaimed')"
            " and hold is null and exists (select 1 from raw_file where night = night.id"
            " and state = 'late' and role in ('cube', 'timing'))",
            [root.kind],
        ):
            log.info("%s: late files become its next batch", nights.label(night))
            self.barrier.regularly(
                f"{nights.label(night)}: beginning its next batch",
                partial(begin_supplement, self._ledger, night),
            )

    def _go_to(self, kind: Kind, folder: Path) -> None:
        night = nights.sight_night(self._ledger, kind, folder.name, folder)
        watch = self.nights.setdefault(night["id"], NightWatch(night=night["id"], folder=folder))
        stamps = folder_stamps(folder)
        at_rest = night["status"] in FINAL
        if at_rest and night["id"] != self._resting and stamps in {watch.stamps, _kept(night)}:
            self._rest(night, watch, stamps)
            return
        seen = look(folder, follow=self.manner.is_shadow)
        for problem in seen.problems:
            self._tell(problem)
        watch.watched = follow(watch.watched, seen, now_ns=self._clock.monotonic_ns())
        self._notice_others(night, folder, seen)
        with self._ledger.transaction():
            changed = self._recorder.record(night, seen)
            watch.unchanged_looks = 0 if changed else watch.unchanged_looks + (not seen.unread)
            if changed:
                watch.changed_ns = self._clock.monotonic_ns()
            watch.is_news |= changed
            self._judge_open(nights.get_night(self._ledger, night["id"]), watch)
            self._find_losses(night, watch)
        watch.stamps = () if seen.unread else stamps
        if at_rest and not seen.unread:
            self._rest(night, watch, stamps)

    def _next_at_rest(self) -> int:
        """The night at rest whose turn it is to be looked at whole; 0: there is none."""
        query = (
            "select coalesce(min(id), 0) from night where id > ?"
            " and status in ('safe', 'reclaimed', 'empty', 'abandoned')"
        )
        return self._ledger.value(query, [self._resting]) or int(self._ledger.value(query, [0]))

    def _rest(self, night: Row, watch: NightWatch, stamps: tuple[int, ...]) -> None:
        """Keep when its folders changed, and forget its files: of all nights it were a million."""
        watch.watched = {}
        watch.inspections = {}
        if _kept(night) != stamps:
            self._ledger.update("night", night["id"], folder_stamps=json.dumps(stamps))

    def _notice_others(self, night: Row, folder: Path, seen: Look) -> None:
        """Hold a night whose raw files the earlier pipeline has moved, or is moving now."""
        signs = signs_of(folder, [path for path in seen.files if "/" not in path])
        if signs and legacy.notice(self._ledger, night, signs):
            log.error("%s: %s: %s", nights.label(night), legacy.NOTICED, ", ".join(signs))

    def _judge_open(self, night: Row, watch: NightWatch) -> None:
        """Judge the files of a night that is not closed, and close it when it is over."""
        watch.wanted = {}
        if night["closed_us"] is not None or night["status"] == NightStatus.ABANDONED:
            return
        for pair in pairs_of(self._files_of_batch(night)):
            self._judge_pair(night, watch, pair)
        date = night_date(night["date"])
        assert date is not None
        end = night_is_over(
            date,
            last_change_us=night["last_change_us"],
            now_us=self._ledger.now_us(),
            unchanged_looks=watch.unchanged_looks,
            unchanged_us=self._unchanged_us(watch),
            quiet_minutes=self.config.night.quiet_minutes,
            grace_minutes=self.config.night.grace_minutes,
        )
        watch.waits_for, watch.due_us = end.waits_for, end.due_us
        asked = night["close_asked_by"] is not None and watch.unchanged_looks > 0
        if night["hold"] is None and (end.over or asked):
            watch.waits_for = self._close_if_read(night, watch)

    def _unchanged_us(self, watch: NightWatch) -> int | None:
        if watch.changed_ns is None:
            return None
        return (self._clock.monotonic_ns() - watch.changed_ns) // 1000

    def _judge_pair(self, night: Row, watch: NightWatch, pair: Pair) -> None:
        if pair.is_judged:
            return
        found: list[Verdict] = []
        trouble = self.barrier.attempt(
            f"{nights.label(night)}: judging {pair.rows[0]['path']}",
            lambda: found.append(self._verdict(watch, pair, at_close=False)),
            writes=False,
        )
        if trouble is not None:
            watch.inspections.pop(pair.stem, None)
        self._apply(night, watch, pair, _odd(trouble) if trouble is not None else found[0])

    def _verdict(self, watch: NightWatch, pair: Pair, *, at_close: bool) -> Verdict:
        now_ns = self._clock.monotonic_ns()
        settle_seconds = self.config.night.settle_seconds
        cube = watch.watched.get(pair.cube["path"]) if pair.cube is not None else None
        timing = watch.watched.get(pair.timing["path"]) if pair.timing is not None else None
        inspection = watch.inspections.get(pair.stem)
        if timing is not None:
            settled = all(self._is_settled(file) for file in (cube, timing) if file is not None)
            if needs_inspection(cube, timing, inspection, is_settled=settled):
                watch.wanted[pair.stem] = pair.paths
        # A disk that stumbles once must not cost a cube: not at the very last reading either.
        fails = watch.failed_reads[pair.stem] in range(1, _MOST_FAILED_READS)
        is_final = pair.cube is None or not fails
        judgement = judge_at_close if at_close and is_final else judge
        return judgement(
            cube,
            timing,
            inspection,
            now_ns=now_ns,
            settle_seconds=settle_seconds,
            is_rewritten=pair.is_rewritten,
        )

    def _find_losses(self, night: Row, watch: NightWatch, *, is_closing: bool = False) -> None:
        """Look for cubes that the logger lost, where something changed in an open night."""
        night = nights.get_night(self._ledger, night["id"])
        if night["closed_us"] is None and (watch.is_news or is_closing):
            watch.is_news = False
            toll = renew_losses(self._ledger, night)
            if toll is not None:
                self._tell(f"{nights.label(night)}: {toll.lost_text}: vampd show {night['date']}")

    def _is_settled(self, file: Watched) -> bool:
        return is_stable(
            file,
            now_ns=self._clock.monotonic_ns(),
            settle_seconds=self.config.night.settle_seconds,
        )

    def _apply(self, night: Row, watch: NightWatch, pair: Pair, verdict: Verdict) -> None:
        """Keep a verdict; a cube of which the ledger cannot keep what it says is quarantined."""
        if note_timing(self._ledger, pair.timing, watch.inspections.get(pair.stem)):
            watch.is_news = True
        if verdict.state is FileState.WHOLE:
            trouble = self.barrier.attempt(
                f"{nights.label(night)}: keeping what {pair.rows[0]['path']} says",
                partial(self._store, watch, pair),
            )
            watch.inspections.pop(pair.stem, None)
            verdict = verdict if trouble is None else _odd(trouble)
        for row in pair.rows:
            if row["state"] != verdict.state or (row["reason"] or "") != verdict.reason:
                watch.is_news = True
                files.set_state(self._ledger, row["id"], verdict.state, verdict.reason or None)
        if verdict.alarm or verdict.state is FileState.QUARANTINED:
            self._tell(f"{nights.label(night)}: {pair.rows[0]['path']}: {verdict.reason}")

    def _store(self, watch: NightWatch, pair: Pair) -> None:
        assert pair.cube is not None
        assert pair.timing is not None
        facts = cube_facts(watch.inspections[pair.stem])
        files.store_cube(self._ledger, pair.cube["id"], pair.timing["id"], facts)

    def _close_if_read(self, night: Row, watch: NightWatch) -> str:
        """Close the night, unless something must settle or be read first; return what."""
        rows = self._files_of_batch(night)
        present = [row for row in rows if row["state"] != FileState.GONE]
        for row in present:
            file = watch.watched.get(row["path"])
            if row["role"] != Role.OTHER and file is not None and not self._is_settled(file):
                return f"{row['path']} to settle"
        undecided = [pair for pair in pairs_of(rows) if not pair.is_judged]
        verdicts = [(pair, self._verdict(watch, pair, at_close=True)) for pair in undecided]
        unread = [
            pair.stem
            for pair, verdict in verdicts
            if verdict.state is FileState.ARRIVING
            or (pair.cube is None and pair.stem in watch.wanted)
        ]
        if unread:
            return f"{len(unread)} cubes to be read, {unread[0]} first"
        for pair, verdict in verdicts:
            self._apply(night, watch, pair, verdict)
        for row in present:
            if row["role"] == Role.TEMPORARY:
                left_over = judge_temporary(at_close=True)
                files.set_state(self._ledger, row["id"], left_over.state, left_over.reason)
                self._tell(f"{nights.label(night)}: {row['path']}: {left_over.reason}")
        self._find_losses(night, watch, is_closing=True)
        self._close(night)
        return ""

    def _files_of_batch(self, night: Row) -> list[Row]:
        rows = files.files_of(self._ledger, night["id"])
        return [row for row in rows.values() if row["batch"] == night["batch"]]

    def _close(self, night: Row) -> None:
        by = night["close_asked_by"] or "vampd"
        self._ledger.update("night", night["id"], closed_us=self._ledger.now_us(), closed_by=by)
        night = nights.get_night(self._ledger, night["id"])
        if not files.cubes_of(self._ledger, night["id"]):
            self._close_empty(night)
            return
        for stage in self.manner.stages[Kind(night["kind"])]:
            if stage is not Stage.BUILD:
                tasks.add_task(self._ledger, night["id"], stage)
        nights.set_status(self._ledger, night, NightStatus.READY, None, f"closed by {by}")
        log.info("%s is over", nights.label(night), extra={"NIGHT": night["date"]})

    def _close_empty(self, night: Row) -> None:
        """Nothing of the batch can be used: then there is none, and earlier ones stay safe."""
        if night["batch"] == 1:
            nights.set_status(self._ledger, night, NightStatus.EMPTY, "no cube that could be used")
            return
        self._ledger.update("night", night["id"], batch=night["batch"] - 1)
        why = "of the late files, no cube could be used"
        nights.set_status(self._ledger, night, NightStatus.SAFE, None, why)

    def _tell(self, text: str) -> None:
        """Log *text* the first time."""
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)


def _kept(night: Row) -> tuple[int, ...]:
    """When a night's folders had last changed at the last whole look at it, if it was at rest."""
    return tuple(json.loads(night["folder_stamps"] or "[]"))


def _odd(trouble: Trouble) -> Verdict:
    """The verdict on a cube that says what nobody can take."""
    return Verdict(state=FileState.QUARANTINED, reason=f"what it says is odd: {trouble.words}")
