"""Send the files that the ledger lists to the other machine.

They arrive in `.incoming/`, beside the nights' folders over there; their digests are recomputed
there; and only what is right gets its final name, which is never taken from another file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NotRequired, TypedDict

from vampd.errors import IntegrityError, OperatorError, VampdError
from vampd.io.beneath import Beneath, create_folders, lent, night_folder, opened_folder
from vampd.io.listed_files import ListedFile, check_sizes
from vampd.io.process import run
from vampd.io.publish import digest_file, write_bytes
from vampd.ledger import deliveries, destination_markers, live, remote_copies
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night, label
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.remote import commands as remote
from vampd.remote import rsync
from vampd.remote import store as remote_store
from vampd.remote.commands import Reach
from vampd.remote.destination_marker import Marked
from vampd.remote.failures import check_done
from vampd.remote.location import Location
from vampd.remote.store import FarJob
from vampd.stages import delivery_list, landing, night_records
from vampd.states import ErrorCode

log = logging.getLogger(__name__)

#: Why a file was set aside.
OLDER = "an older version, as vampd published it"
DAMAGED = "no longer what vampd published"

# Deadlines must be longer than any honest transfer: a far disk busy with cameras' data
# was taken as 10 MB/s, a poor link as 1 MB/s.
_SLOW_LINK_BYTES_PER_SECOND = 1_000_000
_LEAST_SECONDS = 600


class TransferJob(FarJob):
    """What a transfer needs to know."""

    folder: str  #: the night's folder, absolute
    destination: str  #: a place; the files go to its child *date*
    date: str  #: YYYYMMDD
    files: list[ListedFile]
    own: NotRequired[list[str]]  #: paths under which vampd itself published a file there
    bandwidth_kib: NotRequired[int | None]  #: KiB a second; None or 0 is no limit
    deadline_seconds: NotRequired[float | None]  #: for each run of rsync; None grows with bytes
    list_digests: NotRequired[bool]  #: a list of the digests goes ahead: see `delivery_list`


class TransferResult(TypedDict):
    """What was done. It proves nothing of the final names: only `verify` does."""

    sent: list[str]  #: files that rsync sent; the others had arrived already
    published: list[ListedFile]  #: lie there under their final names, as far as is known
    evidence: list[str]  #: names, below .evidence/YYYYMMDD, of all that was ever set aside
    marked: list[Marked]  #: far disks that were claimed, or were marked already
    bytes: int  #: size of the files sent
    seconds: float


def prepare(
    ledger: Ledger,
    night: Night,
    destination: str,
    reach: Mapping[str, Any],
    *,
    newest_first: bool = False,
) -> dict[str, Any]:
    """The night's papers, and the job for what is not sent yet.

    *reach* holds how the far end is reached: see `FarJob`; and perhaps `bandwidth_kib`. A night
    that goes on has no papers yet; of its outputs some are sent, perhaps the *newest_first*.
    """
    is_open = live.goes_on(ledger, night)
    night_papers = None if is_open else night_records.prepare(ledger, night)
    if is_open:
        unsent = deliveries.some_unsent(ledger, night["id"], newest_first=newest_first)
    else:
        rows = deliveries.deliverables_of(ledger, night["id"])
        unsent = [row for row in rows if row["sent_us"] is None]
    place = str(Location.parse(destination).child(night["date"]))
    job = {
        "night": label(night),
        "folder": night["folder"],
        "destination": destination,
        "date": night["date"],
        "files": deliveries.plain(unsent),
        "own": sorted(remote_copies.own_copies(ledger, night["id"], place)),
        **reach,
    }
    return {"papers": night_papers, "place": place, "job": job}


def send(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write the papers, then send what is to be sent."""
    if job["papers"] is not None:
        night_records.work(job["papers"])
    try:
        return {"place": job["place"], **work(job["job"])}
    except VampdError as error:
        error.progress = {"place": job["place"], **(error.progress or {})}
        raise


def record(ledger: Ledger, task: Task, result: Mapping[str, Any]) -> None:
    """Note what lies under its final name. It counts for nothing until it is verified."""
    night = get_night(ledger, task.night)
    published, place = result.get("published", []), result["place"]
    destination_markers.record(ledger, result.get("marked", []))
    _record_evidence(ledger, night, place, result.get("evidence", []))
    deliveries.record_sent(ledger, night["id"], [file["path"] for file in published])
    remote_copies.record_published(ledger, night["id"], place, published)


