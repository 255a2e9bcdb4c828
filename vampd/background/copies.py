"""Copies are read through again: by age, and when an operator asks.

A night at rest is verified piece by piece, the copies that were verified longest ago first, so
that new nights need not wait for an old one. What is found is recorded. A night of which a copy
is wrong is no longer safe: while its files lie here they are sent again, and what was wrong is
kept as evidence; otherwise it is held.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from vampd.background.scrub import is_idle, pay
from vampd.causes import Cause
from vampd.errors import IntegrityError, VampdError
from vampd.io.beneath import night_folder
from vampd.io.listed_files import ListedFile, check_sizes
from vampd.ledger import deliveries, nights, tasks, verifications
from vampd.ledger.connection import Ledger
from vampd.ledger.local_copies import Side
from vampd.ledger.records import Night
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.stages import verify
from vampd.stages.verify import VerifiedFile, VerifyJob, VerifyResult, verify_job
from vampd.states import HoldCode, Kind, NightStatus, Stage, WaitCode
from vampd.time_units import DAY_US, SECOND_US

log = logging.getLogger(__name__)

#: In these no stage works on a night: what becomes of its copies is seen by nobody else.
AT_REST = frozenset({NightStatus.SAFE, NightStatus.RECLAIMED})

_PIECE_BYTES = 100_000_000_000  # some minutes of a far disk

_BY_AGE = "its copies were verified longest ago"


class ReverifyJob(Struct, frozen=True, kw_only=True):
    """Some copies of one night are to be read through again."""

    night: int
    copies: VerifyJob


class Reverified(Struct, frozen=True, kw_only=True):
    """What was found."""

    copies: VerifyResult


def due(ledger: Ledger, config: Config) -> ReverifyJob | None:
    """The next piece to verify: of what was asked for first, then of what is oldest."""
    for _ in range(2):
        night = _in_progress(ledger, config)
        if night is not None:
            return _piece(ledger, config, night)
        if not _begin_oldest(ledger, config):
            return None
    return None


def _in_progress(ledger: Ledger, config: Config) -> Night | None:
    """A night whose copies are being read through; after a failure it rests for a while.

    Nobody waits for what is read by its age: that goes on when the cameras are quiet.
    """
    verifications.mend_dates(ledger)
    rests_us = round(config.retry.longest_seconds * SECOND_US)
    night = verifications.in_progress(ledger, rests_us)
    if night is None or night.verify_asked_by is not None or is_idle(ledger, config, Side.FAR):
        return night
    return None


def _begin_oldest(ledger: Ledger, config: Config) -> bool:
    """Begin with the night that was verified longest ago, if any is due by its age."""
    if not is_idle(ledger, config, Side.FAR):
        return False
    for kind in Kind:
        delivery = config.delivery.of(kind)
        days = delivery.reverify_days if delivery is not None else 0
        if not days:
            continue
        if verifications.begin_oldest(ledger, kind, round(days * DAY_US)):
            return True
    return False


def _piece(ledger: Ledger, config: Config, night: Night) -> ReverifyJob | None:
    """The job for the copies whose turn it is; None where the night lists none, or has no place."""
    try:
        job = verify_job(ledger, config, night, afresh=True)
    except VampdError as error:
        _note_failure(ledger, night, "", str(error))
        return None
    old = verifications.unread_copies(ledger, night)
    files = {file.path: file for file in job.files}
    piece: list[ListedFile] = []
    size_bytes = 0
    most_bytes = min(_PIECE_BYTES, round(config.scrub.gb_per_day * 1e9))
    for path in old:
        if piece and size_bytes + files[path].size_bytes > most_bytes:
            break
        piece.append(files[path])
        size_bytes += files[path].size_bytes
    if not piece:
        _finish(ledger, night, job.verify_at)
        return None
    return ReverifyJob(night=night.id, copies=replace(job, files=piece))


def work(job: ReverifyJob) -> Reverified:
    """Read them through: the worker's part."""
    return Reverified(copies=verify.work(job.copies))


