"""Reading raw files, before any stage: what headers and timing files say, and digests.

Background jobs of one night each. What a worker reads together is a batch; the files of a batch
that went wrong are read one by one from then on: see `vampd.schedule.suspects`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

from vampd.back_off import pause_us
from vampd.causes import Cause
from vampd.ledger import files, nights, strays
from vampd.ledger.connection import Ledger
from vampd.ledger.records import UnreadFile
from vampd.schedule.background_job import AnyBackgroundJob, BackgroundJob, BackgroundWork
from vampd.schedule.dispatch import NightSnapshot
from vampd.schedule.executor import Outcome
from vampd.schedule.suspects import Suspects, is_away
from vampd.schedule.work import Seat, Work
from vampd.settings.sections import Config
from vampd.states import FINAL, ErrorClass, FileCode
from vampd.watch import inspect
from vampd.watch.inspect import DigestJob, Digests, Inspection, Inspections, InspectJob
from vampd.watch.scan_cycle import ScanCycle

log = logging.getLogger(__name__)

_BATCH_CUBES = 50
BATCH_FILES = 40
_BATCH_BYTES = 4_000_000_000

_PASSING = frozenset({ErrorClass.RESOURCE, ErrorClass.TRANSIENT})

Pair = tuple[str, str]  #: a cube, and its timing file


class Readings:
    """What is to be read of which night. For the daemon's one thread."""

    def __init__(self, ledger: Ledger, scan_cycle: ScanCycle) -> None:
        self._ledger = ledger
        self._scan_cycle = scan_cycle
        self._suspects = Suspects(ledger)
        self._rests_until_ns = 0  #: no reading before this time, by a clock that nobody sets

    def of_night(self, night: NightSnapshot, going: Iterable[Work]) -> Iterator[AnyBackgroundJob]:
        """What is to be read of a night at which vampd works; some of it is *going* on."""
        watch = self._scan_cycle.nights.get(night.number)
        if watch is None or self._rests():
            return
        jobs = list(_jobs_of(going, night.number))
        asked = {pair for job in jobs if isinstance(job, InspectJob) for pair in job.cubes}
        wanted = {stem: pair for stem, pair in watch.wanted.items() if pair not in asked}
        for pairs in pair_batches(wanted, self._suspects.of(night.number)):
            yield self._inspection(night.number, str(watch.folder), pairs)
        if night.digests_missing or night.unread_again:
            yield self._digests(night.number, str(watch.folder), jobs)

    def at_rest(
        self, nights_: Iterable[NightSnapshot], going: Collection[Work]
    ) -> Iterator[AnyBackgroundJob]:
        """What lies elsewhere of nights at rest is read again: a whole disk, perhaps.

        One batch at a time.
        """
        for night in nights_:
            if not night.unread_again or night.status not in FINAL or night.pause is not None:
                continue
            if self._rests() or any(isinstance(job, DigestJob) for job in _jobs_of(going)):
                return
            row = nights.get_night(self._ledger, night.number)
            yield self._digests(night.number, row.folder, [])

    def _rests(self) -> bool:
        return self._ledger.clock.monotonic_ns() < self._rests_until_ns

    def _inspection(self, night: int, folder: str, pairs: Mapping[str, Pair]) -> AnyBackgroundJob:
        job = InspectJob(folder=folder, cubes=tuple(pairs.values()))
        return BackgroundJob(
            name="reading headers",
            night=night,
            seat=Seat.BUILDER,
            due=lambda _ledger, _config: job,
            work=inspect.work,
            result=Inspections,
            record=lambda _, config, job, outcome: self._take_inspections(
                night, tuple(pairs), config, job, outcome
            ),
        )

    def _digests(self, night: int, folder: str, going: Iterable[object]) -> AnyBackgroundJob:
        asked = {path for job in going if isinstance(job, DigestJob) for path in job.files}
        return BackgroundJob(
            name="digesting",
            night=night,
            seat=Seat.BUILDER,
            due=lambda _ledger, _config: self._digest_job(night, folder, asked),
            work=inspect.sha256_files,
            result=Digests,
            record=lambda _, config, job, outcome: self._take_digests(night, config, job, outcome),
        )

    def _digest_job(self, night: int, folder: str, asked: Collection[str]) -> DigestJob | None:
        unread = strays.unread(self._ledger, night)
        most = BATCH_FILES + len(asked)  # of which so many may be among those that are asked
        rows = (*unread, *files.without_digest(self._ledger, night, most))
        paths = digest_batch(rows, asked, self._suspects.of(night))
        return DigestJob(folder=folder, files=paths) if paths else None

    def _take_inspections(
        self,
        night: int,
        stems: tuple[str, ...],
        config: Config,
        job: InspectJob,
        outcome: Outcome[Inspections],
    ) -> None:
        found = None if outcome.result is None else outcome.result.results
        if found is None or len(found) != len(stems):
            known = [files.known_path(self._ledger, night, pair) for pair in job.cubes]
            self._went_wrong(night, config, known, outcome)
        else:
            for stem, pair, inspection in zip(stems, job.cubes, found, strict=True):
                self._take_inspection(
                    night, stem, files.known_path(self._ledger, night, pair), inspection
                )
        if not outcome.is_ours:  # what is quarantined is not wanted any more
            self._scan_cycle.judge_again(night, stems)

    def _take_inspection(self, night: int, stem: str, cube: str, found: Inspection) -> None:
        trouble = self._scan_cycle.barrier.attempt(
            f"night {night}: what was read of {cube}",
            lambda: self._scan_cycle.accept(night, [stem], [found]),
        )
        if trouble is not None:
            self._suspects.count(night, cube, Cause(FileCode.ODD, {"error": trouble.words}))

    def _take_digests(
        self, night: int, config: Config, job: DigestJob, outcome: Outcome[Digests]
    ) -> None:
        found = None if outcome.result is None else outcome.result.results
        if found is None or len(found) != len(job.files):
            self._went_wrong(night, config, job.files, outcome)
            return
        for path, digest in zip(job.files, found, strict=True):
            trouble = self._scan_cycle.barrier.attempt(
                f"night {night}: the digest of {path}",
                partial(self._suspects.take_digest, night, path, digest),
            )
            if trouble is not None:
                odd = Cause(FileCode.ODD, {"error": trouble.words})
                self._suspects.count(night, path, odd)

    def _went_wrong(
        self, night: int, config: Config, paths: Collection[str], outcome: Outcome[object]
    ) -> None:
        """The files of a batch that failed are taken one by one; one that fails alone is bad.

        A shortage on this machine says nothing of the files: reading rests for a while.
        """
        log.warning("reading %d files, %s first: %s", len(paths), next(iter(paths)), outcome.error)
        passes = outcome.is_ours or outcome.error_class in _PASSING
        if passes or is_away(self._ledger, night):
            rest_ns = 1000 * pause_us(config.retry.first_seconds, config.retry.longest_seconds)
            self._rests_until_ns = self._ledger.clock.monotonic_ns() + rest_ns
            return
        for path in paths:
            cause = Cause(FileCode.READING_FAILS, {"error": str(outcome.error)})
            self._suspects.count(night, path, cause)