def _record_evidence(ledger: Ledger, night: Night, place: str, names: Sequence[str]) -> None:
    """Note what was set aside: an older version, or a copy that did not stay what it was."""
    own = remote_copies.own_copies(ledger, night["id"], place)
    whys = {name: OLDER if landing.is_older_version(name, own) else DAMAGED for name in names}
    for name in remote_copies.record_evidence(ledger, night["id"], place, whys):
        log.log(
            logging.INFO if whys[name] == OLDER else logging.ERROR,
            "%s: set aside in %s/%s: %s: %s",
            label(night),
            remote.EVIDENCE,
            night["date"],
            name,
            whys[name],
            extra={"NIGHT": night["date"]},
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
    done = _nothing()
    try:
        _work(job, done)
    except VampdError as error:
        with suppress(VampdError):  # whatever is wrong has been said
            _list_evidence(job, done)
        error.progress = done
        raise
    size_of = {file["path"]: file["size_bytes"] for file in job["files"]}
    done["bytes"] = sum(size_of[path] for path in done["sent"])
    done["seconds"] = time.monotonic() - started
    return done


def _nothing() -> TransferResult:
    return {
        "sent": [],
        "published": [],
        "evidence": [],
        "marked": [],
        "bytes": 0,
        "seconds": 0.0,
    }


def _work(job: TransferJob, done: TransferResult) -> None:
    # rsync skips what is no regular file, and calls that a success.
    check_sizes(night_folder(job["folder"]), job["files"])
    base = Location.parse(job["destination"])
    done["marked"] = remote_store.demand_disks(job)
    there = remote_store.digests(job, base.child(job["date"]), job["files"])
    decided = landing.decide(job["files"], there, frozenset(job.get("own", [])))
    done["published"] += decided.lying
    conflicts = dict(decided.conflicts)
    tags = decided.tags
    if any(tags.values()):
        tags = landing.free_tags(tags, remote_store.evidence(job, base, job["date"]))
    if job.get("list_digests"):
        conflicts |= _bring_list(job, base, [*decided.lying, *decided.to_send])
    for batch in remote_store.batches(decided.to_send):
        conflicts |= _bring(job, base, batch, tags, done)
    if conflicts:
        raise IntegrityError(_conflict_text(job, base, conflicts)).coded(ErrorCode.IN_THE_WAY)
    _list_evidence(job, done)


def _list_evidence(job: TransferJob, done: TransferResult) -> None:
    """What was set aside, by this transfer or by one that was killed, is asked for over there.

    Only copies of our own are ever set aside.
    """
    if job.get("own"):
        done["evidence"] = remote_store.evidence(
            job, Location.parse(job["destination"]), job["date"]
        )


def _bring(
    job: TransferJob,
    base: Location,
    files: Sequence[ListedFile],
    tags: Mapping[str, str],
    done: TransferResult,
) -> dict[str, str]:
    """Send some files, have them digested where they arrive, and publish those that are right.

    Returns the conflicts, by path: final names that were taken in the meantime.
    """
    remote_store.prepare(job, base, job["date"])  # it goes when all that arrived was published
    _arrive(job, base, files, done)
    words = remote_store.publish(
        job, base, job["date"], {file["path"]: tags[file["path"]] for file in files}
    )
    done["published"] += [file for file in files if words[file["path"]] == remote.PUBLISHED]
    lost = [path for path, word in words.items() if word == remote.ABSENT]
    if lost:
        msg = (
            f"{job['night']}: {len(lost)} files were right at"
            f" {remote.incoming(base, job['date'])}, and are no longer there, {lost[0]} first"
        )
        raise OperatorError(msg)
    return {path: "it appeared just now" for path, word in words.items() if word == remote.EXISTS}


def _bring_list(job: TransferJob, base: Location, files: Sequence[ListedFile]) -> dict[str, str]:
    """Let the list of the digests of *files* lie there before them: `_bring` of it.

    It is nothing that the ledger lists: it comes out of what is sent.
    """
    if not files:
        return {}
    listed, content = delivery_list.list_of(files)
    path = listed["path"]
    there = remote_store.digests(job, base.child(job["date"]), [listed])
    if there[path].sha256 == listed["sha256"]:
        return {}
    with TemporaryDirectory(prefix="vampd-") as folder:
        night = night_folder(folder)
        create_folders(night, path.rpartition("/")[0])
        write_bytes(content, night / path)
        own_job: TransferJob = {**job, "folder": folder}
        return _bring(own_job, base, [listed], {path: ""}, _nothing())


def _arrive(
    job: TransferJob, base: Location, files: Sequence[ListedFile], done: TransferResult
) -> None:
    """Let *files* lie at `.incoming/date/` with their digests.

    rsync takes a file of the right size and time for the right one; what is not, goes again, with
    its contents compared.
    """
    arriving = remote.incoming(base, job["date"])
    wrong: Sequence[ListedFile] = files
    for compare_contents in (False, True):
        done["sent"] += _send(job, arriving, wrong, compare_contents=compare_contents)
        found = remote_store.digests(job, arriving, wrong)
        wrong = [file for file in wrong if found[file["path"]].sha256 != file["sha256"]]
        if not wrong:
            return
    _check_digests(night_folder(job["folder"]), wrong)
    msg = (
        f"{job['night']}: rsync exited 0, and {len(wrong)} of {len(files)} files did not arrive at "
        f"{arriving} as they are here, {wrong[0]['path']} first; nothing of them was published"
    )
    raise OperatorError(msg)


def _check_digests(folder: Beneath, files: Iterable[ListedFile]) -> None:
    """IntegrityError: a file here is not what the ledger lists, so it cannot arrive as that."""
    for file in files:
        found = digest_file(folder / file["path"])
        if found.sha256 != file["sha256"]:
            msg = (
                f"{folder / file['path']} is no longer what was built: its digest is "
                f"{found.sha256}, and {file['sha256']} in the ledger"
            )
            raise IntegrityError(msg)


def _conflict_text(job: TransferJob, base: Location, conflicts: Mapping[str, str]) -> str:
    path, found = next(iter(conflicts.items()))
    return (
        f"{job['night']}: {len(conflicts)} files at {base.child(job['date'])} are not vampd's, and "
        f"not what is to be sent there; none was touched. First {path}: {found}. Move them "
        "away, or find out whose they are"
    )


def _send(
    job: TransferJob, place: Location, files: Sequence[ListedFile], *, compare_contents: bool
) -> list[str]:
    """One run of rsync for each folder. Returns the paths that it says it sent.

    rsync is lent the folder itself, and names that lead nowhere from there: no link that takes a
    folder's place meanwhile makes it read anything else.
    """
    sent: list[str] = []
    by_folder: dict[str, list[ListedFile]] = {}
    for file in files:
        by_folder.setdefault(file["path"].rpartition("/")[0], []).append(file)
    night = night_folder(job["folder"])
    for folder, some in by_folder.items():
        target = place.child(folder) if folder else place
        with opened_folder(night / folder if folder else night) as descriptor:
            names = _send_folder(job, descriptor, target, some, compare_contents=compare_contents)
        sent += [f"{folder}/{name}" if folder else name for name in names]
    return sent


def _send_folder(
    job: TransferJob,
    folder: int,
    place: Location,
    files: Sequence[ListedFile],
    *,
    compare_contents: bool,
) -> list[str]:
    """Send *files*, which lie in the open *folder*; the names that rsync says it sent."""
    names = {file["path"].rpartition("/")[2] for file in files}
    sent: list[str] = []

    def note(line: bytes) -> None:
        name = line.decode(errors="replace")
        if name in names:
            sent.append(name)

    reach = Reach.of(job)
    finished = run(
        rsync.rsync_command(
            Path(lent(folder)),
            place,
            ssh_options=reach.ssh_options,
            connect_timeout_seconds=reach.connect_timeout_seconds,
            compare_contents=compare_contents,
            bandwidth_kib=job.get("bandwidth_kib"),
            hide_words=not reach.has_helper(place),
        ),
        stdin=rsync.file_list(sorted(names)),
        on_line=note,
        deadline_seconds=job.get("deadline_seconds") or _deadline_seconds(job, files),
        idle_seconds=_idle_seconds(files, compare_contents=compare_contents),
        lend=[folder],
    )
    check_done(finished, f"rsync of {job['night']}", "rsync")
    return sent


def _deadline_seconds(job: TransferJob, files: Collection[ListedFile]) -> float:
    slowest = _SLOW_LINK_BYTES_PER_SECOND
    limit_kib = job.get("bandwidth_kib")
    if limit_kib:
        slowest = min(slowest, limit_kib * 1024 // 2)
    return _LEAST_SECONDS + sum(file["size_bytes"] for file in files) / slowest


def _idle_seconds(files: Collection[ListedFile], *, compare_contents: bool) -> float:
    """How long an honest rsync may be silent.

    It reports every second while it sends, and nothing while a side reads a file that
    lies there already: one at a time, or all of them when contents are compared.
    """
    sizes = [file["size_bytes"] for file in files]
    silent_bytes = sum(sizes) if compare_contents else max(sizes)
    return _LEAST_SECONDS + silent_bytes / remote_store.SLOWEST_BYTES_PER_SECOND
