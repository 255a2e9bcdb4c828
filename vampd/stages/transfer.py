"""Send the files that the ledger lists to the other machine.

They arrive in `.incoming/`, beside the nights' folders over there; their digests are recomputed
there; and only what is right gets its final name, which is never taken from another file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct, field
from msgspec.structs import replace

from vampd.errors import IntegrityError, OperatorError, VampdError
from vampd.io.beneath import Beneath, create_folders, night_folder
from vampd.io.listed_files import ListedFile, check_sizes
from vampd.io.publish import digest_file, write_bytes
from vampd.ledger import deliveries, destination_markers, live, remote_copies
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night, label
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.remote.answers import ABSENT, EXISTS, PUBLISHED
from vampd.remote.destination_marker import Marked
from vampd.remote.location import Location
from vampd.remote.store import FarJob, Store, batches
from vampd.remote.table import demand_disks, store_of
from vampd.settings.sections import Config
from vampd.stages import delivery_list, landing, night_records
from vampd.stages.destinations import delivery_of, disks_of, reach_of
from vampd.stages.handler import StageHandler
from vampd.stages.night_records import RecordsJob
from vampd.states import ErrorCode

log = logging.getLogger(__name__)

#: Why a file was set aside.
OLDER = "an older version, as vampd published it"
DAMAGED = "no longer what vampd published"


class TransferJob(FarJob, frozen=True, kw_only=True):
    """What a transfer needs to know."""

    folder: str  #: the night's folder, absolute
    destination: str  #: a place; the files go to its child *date*
    date: str  #: YYYYMMDD
    files: list[ListedFile]
    own: Sequence[str] = ()  #: paths under which vampd itself published a file there
    list_digests: bool = False  #: a list of the digests goes ahead: see `delivery_list`


class TransferResult(Struct, kw_only=True):
    """What was done so far. It proves nothing of the final names: only `verify` does."""

    sent: list[str] = field(default_factory=list)  #: by rsync; the others had arrived already
    published: list[ListedFile] = field(default_factory=list)  #: under their final names
    evidence: list[str] = field(default_factory=list)  #: names of all that was ever set aside
    marked: list[Marked] = field(default_factory=list)  #: far disks that have a marker by now
    bytes: int = 0  #: size of the files sent
    seconds: float = 0.0


class SendJob(Struct, frozen=True, kw_only=True):
    """The night's records, and what is not sent yet."""

    attempt: int
    place: str  #: where the files go, date included
    records: RecordsJob | None  #: None: a night that goes on has none yet
    transfer: TransferJob


class SendResult(Struct, frozen=True, kw_only=True):
    """What lies there now, as far as is known."""

    place: str
    done: TransferResult | None  #: None: it went wrong before anything was sent


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> SendJob:
    """The night's records, and the job for what is not sent yet.

    A night that goes on has no records yet; of its outputs some are sent, perhaps the newest first.
    """
    delivery = delivery_of(config, night)
    is_open = live.goes_on(ledger, night)
    records = None if is_open else night_records.prepare(ledger, night)
    if is_open:
        newest_first = delivery.order == "newest"
        unsent = deliveries.some_unsent(ledger, night.id, newest_first=newest_first)
    else:
        rows = deliveries.deliverables_of(ledger, night.id)
        unsent = [row for row in rows if row.sent_us is None]
    place = str(delivery.sent_to(night.date))
    transfer = TransferJob(
        night=label(night),
        folder=night.folder,
        destination=str(delivery.destination),
        date=night.date,
        files=deliveries.plain(unsent),
        own=sorted(remote_copies.own_copies(ledger, night.id, place)),
        bandwidth_kib=delivery.bandwidth_kib_per_second,
        bandwidth_by_time=delivery.bandwidth_by_time,
        list_digests=delivery.list_digests,
        reach=reach_of(config, delivery),
        disks=disks_of(ledger, delivery, is_sent_to=True),
    )
    return SendJob(attempt=task.attempts, place=place, records=records, transfer=transfer)


def send(job: SendJob) -> SendResult:
    """Write the records, then send what is to be sent."""
    if job.records is not None:
        night_records.write(job.records)
    try:
        return SendResult(place=job.place, done=work(job.transfer))
    except VampdError as error:
        error.progress = SendResult(place=job.place, done=error.progress)
        raise


def record(ledger: Ledger, task: Task, result: SendResult) -> None:
    """Note what lies under its final name. It counts for nothing until it is verified."""
    night, done = get_night(ledger, task.night), result.done
    if done is None:
        return
    destination_markers.record(ledger, done.marked)
    _record_evidence(ledger, night, result.place, done.evidence)
    deliveries.record_sent(ledger, night.id, [file.path for file in done.published])
    published = [(file.path, file.sha256) for file in done.published]
    remote_copies.record_published(ledger, night.id, result.place, published)


def _record_evidence(ledger: Ledger, night: Night, place: str, names: Sequence[str]) -> None:
    """Note what was set aside: an older version, or a copy that did not stay what it was."""
    own = remote_copies.own_copies(ledger, night.id, place)
    whys = {name: OLDER if landing.is_older_version(name, own) else DAMAGED for name in names}
    for name in remote_copies.record_evidence(ledger, night.id, place, whys):
        log.log(
            logging.INFO if whys[name] == OLDER else logging.ERROR,
            "%s: set aside at %s: %s: %s",
            label(night),
            place,
            name,
            whys[name],
            extra={"NIGHT": night.date},
        )


