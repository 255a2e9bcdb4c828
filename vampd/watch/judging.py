"""The verdicts on cubes and their timing files: found by what was seen and read, and kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from vampd.causes import Cause
from vampd.io.clock import Clock
from vampd.ledger import cubes, files, nights
from vampd.ledger.barrier import Barrier, Trouble
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.states import FileCode, FileState
from vampd.watch.losses import note_timing
from vampd.watch.naming import Role, classify
from vampd.watch.night_tracker import NightTracker
from vampd.watch.pairs import Pair, cube_facts
from vampd.watch.scan import FolderSnapshot
from vampd.watch.settle import (
    TrackedFile,
    Verdict,
    follow,
    is_stable,
    judge,
    judge_at_close,
    needs_inspection,
)

_MOST_FAILED_READS = 3


class Judging:
    """Judges pairs, and writes each verdict to the ledger. *tell* logs a sentence, once."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        barrier: Barrier,
        tell: Callable[[str], None],
        settle_seconds: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._barrier = barrier
        self._tell = tell
        self._settle_seconds = settle_seconds

    def follow(
        self, watch: NightTracker, seen: FolderSnapshot, paths: Collection[str] | None = None
    ) -> None:
        """Carry what is known of the files at *paths* over one look; None: it was at all."""
        looked = watch.watched.keys() if paths is None else paths
        before = {path: file for path in looked if (file := watch.watched.get(path)) is not None}
        after = follow(before, seen, now_ns=self._clock.monotonic_ns())
        changing = {path for path, file in after.items() if self._is_changing(watch, path, file)}
        if paths is None:
            watch.watched, watch.unsettled = after, changing
            return
        for path in paths:
            watch.watched.pop(path, None)
        watch.watched.update(after)
        watch.unsettled.difference_update(paths)
        watch.unsettled.update(changing)

    def _is_changing(self, watch: NightTracker, path: str, file: TrackedFile) -> bool:
        """Whether it is to be looked at once more for its own sake."""
        if file.looks > 1 and path not in watch.unsettled:
            return False
        return classify(path).role in {Role.CUBE, Role.TIMING} and not self.is_settled(file)

    def judge(self, night: Night, watch: NightTracker, pair: Pair) -> None:
        """Judge a cube and its timing file of an open night, unless that is done."""
        if pair.is_judged:
            return
        found: list[Verdict] = []
        trouble = self._barrier.attempt(
            f"{nights.label(night)}: judging {pair.rows[0].path}",
            lambda: found.append(self.verdict(watch, pair, at_close=False)),
            writes=False,
        )
        if trouble is not None:
            watch.inspections.pop(pair.stem, None)
        self.apply(night, watch, pair, _odd(trouble) if trouble is not None else found[0])

    def verdict(self, watch: NightTracker, pair: Pair, *, at_close: bool) -> Verdict:
        """What they are by all that is known; where they must be read first, that is asked for."""
        now_ns = self._clock.monotonic_ns()
        settle_seconds = self._settle_seconds()
        cube = watch.watched.get(pair.cube.path) if pair.cube is not None else None
        timing = watch.watched.get(pair.timing.path) if pair.timing is not None else None
        inspection = watch.inspections.get(pair.stem)
        if timing is not None:
            settled = all(self.is_settled(file) for file in (cube, timing) if file is not None)
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

    def is_settled(self, file: TrackedFile) -> bool:
        """Whether a file is unchanged over two looks and the settle time."""
        return is_stable(
            file,
            now_ns=self._clock.monotonic_ns(),
            settle_seconds=self._settle_seconds(),
        )

    def apply(self, night: Night, watch: NightTracker, pair: Pair, verdict: Verdict) -> None:
        """Keep a verdict; a cube of which the ledger cannot keep what it says is quarantined."""
        if note_timing(self._ledger, pair.timing, watch.inspections.get(pair.stem)):
            watch.is_news = True
        if verdict.state is FileState.WHOLE:
            trouble = self._barrier.attempt(
                f"{nights.label(night)}: keeping what {pair.rows[0].path} says",
                partial(self._store, watch, pair),
            )
            watch.inspections.pop(pair.stem, None)
            verdict = verdict if trouble is None else _odd(trouble)
        for row in pair.rows:
            if row.state != verdict.state or files.cause_of(row) != verdict.cause:
                watch.is_news = True
                files.set_state(self._ledger, row.id, verdict.state, verdict.cause)
        if verdict.alarm or verdict.state is FileState.QUARANTINED:
            self._tell(f"{nights.label(night)}: {pair.rows[0].path}: {verdict.reason}")

    def _store(self, watch: NightTracker, pair: Pair) -> None:
        assert pair.cube is not None
        assert pair.timing is not None
        facts = cube_facts(watch.inspections[pair.stem])
        cubes.store_cube(self._ledger, pair.cube.id, pair.timing.id, facts)


def _odd(trouble: Trouble) -> Verdict:
    """The verdict on a cube that says what nobody can take."""
    cause = Cause(FileCode.ODD, {"error": trouble.words})
    return Verdict(state=FileState.QUARANTINED, cause=cause)