def _jobs_of(going: Iterable[Work], night: int | None = None) -> Iterator[object]:
    """The jobs of reading that are going on, of all nights or of one."""
    for work in going:
        if isinstance(work, BackgroundWork) and night in {None, work.night}:
            yield work.job


def pair_batches(
    pairs: Mapping[str, Pair], suspects: AbstractSet[str]
) -> Iterator[dict[str, Pair]]:
    """Pairs in batches; each of which the cube is among *suspects* alone."""
    stems = sorted(stem for stem in pairs if not suspects or suspects.isdisjoint(pairs[stem]))
    for first in range(0, len(stems), _BATCH_CUBES):
        yield {stem: pairs[stem] for stem in stems[first : first + _BATCH_CUBES]}
    for stem in sorted(pairs.keys() - set(stems)):
        yield {stem: pairs[stem]}


def digest_batch(
    rows: Iterable[UnreadFile], asked: Collection[str], suspects: Container[str]
) -> tuple[str, ...]:
    """The paths of the first *rows* that nobody reads yet; one of *suspects* is read alone."""
    paths: list[str] = []
    size_bytes = 0
    for row in rows:
        is_suspect = row.path in suspects
        full = len(paths) == BATCH_FILES or size_bytes > _BATCH_BYTES
        if full or (is_suspect and paths):
            break
        if row.path not in asked:
            paths.append(row.path)
            size_bytes += row.size_bytes
            if is_suspect:
                break
    return tuple(paths)