def work(job: TransferJob) -> TransferResult:
    """Bring *files* to `destination/date/`, under their paths relative to the night.

    1. Nothing is sent unless every file lies here with the size that the ledger lists, and the
       far folder is on the disk on which it was; the first delivery marks it.
    2. What lies there under the final names is digested, and `landing.decide` decides.
    3. Batch by batch, files arrive in `.incoming/date/`, are digested there, and published in
       the order of *files*: what is listed last (a manifest) gets its name last.
    4. Files in conflict with somebody else's are named at the end; the others have arrived.

    IntegrityError: a file here is damaged, or there is a conflict. RetryableError: the far side is
    unreachable, silent or full, or its disk is not there. OperatorError: it refuses (login, host
    key, permissions, missing folder), or other bytes arrive than were sent. The error's *progress*
    says what was done.
    """
    started = time.monotonic()
    done = TransferResult()
    try:
        _work(job, done)
    except VampdError as error:
        with suppress(VampdError):  # whatever is wrong has been said
            _list_evidence(job, done)
        error.progress = done
        raise
    size_of = {file.path: file.size_bytes for file in job.files}
    done.bytes = sum(size_of[path] for path in done.sent)
    done.seconds = time.monotonic() - started
    return done


def _work(job: TransferJob, done: TransferResult) -> None:
    # rsync skips what is no regular file, and calls that a success.
    check_sizes(night_folder(job.folder), job.files)
    job, done.marked = demand_disks(job)
    store, date = store_of(job, Location.parse(job.destination)), job.date
    there = store.digests(job.files, below=date)
    decided = landing.decide(job.files, there, frozenset(job.own))
    done.published += decided.lying
    conflicts = dict(decided.conflicts)
    tags = decided.tags
    if any(tags.values()):
        tags = landing.free_tags(tags, store.evidence(date))
    if job.list_digests:
        conflicts |= _bring_list(job, store, [*decided.lying, *decided.to_send])
    for batch in batches(decided.to_send):
        conflicts |= _bring(job, store, batch, tags, done)
    if conflicts:
        raise IntegrityError(_conflict_text(job, conflicts)).coded(ErrorCode.IN_THE_WAY)
    _list_evidence(job, done)


def _list_evidence(job: TransferJob, done: TransferResult) -> None:
    """What was set aside, by this transfer or by one that was killed, is asked for over there.

    Only copies of our own are ever set aside.
    """
    if job.own:
        store = store_of(job, Location.parse(job.destination))
        done.evidence = store.evidence(job.date)


def _bring(
    job: TransferJob,
    store: Store,
    files: Sequence[ListedFile],
    tags: Mapping[str, str],
    done: TransferResult,
) -> dict[str, str]:
    """Send some files, have them digested where they arrive, and publish those that are right.

    Returns the conflicts, by path: final names that were taken in the meantime.
    """
    _arrive(job, store, files, done)
    words = store.publish(job.date, {file.path: tags[file.path] for file in files})
    done.published += [file for file in files if words[file.path] == PUBLISHED]
    lost = [path for path, word in words.items() if word == ABSENT]
    if lost:
        msg = (
            f"{job.night}: {len(lost)} files had arrived right at {job.destination}, and are"
            f" no longer there, {lost[0]} first"
        )
        raise OperatorError(msg)
    return {path: "it appeared just now" for path, word in words.items() if word == EXISTS}


def _bring_list(job: TransferJob, store: Store, files: Sequence[ListedFile]) -> dict[str, str]:
    """Let the list of the digests of *files* lie there before them: `_bring` of it.

    It is nothing that the ledger lists: it comes out of what is sent.
    """
    if not files:
        return {}
    listed, content = delivery_list.list_of(files)
    path = listed.path
    there = store.digests([listed], below=job.date)
    if there[path].sha256 == listed.sha256:
        return {}
    with TemporaryDirectory(prefix="vampd-") as folder:
        night = night_folder(folder)
        create_folders(night, path.rpartition("/")[0])
        write_bytes(content, night / path)
        return _bring(replace(job, folder=folder), store, [listed], {path: ""}, TransferResult())


def _arrive(
    job: TransferJob, store: Store, files: Sequence[ListedFile], done: TransferResult
) -> None:
    """Let *files* arrive with their digests; what did not goes again, compared byte by byte."""
    wrong: Sequence[ListedFile] = files
    for afresh in (False, True):
        done.sent += store.receive(job.date, Path(job.folder), wrong, afresh=afresh)
        found = store.arrived(job.date, wrong)
        wrong = [file for file in wrong if found[file.path].sha256 != file.sha256]
        if not wrong:
            return
    _check_digests(night_folder(job.folder), wrong)
    msg = (
        f"{job.night}: all was sent, and {len(wrong)} of {len(files)} files did not arrive at "
        f"{job.destination} as they are here, {wrong[0].path} first; nothing of them was"
        " published"
    )
    raise OperatorError(msg)


def _check_digests(folder: Beneath, files: Iterable[ListedFile]) -> None:
    """IntegrityError: a file here is not what the ledger lists, so it cannot arrive as that."""
    for file in files:
        found = digest_file(folder / file.path)
        if found.sha256 != file.sha256:
            msg = (
                f"{folder / file.path} is no longer what was built: its digest is "
                f"{found.sha256}, and {file.sha256} in the ledger"
            )
            raise IntegrityError(msg)


def _conflict_text(job: TransferJob, conflicts: Mapping[str, str]) -> str:
    path, found = next(iter(conflicts.items()))
    place = Location.parse(job.destination).child(job.date)
    return (
        f"{job.night}: {len(conflicts)} files at {place} are not vampd's, and "
        f"not what is to be sent there; none was touched. First {path}: {found}. Move them "
        "away, or find out whose they are"
    )


STAGE = StageHandler(
    prepare=prepare, work=send, result=SendResult, record=record, record_progress=record
)
