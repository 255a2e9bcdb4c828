"""What follows from how a step of giving space back ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from vampd.back_off import pause_us
from vampd.background import copies as reverify
from vampd.background.reclaim.moves import CopiesJob, Done, MovedFile, MoveJob
from vampd.ledger import (
    deliveries,
    elapsed,
    files,
    nights,
    reclaims,
    strays,
    trash,
    verifications,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.reclaims import Reclaim
from vampd.ledger.records import Night
from vampd.records import FileIdentity
from vampd.schedule.executor import Outcome
from vampd.settings.sections import Config
from vampd.stages import verify
from vampd.stages.verify import VerifiedFile
from vampd.states import ErrorClass, NightStatus, ReclaimState, Space, TrashState
from vampd.time_units import SECOND_US

log = logging.getLogger(__name__)

_PATIENCE_US = 86_400 * SECOND_US  # with a far machine that cannot be asked
_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})


def record(
    ledger: Ledger, config: Config, job: CopiesJob | MoveJob, outcome: Outcome[Done]
) -> None:
    """Take what came of a step."""
    row = None if job.reclaim is None else reclaims.get(ledger, job.reclaim)
    if isinstance(job, CopiesJob):
        assert row is not None
        _take_verification(ledger, config, row, job, outcome)
    elif outcome.result is None:
        _take_failure(ledger, config, row, job, outcome)
    else:
        take_moves(ledger, row, job, outcome.result.moved)


def _take_verification(
    ledger: Ledger, config: Config, row: Reclaim, job: CopiesJob, outcome: Outcome[Done]
) -> None:
    night = nights.get_night(ledger, row.night)
    if row.state != ReclaimState.VERIFYING:
        return  # an operator ended it meanwhile
    checked = None if outcome.result is None else outcome.result.checked
    if checked is None:
        _take_unverified(ledger, config, row, night, outcome)
        return
    copies, found = checked.copies, checked.found
    wrong = _wrong(ledger, night, copies.results)
    unverified = verify.keep_verdicts(ledger, night.id, copies)
    verifications.record(
        ledger,
        night.id,
        job.copies.verify_at,
        files=len(copies.results),
        wrong=len(wrong),
        error=None,
        why="before space is given back",
    )
    strangers = [] if row.final else _strangers(ledger, row, found)
    if wrong:
        why = f"{len(wrong)} files are not right at the far end, {wrong[0]} first"
        end_refused(ledger, row, night, why, is_alarm=True)
        if unverified and night.status in reverify.AT_REST:
            reverify.handle_bad_copies(ledger, night, copies, unverified)
    elif strangers:
        _note_strays(ledger, row, found)
        why = f"{len(strangers)} files are not those of the ledger, {strangers[0]} first"
        end_refused(ledger, row, night, why, is_alarm=True)
    else:
        known = trash.candidates(ledger, night.id, row.space)
        listed = [(each, found[each.path]) for each in known if each.path in found]
        reclaims.list_files(ledger, row, listed, f"{night.date}.{row.id}")
        reclaims.record_verified(ledger, row.id, us=job.us, passed_us=job.passed_us)


def _take_unverified(
    ledger: Ledger, config: Config, row: Reclaim, night: Night, outcome: Outcome[Done]
) -> None:
    """Nothing was found out: a far machine that is away is asked again, for a day."""
    passed_us = elapsed.passed_us(ledger)
    waited_us = passed_us - row.begun_passed_us
    may_pass = outcome.crashed or outcome.error_class in _PASSING
    if may_pass and waited_us < _PATIENCE_US:
        until_us = passed_us + round(config.retry.longest_seconds * SECOND_US)
        reclaims.rest(ledger, row.id, until_us, outcome.error or "")
        log.warning("%s: %s", nights.label(night), outcome.error)
    else:
        end_refused(ledger, row, night, f"nobody could be asked: {outcome.error}", is_alarm=True)


def _wrong(ledger: Ledger, night: Night, results: Iterable[VerifiedFile]) -> list[str]:
    """Delivered files that were not found right; a verdict without the very digest is none."""
    right = {result.path: result.sha256 for result in results if result.verdict == "verified"}
    listed = deliveries.deliverables_of(ledger, night.id)
    return [row.path for row in listed if right.get(row.path) != row.sha256]


def _strangers(ledger: Ledger, row: Reclaim, found: Mapping[str, FileIdentity]) -> list[str]:
    """Files that may go by the ledger, and lie there as others; a missing output is none."""
    wrong = []
    for known in trash.candidates(ledger, row.night, row.space):
        there = found.get(known.path)
        if row.space == Space.RAW:
            is_other = there != known.identity
        else:
            is_other = there is not None and there.size_bytes != known.size_bytes
        if is_other:
            wrong.append(known.path)
    return wrong


def _note_strays(ledger: Ledger, row: Reclaim, found: Mapping[str, FileIdentity]) -> None:
    """Raw files with another inode or time are read again: their bytes may be the recorded ones."""
    if row.space != Space.RAW:
        return
    for known in trash.candidates(ledger, row.night, Space.RAW):
        raw_file = files.file_of(ledger, row.night, known.path)
        if known.path in found and raw_file.sha256 is not None:
            strays.note(ledger, raw_file, found[known.path])


def _take_failure(
    ledger: Ledger,
    config: Config,
    row: Reclaim | None,
    job: MoveJob,
    outcome: Outcome[Done],
) -> None:
    """Nobody knows how far it came: its files are looked for, at once after a crash."""
    seconds = config.retry.first_seconds if row is not None else config.retry.longest_seconds
    rest_us = 0 if outcome.crashed else pause_us(seconds, config.retry.longest_seconds)
    until_us = elapsed.passed_us(ledger) + rest_us
    trash.rest(ledger, [file.id for file in job.files], until_us)
    if row is None:
        log.warning("%s: looking after its files: %s", job.label, outcome.error)
    else:
        night = nights.get_night(ledger, row.night)
        end_refused(ledger, row, night, outcome.error or "", is_alarm=True)


def take_moves(
    ledger: Ledger,
    row: Reclaim | None,
    job: MoveJob,
    results: Iterable[MovedFile],
) -> None:
    """Keep where files were found after a step, and what follows for their night."""
    intended = {"move": TrashState.TRASHED, "unlink": TrashState.UNLINKED}.get(job.step)
    gone, wrong = [], []
    for result in results:
        file = trash.get(ledger, result.id)
        trash.settle(ledger, file, result.became, result.why)
        if result.became is intended:
            gone.append(file)
        elif intended is not None or result.became is TrashState.LOST:
            wrong.append(f"{result.why}")
    if row is None:
        for why in wrong:
            log.error("%s: %s", job.label, why)
    else:
        reclaims.count_gone(ledger, row.id, gone)
        if wrong:
            night = nights.get_night(ledger, row.night)
            end_refused(ledger, row, night, f"{len(wrong)} files: {wrong[0]}", is_alarm=True)
    first = trash.get(ledger, job.files[0].id)
    mark_reclaimed(ledger, nights.get_night(ledger, first.night))


def mark_reclaimed(ledger: Ledger, night: Night) -> None:
    """A safe night of which every raw file was removed for ever has given its space back."""
    if night.status == NightStatus.SAFE and trash.raw_is_gone(ledger, night.id):
        why = "the space of its raw files was given back"
        nights.set_status(ledger, night, NightStatus.RECLAIMED, None, why)


def end_refused(
    ledger: Ledger, row: Reclaim, night: Night, why: str, *, is_alarm: bool = False
) -> None:
    """Something speaks against it: what has not gone stays. *is_alarm*: somebody should look."""
    reclaims.end(ledger, row.id, ReclaimState.REFUSED, why)
    log_run(row, night, f"not done: {why}", logging.ERROR if is_alarm else logging.WARNING)


def log_run(row: Reclaim, night: Night, text: str, level: int = logging.INFO) -> None:
    """A line of the log about one night of a run."""
    what = what_is_done(Space(row.space), final=bool(row.final))
    label = nights.label(night)
    fields = {"NIGHT": night.date, "RUN": row.run}
    log.log(level, "%s: run %d, %s: %s", label, row.run, what, text, extra=fields)


def what_is_done(space: Space, *, final: bool) -> str:
    """Which way which files go, in words."""
    return f"{space} out of the trash for ever" if final else f"{space} into the trash"
