"""Recompute the digest of every file at the far end.

Nothing else makes a file count as safe: no exit status, no size, no checksum card.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from vampd.io.listed_files import ListedFile
from vampd.ledger import deliveries, destination_markers, live, outputs, remote_copies, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night, label
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.remote.answers import FileDigest
from vampd.remote.destination_marker import Marked
from vampd.remote.location import Location
from vampd.remote.store import ABSENT, FarJob
from vampd.remote.table import demand_disks, store_of
from vampd.settings.sections import Config
from vampd.stages.destinations import delivery_of, disks_of, reach_of
from vampd.stages.handler import StageHandler
from vampd.states import Stage
from vampd.time_units import HOUR_US

# A file that was sent so often and still differs will differ the next time as well.
_MOST_RESENDS = 4


Verdict = Literal["verified", "missing", "different", "elsewhere"]


class VerifyJob(FarJob, frozen=True, kw_only=True):
    """What a verification needs to know."""

    verify_at: str  #: the place where the night's files count as safe, date included
    destination: str  #: the place to which they were sent, date included
    files: list[ListedFile]
    patience_hours: float = 0.0  #: how long somebody may take to move them on


class VerifiedFile(Struct, frozen=True, kw_only=True):
    """The verdict on one file.

    verified: the digest of the bytes at *verify_at* is the listed one. elsewhere: not yet
    there, but right at *destination*, from where somebody else moves it. missing: at
    neither. different: other bytes, or bytes that cannot be read; *why* says more.
    """

    path: str
    verdict: Verdict
    sha256: str | None  #: the digest recomputed there
    why: str | None
    lies_at_destination: bool = False  #: whether the right bytes lie where they were sent


class VerifyResult(Struct, frozen=True, kw_only=True):
    """One verdict a file, in the order of the job."""

    results: list[VerifiedFile]
    seconds: float
    verify_at: str
    destination: str
    patience_hours: float
    marked: list[Marked]  #: far disks that were claimed, or were marked already


class CheckJob(Struct, frozen=True, kw_only=True):
    """What is not verified yet is to be."""

    attempt: int
    copies: VerifyJob


class CheckResult(Struct, frozen=True, kw_only=True):
    """What was found."""

    copies: VerifyResult


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> CheckJob:
    """The job for every file that is not verified yet."""
    return CheckJob(attempt=task.attempts, copies=verify_job(ledger, config, night, afresh=False))


def verify_job(ledger: Ledger, config: Config, night: Night, *, afresh: bool) -> VerifyJob:
    """The job for what is not verified yet, or *afresh* for every file of a night."""
    delivery = delivery_of(config, night)
    rows = deliveries.deliverables_of(ledger, night.id)
    if live.goes_on(ledger, night):  # of what is to be sent, some was
        rows = [row for row in rows if row.sent_us is not None]
    return VerifyJob(
        night=label(night),
        verify_at=str(delivery.safe_at(night.date)),
        destination=str(delivery.sent_to(night.date)),
        files=deliveries.plain(row for row in rows if afresh or row.verified_us is None),
        patience_hours=delivery.verify_after_hours,
        reach=reach_of(config, delivery),
        disks=disks_of(ledger, delivery, is_sent_to=False),
    )


def check(job: CheckJob) -> CheckResult:
    """Judge every file of a task."""
    return CheckResult(copies=work(job.copies))


def record(ledger: Ledger, task: Task, checked: CheckResult) -> str | None:
    """Keep the verdicts; return what is still awaited, None when all files are verified.

    What must be sent again is: the transfer becomes pending once more.
    """
    night, result = task.night, checked.copies
    unverified = keep_verdicts(ledger, night, result)
    if live.goes_on(ledger, get_night(ledger, night)):
        return _record_open(ledger, night, unverified, result)
    left = [row for row in deliveries.deliverables_of(ledger, night) if row.verified_us is None]
    if not unverified and left:  # listed, or made anew, since the question was asked
        return f"{len(left)} files are still to be verified, {left[0].path} first"
    if not unverified:
        _mark_verified(ledger, night)
        return None
    again = to_send_again(ledger, night, result)
    if again:
        deliveries.send_again(ledger, night, again)
        tasks.make_pending(ledger, night, [Stage.TRANSFER], f"{len(again)} files to be sent again")
    return _awaited(unverified, again, result)


def _record_open(
    ledger: Ledger, night: int, unverified: Sequence[VerifiedFile], result: VerifyResult
) -> str | None:
    """Of a night that goes on: what is right counts, the rest is sent again."""
    outputs.mark_verified(ledger, night, "same digest at the far end")
    if not unverified:
        return None
    again = to_send_again(ledger, night, result)
    deliveries.send_again(ledger, night, again)
    return _awaited(unverified, again, result)


def keep_verdicts(ledger: Ledger, night: int, result: VerifyResult) -> list[VerifiedFile]:
    """Keep what was found of each file; return those that are not verified."""
    results = result.results
    destination_markers.record(ledger, result.marked)
    deliveries.record_verdicts(ledger, night, results)
    if result.verify_at == result.destination:
        # Ours by the bytes, whoever put them there: if they rot, they are sent again.
        right = [
            (row.path, row.sha256)
            for row in results
            if row.verdict == "verified" and row.sha256 is not None
        ]
        remote_copies.record_published(ledger, night, result.destination, right)
    return [row for row in results if row.verdict != "verified"]


def to_send_again(ledger: Ledger, night: int, result: VerifyResult) -> list[str]:
    """The paths of the files that waiting alone will not bring to where they count as safe.

    Where files are moved on by somebody, one that is missing is given `patience_hours` from when
    it was sent, and so is one that lies right at the destination, whatever has its name now.
    """
    since_us = {row.path: row.sent_us for row in deliveries.deliverables_of(ledger, night)}
    latest_us = ledger.now_us() - round(result.patience_hours * HOUR_US)
    again = []
    for row in result.results:
        if row.verdict == "verified":
            continue
        if not _may_be_moved(row, result) or (since_us[row.path] or 0) <= latest_us:
            again.append(row.path)
    return again


def _may_be_moved(row: VerifiedFile, result: VerifyResult) -> bool:
    """Whether it may suffice that somebody moves the file on."""
    is_moved = result.verify_at != result.destination
    return is_moved and (row.verdict == "missing" or row.lies_at_destination)


def _awaited(unverified: Sequence[VerifiedFile], again: Sequence[str], result: VerifyResult) -> str:
    """What is wrong, in one sentence with the first file, and what is done about it."""
    first = next((row for row in unverified if row.path in again), unverified[0])
    verdict = {"elsewhere": "not yet there", "missing": "missing", "different": "different"}
    text = (
        f"{len(unverified)} files not verified at {result.verify_at}: "
        f"{first.path} is {verdict[first.verdict]}"
    )
    if first.lies_at_destination:
        text += f", and lies at {result.destination} to be moved on"
    if again and all(_may_be_moved(row, result) for row in unverified if row.path in again):
        hours = f"{result.patience_hours:g} h"
        return f"{text}; {len(again)} are sent again, for nobody moved them within {hours}"
    return f"{text}; {len(again)} are sent again" if again else text


def sent_too_often(ledger: Ledger, night: int) -> str | None:
    """Why sending again makes no sense any more; None while it does.

    What lies at the destination, and is not moved on, was sent well.
    """
    row = ledger.row(
        "select path, verdict, resends from deliverable where night = ? and verified_us is null"
        " and resends >= ? and verdict is not 'elsewhere' order by path limit 1",
        [night, _MOST_RESENDS],
    )
    if row is None:
        return None
    path, verdict, resends = row
    return f"{path} was sent {resends} times and is still {verdict} over there"


def _mark_verified(ledger: Ledger, night: int) -> None:
    outputs.mark_all_verified(ledger, night, "same digest at the far end")


def work(job: VerifyJob) -> VerifyResult:
    """Judge every file of *job* by the bytes that lie there now.

    RetryableError: the far side is unreachable, did not answer in time, or its disk is not the one
    that it was. OperatorError: it refuses, or its answer is not one that can be believed. Neither
    says anything about any file.
    """
    started = time.monotonic()
    safe, sent = Location.parse(job.verify_at), Location.parse(job.destination)
    job, marked = demand_disks(job)
    answers = store_of(job, safe).digests(job.files)
    results = {file.path: judge(file, answers[file.path]) for file in job.files}
    if safe != sent:
        _ask_destination(job, sent, results)
    return VerifyResult(
        results=[results[file.path] for file in job.files],
        seconds=time.monotonic() - started,
        verify_at=str(safe),
        destination=str(sent),
        patience_hours=job.patience_hours,
        marked=marked,
    )


def _ask_destination(job: VerifyJob, sent: Location, results: dict[str, VerifiedFile]) -> None:
    """Whether what is not right where it counts lies where it was sent.

    What is missing there gets the verdict on what lies at the destination.
    """
    wrong = [file for file in job.files if results[file.path].verdict != "verified"]
    answers = store_of(job, sent).digests(wrong)
    for file in wrong:
        there, found = judge(file, answers[file.path]), results[file.path]
        lies_there = there.verdict == "verified"
        if found.verdict == "missing":
            found = replace(there, verdict="elsewhere") if lies_there else there
        results[file.path] = replace(found, lies_at_destination=lies_there)


def judge(file: ListedFile, answer: FileDigest) -> VerifiedFile:
    """The verdict on *file* from what was said of it."""
    verdict: Verdict = "different"
    if answer.sha256 is not None and answer.sha256 == file.sha256:
        verdict = "verified"
    elif answer.why in ABSENT:
        verdict = "missing"
    return VerifiedFile(
        path=file.path,
        verdict=verdict,
        sha256=answer.sha256,
        why=answer.why,
    )


STAGE = StageHandler(prepare=prepare, work=check, result=CheckResult, record=record)
