"""Recompute the digest of every file at the far end.

Nothing else makes a file count as safe: no exit status, no size, no checksum card.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.io.place import Place
from vampd.io.process import run
from vampd.io.sha256sum import Answer, digest_command, parse_digests
from vampd.ledger import deliveries, outputs, tasks
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.nights import label
from vampd.stages.listed import ListedFile
from vampd.states import OutputState, Stage

# One batch is one connection; a lost one costs no more than this.
_BATCH_FILES = 500
_BATCH_BYTES = 16_000_000_000

# sha256sum reads at 500 MB/s and more; a far disk that does 10 is taken as stuck.
_SLOWEST_BYTES_PER_SECOND = 10_000_000
_LEAST_SECONDS = 300

# 500 files, each of which may be complained of in a line with its whole path.
_STDERR_BYTES = 4 << 20

# A file that was sent so often and still differs will differ the next time as well.
_MOST_RESENDS = 4

_ABSENT = frozenset({"No such file or directory", "Not a directory"})
_REFUSED = frozenset({"Permission denied", "Operation not permitted"})

Verdict = Literal["verified", "missing", "different", "elsewhere"]


class VerifyJob(TypedDict):
    """What a verification needs to know."""

    night: str  #: for messages, e.g. "archive 20251106"
    verify_at: str  #: the place where the night's files count as safe, date included
    destination: str  #: the place to which they were sent, date included
    files: list[ListedFile]
    ssh_options: NotRequired[list[str]]
    connect_timeout_seconds: NotRequired[int]


class VerifiedFile(TypedDict):
    """The verdict on one file.

    verified: the digest of the bytes at *verify_at* is the listed one. elsewhere: not yet
    there, but right at *destination*, from where somebody else moves it. missing: at
    neither. different: other bytes, or bytes that cannot be read; *why* says more.
    """

    path: str
    verdict: Verdict
    sha256: str | None  #: the digest recomputed there
    why: str | None


class VerifyResult(TypedDict):
    """One verdict a file, in the order of the job."""

    results: list[VerifiedFile]
    seconds: float


def prepare(
    ledger: Ledger, night: Row, verify_at: str, destination: str, ssh: Mapping[str, Any]
) -> dict[str, Any]:
    """The job for every file that is not verified yet."""
    rows = deliveries.deliverables_of(ledger, night["id"])
    return {
        "night": label(night),
        "verify_at": verify_at,
        "destination": destination,
        "files": deliveries.plain(row for row in rows if row["verified_us"] is None),
        **ssh,
    }


def record(ledger: Ledger, task: Row, result: Mapping[str, Any]) -> str | None:
    """Keep the verdicts; return what is still awaited, None when all files are verified.

    What is missing or different is sent again: the transfer becomes pending once more.
    """
    night = task["night"]
    deliveries.record_verdicts(ledger, night, result["results"])
    wrong = [row["path"] for row in result["results"] if row["verdict"] in {"missing", "different"}]
    if wrong:
        deliveries.send_again(ledger, night, wrong)
        tasks.make_pending(ledger, night, [Stage.TRANSFER], f"{len(wrong)} files to be sent again")
    unverified = [row for row in result["results"] if row["verdict"] != "verified"]
    if not unverified:
        _mark_verified(ledger, night)
        return None
    first = unverified[0]
    return f"{len(unverified)} files not verified: {first['path']} is {first['verdict']}"


def sent_too_often(ledger: Ledger, night: int) -> str | None:
    """Why sending again makes no sense any more; None while it does."""
    row = ledger.row(
        "select path, verdict, resends from deliverable where night = ? and verified_us is null"
        " and resends >= ? order by path limit 1",
        [night, _MOST_RESENDS],
    )
    if row is None:
        return None
    return f"{row['path']} was sent {row['resends']} times and is still {row['verdict']} over there"


def _mark_verified(ledger: Ledger, night: int) -> None:
    for output in outputs.outputs_of(ledger, night):
        ledger.update(
            "output",
            output["id"],
            state=OutputState.VERIFIED,
            **ledger.stamp("same digest at the far end"),
        )


def work(job: VerifyJob) -> VerifyResult:
    """Judge every file of *job* by the bytes that lie there now.

    RetryableError: the far side is unreachable, or did not answer in time. OperatorError:
    it refuses, or its answer is not one that can be believed. Neither says
    anything about any file.
    """
    started = time.monotonic()
    safe, sent = Place.parse(job["verify_at"]), Place.parse(job["destination"])
    results = {file["path"]: judge(file, ask) for file, ask in _ask(job, safe, job["files"])}
    missing = [file for file in job["files"] if results[file["path"]]["verdict"] == "missing"]
    if safe != sent:
        for file, answer in _ask(job, sent, missing):
            verdict = judge(file, answer)
            if verdict["verdict"] == "verified":
                verdict["verdict"] = "elsewhere"
            results[file["path"]] = verdict
    return {
        "results": [results[file["path"]] for file in job["files"]],
        "seconds": time.monotonic() - started,
    }


def judge(file: ListedFile, answer: Answer) -> VerifiedFile:
    """The verdict on *file* from what sha256sum said of it."""
    verdict: Verdict = "different"
    if answer.sha256 is not None and answer.sha256 == file["sha256"]:
        verdict = "verified"
    elif answer.why in _ABSENT:
        verdict = "missing"
    return {
        "path": file["path"],
        "verdict": verdict,
        "sha256": answer.sha256,
        "why": answer.why,
    }


def _ask(
    job: VerifyJob, place: Place, files: Sequence[ListedFile]
) -> Iterator[tuple[ListedFile, Answer]]:
    for batch in _batches(files):
        yield from zip(batch, _ask_batch(job, place, batch), strict=True)


def _ask_batch(job: VerifyJob, place: Place, files: Sequence[ListedFile]) -> list[Answer]:
    """sha256sum's answers for *files* below *place*, in their order; one connection."""
    names = [place.child(file["path"]).path for file in files]
    command = digest_command(
        place,
        ssh_options=job.get("ssh_options", []),
        connect_timeout_seconds=job.get("connect_timeout_seconds", 20),
    )
    size_bytes = sum(file["size_bytes"] for file in files)
    try:
        finished = run(
            command,
            stdin=b"".join(name.encode() + b"\0" for name in names),
            deadline_seconds=_LEAST_SECONDS + size_bytes / _SLOWEST_BYTES_PER_SECOND,
            stderr_limit_bytes=_STDERR_BYTES,
        )
        answers = parse_digests(finished, frozenset(names))
    except (OperatorError, RetryableError) as error:
        raise _naming(job, place, error) from error
    refused = [name for name in names if answers[name].why in _REFUSED]
    if refused:
        why = answers[refused[0]].why
        msg = f"{job['night']}: {why} for {len(refused)} files at {place}, {refused[0]} first"
        raise OperatorError(msg)
    return [answers[name] for name in names]


def _naming(job: VerifyJob, place: Place, error: VampdError) -> VampdError:
    return type(error)(f"verifying {job['night']} at {place}: {error}")


def _batches(files: Sequence[ListedFile]) -> Iterator[list[ListedFile]]:
    batch: list[ListedFile] = []
    size_bytes = 0
    for file in files:
        full = len(batch) == _BATCH_FILES or size_bytes + file["size_bytes"] > _BATCH_BYTES
        if batch and full:
            yield batch
            batch, size_bytes = [], 0
        batch.append(file)
        size_bytes += file["size_bytes"]
    if batch:
        yield batch
