"""The far end's answers, for the stages that send there and verify there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from vampd.errors import FarDiskError, OperatorError, RetryableError
from vampd.io.listed_files import ListedFile
from vampd.io.process import Finished, run
from vampd.remote import commands as remote
from vampd.remote import destination_marker
from vampd.remote.commands import FarDisk, Reach
from vampd.remote.destination_marker import Disk, Marked
from vampd.remote.digests import FileDigest, digest_command, parse_digests
from vampd.remote.failures import check_done
from vampd.remote.location import Location
from vampd.states import ErrorCode

# One batch is one connection; a lost one costs no more than this.
_BATCH_FILES = 500
_BATCH_BYTES = 16_000_000_000

# sha256sum reads at 500 MB/s and more; a far disk that does 10 is taken as stuck.
SLOWEST_BYTES_PER_SECOND = 10_000_000
_LEAST_SECONDS = 300

# 500 files, each of which may be complained of in a line with its whole path.
_STDERR_BYTES = 4 << 20

#: What a far program says of a file that is not there.
ABSENT = frozenset({"No such file or directory", "Not a directory"})
_REFUSED = frozenset({"Permission denied", "Operation not permitted"})


class FarJob(TypedDict):
    """What every job that reaches the far end says of it."""

    night: str  #: for messages, e.g. "archive 20251106"
    ssh_options: NotRequired[list[str]]  #: words for ssh, e.g. ["-i", "/etc/vampd/key"]
    connect_timeout_seconds: NotRequired[int]
    far_helper: NotRequired[str]  #: how vampd-remote is called there; "": coreutils do its work
    disks: NotRequired[list[Disk]]  #: of the far folders; what is not named is not looked after


def digests(
    job: Mapping[str, Any], place: Location, files: Sequence[ListedFile]
) -> dict[str, FileDigest]:
    """What each of *files* below *place* holds now, by path: digests recomputed there.

    RetryableError: the far end is unreachable, or did not answer in time. OperatorError: it
    refuses, or its answer is not one that can be believed. Neither says anything about any file.
    """
    answers: dict[str, FileDigest] = {}
    for batch in batches(files):
        answers |= _digests_of_batch(job, place, batch)
    return answers


def _digests_of_batch(
    job: Mapping[str, Any], place: Location, files: Sequence[ListedFile]
) -> dict[str, FileDigest]:
    names = {file["path"]: place.child(file["path"]).path for file in files}
    guards = list(destination_marker.guards(job, place))
    asked = [*names.values(), *(guard.name for guard in guards)]
    size_bytes = sum(file["size_bytes"] for file in files)
    try:
        finished = run(
            digest_command(place, Reach.of(job)),
            stdin=b"".join(name.encode() + b"\0" for name in asked),
            deadline_seconds=_LEAST_SECONDS + size_bytes / SLOWEST_BYTES_PER_SECOND,
            stderr_limit_bytes=_STDERR_BYTES,
        )
        answers = parse_digests(finished, frozenset(asked))
        for guard in guards:
            guard.check(answers)
    except (OperatorError, RetryableError) as error:
        msg = f"verifying {job['night']} at {place}"
        raise error.about(msg) from error
    refused = [name for name in names.values() if answers[name].why in _REFUSED]
    if refused:
        why = answers[refused[0]].why
        msg = f"{job['night']}: {why} for {len(refused)} files at {place}, {refused[0]} first"
        raise OperatorError(msg).coded(ErrorCode.NO_RIGHTS)
    return {path: answers[name] for path, name in names.items()}


def demand_disks(job: Mapping[str, Any]) -> list[Marked]:
    """The markers of far disks that have one now, and of which the ledger did not know.

    Each disk of the job that may be claimed is, if it is evidently there; *job* knows its marker
    from then on. RetryableError: nothing tells that it is there, so that nothing may be sent there.
    """
    marked = []
    for disk in job.get("disks", []):
        if disk["marker"] is None and disk.get("may_claim"):
            place = Location.parse(disk["place"])
            found, why = destination_marker.look(job, place), "its marker was there"
            if found.marker is None:
                why = _why_it_is_there(job, disk, found)
                found = destination_marker.claim(job, place)
            assert found.marker is not None
            disk["marker"] = found.marker
            marked.append(Marked(place=disk["place"], marker=found.marker, why=why))
    return marked


def _why_it_is_there(job: Mapping[str, Any], disk: Disk, found: FarDisk) -> str:
    copies = disk.get("copies", [])
    answers = digests(job, Location.parse(disk["place"]), copies)
    right = sum(answers[copy["path"]].sha256 == copy["sha256"] for copy in copies)
    why = destination_marker.why_it_is_there(disk, found, right)
    if why is None:
        text = destination_marker.absent_text(disk["place"], has_another=False)
        raise FarDiskError(text)
    return why


def prepare(job: Mapping[str, Any], base: Location, date: str) -> None:
    """Make the folder at *base* in which the night *date* arrives. OperatorError: no *base*."""
    finished = _ask(job, base, remote.prepare_command(base, date, Reach.of(job)))
    check_done(finished, f"making {remote.incoming(base, date)} for {job['night']}")


def publish(
    job: Mapping[str, Any], base: Location, date: str, tags: Mapping[str, str]
) -> dict[str, str]:
    """Give what arrived its final name; return far's word for each path of *tags*.

    A path whose tag is not "" may free its name: see `far.publish_command`.
    """
    answers: dict[str, str] = {}
    paths = list(tags)
    for first in range(0, len(paths), _BATCH_FILES):
        some = {path: tags[path] for path in paths[first : first + _BATCH_FILES]}
        command = remote.publish_command(base, date, Reach.of(job))
        finished = _ask(job, base, command, remote.publish_list(some))
        answers |= _naming(job, base, finished, some)
    return answers


def _naming(
    job: Mapping[str, Any], base: Location, finished: Finished, paths: Collection[str]
) -> dict[str, str]:
    try:
        return remote.parse_published(finished, paths)
    except (OperatorError, RetryableError) as error:
        msg = f"publishing {job['night']} at {base}"
        raise error.about(msg) from error


def evidence(job: Mapping[str, Any], base: Location, date: str) -> list[str]:
    """The names of all files of the night that were ever set aside at *base*."""
    return remote.parse_evidence(
        _ask(job, base, remote.evidence_command(base, date, Reach.of(job)))
    )


def _ask(
    job: Mapping[str, Any], base: Location, command: Sequence[str], stdin: bytes = b""
) -> Finished:
    try:
        return run(
            command, stdin=stdin, deadline_seconds=_LEAST_SECONDS, stderr_limit_bytes=_STDERR_BYTES
        )
    except (OperatorError, RetryableError) as error:
        msg = f"{job['night']} at {base}"
        raise error.about(msg) from error


def batches(files: Sequence[ListedFile]) -> Iterator[list[ListedFile]]:
    """*files* in their order, in lists of which a lost connection costs no more than one."""
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
