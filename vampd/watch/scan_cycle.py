"""One round after another over all nights: look, judge, write what changed to the ledger.

A round never opens a file. What must be read is asked for in `wanted`; a worker reads it,
and `accept` takes the answer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path

from vampd.causes import Cause
from vampd.io.clock import Clock
from vampd.ledger import files, legacy, nights
from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.settings.sections import Config, Root
from vampd.states import FINAL, FileState, HoldCode, Kind, NightStatus, WaitCode
from vampd.watch.closing import close
from vampd.watch.hints import Hints
from vampd.watch.incumbent import signs_of
from vampd.watch.inspect import Inspection
from vampd.watch.judging import Judging
from vampd.watch.losses import renew_losses
from vampd.watch.naming import Role, classify, night_date, printable
from vampd.watch.night_tracker import NightTracker
from vampd.watch.oversight import Oversight
from vampd.watch.pairs import pairs_of
from vampd.watch.presence import why_absent
from vampd.watch.recording import Recorded, Recorder
from vampd.watch.run_mode import NORMAL, RunMode
from vampd.watch.scan import FolderSnapshot, find_nights, folder_stamps, look, look_at
from vampd.watch.settle import judge_temporary, night_is_over
from vampd.watch.supplements import begin_supplements

log = logging.getLogger(__name__)


#: More stems than this are found quicker among all rows of their night than one by one.
_MANY_STEMS = 1000


class ScanCycle:
    """All nights of all roots, over successive looks."""

    def __init__(
        self, ledger: Ledger, clock: Clock, config: Config, run_mode: RunMode = NORMAL
    ) -> None:
        self.config = config
        self.run_mode = run_mode
        self.nights: dict[int, NightTracker] = {}
        self.absent: dict[Path, Cause] = {}  #: roots that are not what they were, and why
        self._ledger = ledger
        self._clock = clock
        self.looks = 0  #: at a night, or at what is known of one; so far
        self._told: set[str] = set()
        self._resting = 0  #: the night at rest that was looked at whole last
        self._recorder = Recorder(ledger, self._tell)
        self._oversight = Oversight(ledger, config.roots, self._tell)
        self.barrier = Barrier(ledger)
        self._judging = Judging(ledger, clock, self.barrier, self._tell, self._settle_seconds)

    def _settle_seconds(self) -> float:
        return self.config.night.settle_seconds

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
            self._within(root, partial(self._go_through, root, beat))

    def _within(self, root: Root, look_there: Callable[[], None]) -> None:
        work = f"the root {root.path}"
        if not self.barrier.regularly(work, look_there):
            words = f"{root.path}: {self.barrier.words_of(work)}"
            self.absent[root.path] = Cause(HoldCode.TROUBLE, {"error": words})

    def _is_left_alone(self, root: Root) -> bool:
        """Whether it is not the disk that it was; why, stands in *absent*."""
        why = self.run_mode.renew(root) if self.run_mode.renew is not None else None
        why = why or why_absent(self._ledger, root.path)
        if why is not None:
            words = {"root": str(root.path), "why": why}
            self.absent[root.path] = Cause(WaitCode.ROOT_ABSENT, words)
            self._tell(f"{root.path}: {why}; its nights are paused")
        return why is not None

    def _go_through(self, root: Root, beat: Callable[[], None]) -> None:
        if self._is_left_alone(root):
            return
        found = find_nights(root.path)
        for problem in found.problems:
            self._tell(problem)
        for folder in found.folders:
            self._at_night(root, folder, partial(self._go_to, root.kind, folder), beat)
        if not self.run_mode.is_shadow:
            self._oversight.go_through(root, found)
        begin_supplements(self._ledger, self.barrier, root.kind)

    def _at_night(
        self, root: Root, folder: Path, look_there: Callable[[], None], beat: Callable[[], None]
    ) -> None:
        beat()
        self.barrier.regularly(
            f"{root.kind} {folder.name}: looking at it",
            look_there,
            partial(self._hold_for_trouble, root.kind, folder),
        )

    def _hold_for_trouble(self, kind: Kind, folder: Path, words: str) -> bool:
        query = "select id from night where kind = ? and date = ?"
        night = self._ledger.value(query, [kind, folder.name])
        return night is not None and nights.hold_for_trouble(self._ledger, night, words)

    def pause_of_row(self, night: Night) -> Cause | None:
        """Why a night must not be touched now."""
        root = Path(night.folder).parent
        if all(root != known.path for known in self.config.roots):
            return Cause(WaitCode.ROOT_UNKNOWN, {"root": str(root)})
        return self.absent.get(root)

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

    def judge_again(self, night: int, stems: Iterable[str]) -> None:
        """Judge the cubes *stems* by what is known now, without another look at the disk.

        Once nothing of the night is left to be read, it may be over.
        """
        watch = self.nights.get(night)
        if watch is None:
            return
        self.looks += 1
        with self._ledger.transaction():
            row = nights.get_night(self._ledger, night)
            self._judge_stems(row, watch, set(stems))
            if not watch.wanted:
                self._close_if_over(row, watch)

    def _go_to(self, kind: Kind, folder: Path) -> None:
        night = nights.sight_night(self._ledger, kind, folder.name, folder)
        new = NightTracker(night=night.id, folder=folder, begun_ns=self._clock.monotonic_ns())
        watch = self.nights.setdefault(night.id, new)
        stamps = folder_stamps(folder)
        at_rest = night.status in FINAL
        if at_rest and night.id != self._resting and stamps in {watch.stamps, _kept(night)}:
            self._rest(night, watch, stamps)
            return
        seen = look(folder, follow=self.run_mode.is_shadow)
        for problem in seen.problems:
            self._tell(problem)
        self._judging.follow(watch, seen)
        is_foreign = self._notice_others(night, folder, seen)
        known = files.files_of(self._ledger, night.id)
        with self._ledger.transaction():
            recorded = self._recorder.record(night, seen, known)
            # What could not be looked at holds the night at its end: see `Oversight`.
            self._note_look(watch, recorded, is_whole=True)
            if not (is_foreign or self.run_mode.is_shadow):
                night = nights.get_night(self._ledger, night.id)
                self._oversight.look_over(night, folder, seen)
            self._judge_open(nights.get_night(self._ledger, night.id), watch, recorded.paths)
            self._find_losses(night, watch)
        watch.stamps = () if seen.unread else stamps
        if at_rest and not seen.unread:
            self._rest(night, watch, stamps)

    def settled(self) -> Hints:
        """The files that have had time to settle since they were seen to change."""
        hints = Hints()
        oldest_ns = self._clock.monotonic_ns() - round(self._settle_seconds() * 1e9)
        for watch in self.nights.values():
            due = {path for path in watch.unsettled if watch.watched[path].since_ns <= oldest_ns}
            if due and watch.folder.parent not in self.absent:
                hints.files[watch.folder] = due
        return hints

    def glance(self, hints: Hints, beat: Callable[[], None] = lambda: None) -> None:
        """Look where *hints* say, and nowhere else.

        A file that was hinted at is looked at alone, whatever else its night holds; a night for
        which there are hints of no single file is looked at whole, and so is one at rest.
        """
        folders = sorted({*hints.nights, *hints.files})
        if hints.everything or any(folder.parent in self.absent for folder in folders):
            self.go(beat)
            return
        self.looks += 1
        for root in self.config.roots:
            mine = [folder for folder in folders if folder.parent == root.path]
            if mine:
                self._within(root, partial(self._glance_through, root, mine, hints, beat))

    def _glance_through(
        self, root: Root, folders: list[Path], hints: Hints, beat: Callable[[], None]
    ) -> None:
        if self._is_left_alone(root):
            return
        watched = {watch.folder for watch in self.nights.values()}
        whole = {folder for folder in folders if folder not in watched or folder in hints.nights}
        there = set(find_nights(root.path).folders) if whole else set()
        for folder in folders:
            if folder not in whole:
                look_there = partial(self._glance_at, root.kind, folder, hints.files[folder])
                self._at_night(root, folder, look_there, beat)
            elif folder in there:
                self._at_night(root, folder, partial(self._go_to, root.kind, folder), beat)
        if whole:
            begin_supplements(self._ledger, self.barrier, root.kind)

    def _glance_at(self, kind: Kind, folder: Path, names: Collection[str]) -> None:
        """Look at files of a night by their names; what the others are is left as it is known."""
        night = nights.sight_night(self._ledger, kind, folder.name, folder)
        watch = self.nights[night.id]
        if night.status in FINAL:
            self._go_to(kind, folder)
            return
        seen = look_at(folder, names, follow=self.run_mode.is_shadow)
        for problem in seen.problems:
            self._tell(problem)
        paths = {printable(name) for name in names}
        self._judging.follow(watch, seen, paths)
        known = files.files_at(self._ledger, night.id, paths)
        with self._ledger.transaction():
            self._note_look(watch, self._recorder.record(night, seen, known), is_whole=False)
            night = nights.get_night(self._ledger, night.id)
            self._judge_stems(night, watch, _stems_of(paths))

    def _next_at_rest(self) -> int:
        """The night at rest whose turn it is to be looked at whole; 0: there is none."""
        query = (
            "select coalesce(min(id), 0) from night where id > ?"
            " and status in ('safe', 'reclaimed', 'empty', 'abandoned')"
        )
        return self._ledger.value(query, [self._resting]) or int(self._ledger.value(query, [0]))

    def _rest(self, night: Night, watch: NightTracker, stamps: tuple[int, ...]) -> None:
        """Keep when its folders changed, and forget its files: of all nights it were a million."""
        watch.watched, watch.unsettled, watch.inspections = {}, set(), {}
        if _kept(night) != stamps:
            nights.keep_folder_stamps(self._ledger, night.id, stamps)

    def _notice_others(self, night: Night, folder: Path, seen: FolderSnapshot) -> bool:
        """Hold a night whose raw files the earlier pipeline has moved, or is moving now."""
        signs = signs_of(folder, [path for path in seen.files if "/" not in path])
        if signs and legacy.notice(self._ledger, night, signs):
            log.error("%s: the earlier pipeline's: %s", nights.label(night), ", ".join(signs))
        return bool(signs)

    def _note_look(self, watch: NightTracker, recorded: Recorded, *, is_whole: bool) -> None:
        watch.is_news |= recorded.counts
        if recorded.counts:
            watch.unchanged_looks = 0
            watch.changed_ns = self._clock.monotonic_ns()
        else:
            watch.unchanged_looks += is_whole

    def _judge_open(self, night: Night, watch: NightTracker, changed: Iterable[str]) -> None:
        """Judge what is undecided in a night that is not closed, and close it when it is over."""
        if not _is_open(night):
            watch.wanted, watch.is_known = {}, False
            return
        stems = None
        if watch.is_known:
            stems = files.undecided_stems(self._ledger, night) | _stems_of(changed)
        watch.wanted = {}
        self._judge_stems(night, watch, stems)
        watch.is_known = True
        self._close_if_over(night, watch)

    def _judge_stems(self, night: Night, watch: NightTracker, stems: set[str] | None) -> None:
        """Judge these cubes; None: all that there are."""
        if not _is_open(night):
            return
        if stems is None or len(stems) > _MANY_STEMS:
            rows = list(files.files_of(self._ledger, night.id).values())
        else:
            rows = files.files_of_stems(self._ledger, night.id, sorted(stems))
        for stem in stems or ():
            watch.wanted.pop(stem, None)
        for pair in pairs_of(row for row in rows if row.batch == night.batch):
            if stems is None or pair.stem in stems:
                self._judging.judge(night, watch, pair)

    def _close_if_over(self, night: Night, watch: NightTracker) -> None:
        if not _is_open(night):
            return
        date = night_date(night.date)
        assert date is not None
        end = night_is_over(
            date,
            last_change_us=night.last_change_us,
            now_us=self._ledger.now_us(),
            unchanged_looks=watch.unchanged_looks,
            unchanged_us=self._unchanged_us(watch),
            quiet_minutes=self.config.night.quiet_minutes,
            grace_minutes=self.config.night.grace_minutes,
        )
        watch.waits_for, watch.due_us = end.waits_for, end.due_us
        asked = night.close_asked_by is not None and watch.unchanged_looks > 0
        if night.hold is None and (end.over or asked):
            watch.waits_for = self._close_if_read(night, watch)

    def _unchanged_us(self, watch: NightTracker) -> int | None:
        if watch.changed_ns is None:
            return None
        return (self._clock.monotonic_ns() - watch.changed_ns) // 1000

    def _find_losses(self, night: Night, watch: NightTracker, *, is_closing: bool = False) -> None:
        """Look for cubes that the logger lost, where something changed in an open night."""
        night = nights.get_night(self._ledger, night.id)
        if night.closed_us is None and (watch.is_news or is_closing):
            watch.is_news = False
            self._oversight.judge_known(night, is_closing=is_closing)
            toll = renew_losses(self._ledger, night)
            if toll is not None:
                self._tell(f"{nights.label(night)}: {toll.lost_text}: vampd show {night.date}")

    def _close_if_read(self, night: Night, watch: NightTracker) -> Cause | None:
        """Close the night, unless something must settle or be read first; return what."""
        rows = self._files_of_batch(night)
        present = [row for row in rows if row.state != FileState.GONE]
        for row in present:
            file = watch.watched.get(row.path)
            if row.role != Role.OTHER and file is not None and not self._judging.is_settled(file):
                return Cause(WaitCode.SETTLE)
        undecided = [pair for pair in pairs_of(rows) if not pair.is_judged]
        verdicts = [(pair, self._judging.verdict(watch, pair, at_close=True)) for pair in undecided]
        if any(
            verdict.state is FileState.ARRIVING or (pair.cube is None and pair.stem in watch.wanted)
            for pair, verdict in verdicts
        ):
            return Cause(WaitCode.CUBES)
        for pair, verdict in verdicts:
            self._judging.apply(night, watch, pair, verdict)
        for row in present:
            if row.role == Role.TEMPORARY:
                left_over = judge_temporary(at_close=True)
                files.set_state(self._ledger, row.id, left_over.state, left_over.cause)
                self._tell(f"{nights.label(night)}: {row.path}: {left_over.reason}")
        self._find_losses(night, watch, is_closing=True)
        if not self.run_mode.is_shadow and self._oversight.holds(night.id, is_over=True):
            return nights.cause_of_hold(nights.get_night(self._ledger, night.id))
        close(self._ledger, night, self.run_mode.stages[Kind(night.kind)])
        return None

    def _files_of_batch(self, night: Night) -> list[RawFile]:
        rows = files.files_of(self._ledger, night.id)
        return [row for row in rows.values() if row.batch == night.batch]

    def _tell(self, text: str) -> None:
        """Log *text* the first time."""
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)


def _is_open(night: Night) -> bool:
    return night.closed_us is None and night.status != NightStatus.ABANDONED


def _stems_of(paths: Iterable[str]) -> set[str]:
    return {stem for path in paths if (stem := classify(path).stem) is not None}


def _kept(night: Night) -> tuple[int, ...]:
    """When a night's folders had last changed at the last whole look at it, if it was at rest."""
    return tuple(json.loads(night.folder_stamps or "[]"))
