"""Send the files that the ledger lists to the other machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, TypedDict

from vampd.io import rsync
from vampd.io.place import Place
from vampd.io.process import run
from vampd.ledger import deliveries
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.nights import label
from vampd.stages import papers
from vampd.stages.listed import ListedFile, check_sizes

# Deadlines must be longer than any honest transfer: a far disk busy with cameras' data
# was taken as 10 MB/s, a poor link as 1 MB/s.
_SLOW_DISK_BYTES_PER_SECOND = 10_000_000
_SLOW_LINK_BYTES_PER_SECOND = 1_000_000
_LEAST_SECONDS = 600


class TransferJob(TypedDict):
    """What a transfer needs to know."""

    night: str  #: for messages, e.g. "archive 20251106"
    folder: str  #: the night's folder, absolute
    destination: str  #: a place; the files go to its child *date*
    date: str  #: YYYYMMDD
    files: list[ListedFile]
    resend: NotRequired[bool]  #: these did not verify: trust neither size nor time over there
    ssh_options: NotRequired[list[str]]  #: words for ssh, e.g. ["-i", "/etc/vampd/key"]
    connect_timeout_seconds: NotRequired[int]
    bandwidth_kib: NotRequired[int | None]  #: KiB a second; None or 0 is no limit
    deadline_seconds: NotRequired[float | None]  #: for each run of rsync; None grows with bytes


class TransferResult(TypedDict):
    """What was done. It proves nothing: only `verify` does."""

    sent: list[str]  #: files that rsync sent; the others lay there already
    bytes: int  #: size of the files sent
    seconds: float


def prepare(ledger: Ledger, night: Row, destination: str, ssh: Mapping[str, Any]) -> dict[str, Any]:
    """The night's papers, and a job each for what goes the first time and what goes again.

    *ssh* holds `ssh_options` and `connect_timeout_seconds`.
    """
    night_papers = papers.prepare(ledger, night)
    unsent = [
        row for row in deliveries.deliverables_of(ledger, night["id"]) if row["sent_us"] is None
    ]
    common = {
        "night": label(night),
        "folder": night["folder"],
        "destination": destination,
        "date": night["date"],
        **ssh,
    }
    jobs = [
        {**common, "files": deliveries.plain(rows), "resend": again}
        for again in (False, True)
        if (rows := [row for row in unsent if (row["resends"] > 0) is again])
    ]
    return {"papers": night_papers, "jobs": jobs}


def send(job: Mapping[str, Any]) -> list[str]:
    """Write the papers, then send what is to be sent; return the paths gone over."""
    papers.work(job["papers"])
    for each in job["jobs"]:
        work(each)
    return [file["path"] for each in job["jobs"] for file in each["files"]]


def record(ledger: Ledger, task: Row, paths: Sequence[str]) -> None:
    """Note what was sent. It counts for nothing until it is verified."""
    deliveries.record_sent(ledger, task["night"], paths)


def work(job: TransferJob) -> TransferResult:
    """Bring *files* to `destination/date/`, under their paths relative to the night.

    Folders go in the order in which *files* first names them, so that what is listed last
    (a manifest) arrives last; within a folder rsync has its own order.
    Nothing is sent unless every file lies here with the size that the ledger lists.

    IntegrityError: one does not. RetryableError: the far side is unreachable, silent or
    full. OperatorError: it refuses (login, host key, permissions, missing folder).
    """
    started = time.monotonic()
    folder = Path(job["folder"])
    # rsync skips what is no regular file, and calls that a success.
    check_sizes(folder, job["files"])
    place = Place.parse(job["destination"]).child(job["date"])
    sent: list[str] = []
    for batch in _by_folder(job["files"]):
        sent += _send(job, folder, place, batch)
    size_of = {file["path"]: file["size_bytes"] for file in job["files"]}
    return {
        "sent": sent,
        "bytes": sum(size_of[path] for path in sent),
        "seconds": time.monotonic() - started,
    }


def _by_folder(files: Sequence[ListedFile]) -> list[list[ListedFile]]:
    order: dict[str, int] = {}
    for file in files:
        order.setdefault(str(PurePosixPath(file["path"]).parent), len(order))

    def place_in_order(file: ListedFile) -> int:
        return order[str(PurePosixPath(file["path"]).parent)]

    return [list(batch) for _, batch in groupby(sorted(files, key=place_in_order), place_in_order)]


def _send(job: TransferJob, folder: Path, place: Place, files: Sequence[ListedFile]) -> list[str]:
    """One run of rsync. Returns the paths that it says it sent."""
    paths = {file["path"] for file in files}
    sent: list[str] = []

    def note(line: bytes) -> None:
        name = line.decode(errors="replace")
        if name in paths:
            sent.append(name)

    resend = job.get("resend", False)
    finished = run(
        rsync.rsync_command(
            folder,
            place,
            ssh_options=job.get("ssh_options", []),
            connect_timeout_seconds=job.get("connect_timeout_seconds", 20),
            compare_contents=resend,
            bandwidth_kib=job.get("bandwidth_kib"),
        ),
        stdin=rsync.file_list(sorted(paths)),
        on_line=note,
        deadline_seconds=job.get("deadline_seconds") or _deadline_seconds(job, files),
        idle_seconds=_idle_seconds(files, resend=resend),
    )
    if finished.code != 0:
        wrong = rsync.classify(finished.code, finished.stderr_tail)
        words = finished.stderr_tail or "(it said nothing; a full disk over there is likeliest)"
        msg = f"rsync of {job['night']} exited {finished.code}:\n{words}"
        raise wrong(msg)
    return sent


def _deadline_seconds(job: TransferJob, files: Sequence[ListedFile]) -> float:
    slowest = _SLOW_LINK_BYTES_PER_SECOND
    limit_kib = job.get("bandwidth_kib")
    if limit_kib:
        slowest = min(slowest, limit_kib * 1024 // 2)
    return _LEAST_SECONDS + sum(file["size_bytes"] for file in files) / slowest


def _idle_seconds(files: Sequence[ListedFile], *, resend: bool) -> float:
    """How long an honest rsync may be silent.

    It reports every second while it sends, and nothing while a side reads a file that
    lies there already: one at a time, or all of them when contents are compared.
    """
    sizes = [file["size_bytes"] for file in files]
    silent_bytes = sum(sizes) if resend else max(sizes)
    return _LEAST_SECONDS + silent_bytes / _SLOW_DISK_BYTES_PER_SECOND