def record(ledger: Ledger, config: Config, job: ReverifyJob, outcome: Outcome[Reverified]) -> None:
    """Keep what was found; a night of which a copy is wrong is not safe any more."""
    night = nights.get_night(ledger, job.night)
    if night.status not in AT_REST or night.verify_since_us is None:
        return  # it was restored or held meanwhile: its own stages verify it
    place = job.copies.verify_at
    if night.verify_asked_by is None:
        pay(ledger, config, Side.FAR, sum(file.size_bytes for file in job.copies.files))
    if outcome.result is None:
        _note_failure(ledger, night, place, outcome.error or "its worker died")
        return
    found = outcome.result.copies
    wrong = verify.keep_verdicts(ledger, night.id, found)
    if wrong:
        _note(ledger, night, place, wrong=len(wrong))
        handle_bad_copies(ledger, night, found, wrong)
    elif not verifications.unread_copies(ledger, night):
        _finish(ledger, night, place)


def _finish(ledger: Ledger, night: Night, place: str) -> None:
    _note(ledger, night, place, wrong=0)
    verifications.end(ledger, night.id)
    log.info(
        "%s: every copy at %s was read through again, and is right",
        nights.label(night),
        place,
        extra={"NIGHT": night.date},
    )


def _note_failure(ledger: Ledger, night: Night, place: str, error: str) -> None:
    _note(ledger, night, place, wrong=0, error=error)
    verifications.note_tried(ledger, night.id)
    log.warning(
        "%s: its copies could not be verified again: %s",
        nights.label(night),
        error,
        extra={"NIGHT": night.date},
    )


def _note(
    ledger: Ledger, night: Night, place: str, *, wrong: int, error: str | None = None
) -> None:
    by = night.verify_asked_by
    files = len(deliveries.deliverables_of(ledger, night.id))
    why = f"asked for by {by}" if by else _BY_AGE
    verifications.record(ledger, night.id, place, files=files, wrong=wrong, error=error, why=why)


def handle_bad_copies(
    ledger: Ledger, night: Night, result: VerifyResult, wrong: Sequence[VerifiedFile]
) -> None:
    """A night at rest of which copies are *wrong*: an alarm, and what is safest for the data.

    It is sent again, and until it is verified not safe, where that is possible: nothing of it was
    given back, and the files lie here with their sizes. It is held where not; and where every
    copy that was looked for is missing, for then it is likelier that a disk is absent or that
    somebody moved them than that all were lost.
    """
    what = _what_is_wrong(result, wrong)
    why_not = _why_not_sent_again(ledger, night, result, wrong)
    extra = {"NIGHT": night.date}
    if why_not is None:
        deliveries.send_again(ledger, night.id, [row.path for row in wrong])
        tasks.make_pending(ledger, night.id, [Stage.TRANSFER, Stage.VERIFY], what)
        sent_again = Cause(WaitCode.SENT_AGAIN, {"what": what})
        nights.set_status(ledger, night, NightStatus.READY, sent_again)
        nights.unmark_safe(ledger, night.id)
        log.error(
            "%s is no longer safe: %s; they are sent again", nights.label(night), what, extra=extra
        )
        return
    hold = Cause(HoldCode.COPIES_WRONG, {"what": what, "why_not": why_not})
    nights.hold(ledger, night.id, hold)
    nights.set_status(ledger, nights.get_night(ledger, night.id), NightStatus.HELD, hold)
    log.error("%s is held: %s", nights.label(night), hold, extra=extra)


def _what_is_wrong(result: VerifyResult, wrong: Sequence[VerifiedFile]) -> str:
    first = wrong[0]
    return (
        f"{len(wrong)} of {len(result.results)} copies at {result.verify_at}, once verified, "
        f"are not right any more: {first.path} is {first.verdict}"
    )


def _why_not_sent_again(
    ledger: Ledger, night: Night, result: VerifyResult, wrong: Sequence[VerifiedFile]
) -> str | None:
    if all(row.verdict == "missing" for row in result.results):
        return "nothing of it was found there: is its disk mounted, was it moved?"
    if night.status == NightStatus.RECLAIMED:
        return "its space here was given back"
    listed = {row.path: row for row in deliveries.deliverables_of(ledger, night.id)}
    files = [
        ListedFile(
            path=row.path,
            size_bytes=listed[row.path].size_bytes,
            sha256=listed[row.path].sha256,
        )
        for row in wrong
    ]
    try:
        check_sizes(night_folder(night.folder), files)
    except IntegrityError as error:
        return str(error)
    return None


JOB = BackgroundJob(
    name="reverify", seat=Seat.NETWORK, due=due, work=work, result=Reverified, record=record
)
