"""The papers of a night: what was found and made, in words that need no vampd to read.

`night.log` travels with the night, and gets its name over there before any output does: it says
which frame ID belongs to which content. It says nothing of when it was written, so that the same
night gives the same bytes. `SHA256SUMS` lets `sha256sum -c` check raw and derived
files. What a lost ledger is made from again: see `vampd.stages.story`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from vampd.io.beneath import night_folder
from vampd.io.listed_files import ListedFile
from vampd.layout import OWN_FOLDER, of_batch
from vampd.ledger import deliveries, outputs
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import label
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import fetch_all
from vampd.stages import story
from vampd.stages.manifest import replace_file, write_checksums
from vampd.stages.story import StoryJob


def night_log_name(batch: int) -> str:
    """`.vampd/night.log`; that of the second batch: `.vampd/night.2.log`."""
    return of_batch(f"{OWN_FOLDER}/night.log", batch)


def list_night_log(ledger: Ledger, night: Night) -> str:
    """The text of the log of the night's batch, listed for the other machine."""
    text = "".join(f"{line}\n" for line in _night_log(ledger, night))
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    name = night_log_name(night.batch)
    deliveries.list_file(ledger, night.id, name, len(content), digest)
    return text


class RecordsJob(Struct, frozen=True, kw_only=True):
    """All records of a night are to be written."""

    folder: str  #: the night's folder, absolute
    night_log: str  #: its text
    night_log_name: str
    checksums: tuple[ListedFile, ...]
    story: StoryJob


def prepare(ledger: Ledger, night: Night) -> RecordsJob:
    """All that they say, but for what a worker reads of the ledger."""
    night_log = list_night_log(ledger, night)
    listed = deliveries.plain(deliveries.deliverables_of(ledger, night.id))
    raw_files = fetch_all(
        ListedFile,
        ledger,
        "select path, size_bytes, sha256 from raw_file where night = ? and state = 'whole'"
        " and sha256 is not null",
        [night.id],
    )
    return RecordsJob(
        folder=night.folder,
        night_log=night_log,
        night_log_name=night_log_name(night.batch),
        checksums=(*listed, *raw_files),
        story=story.prepare_records(ledger, night),
    )


def write(job: RecordsJob) -> None:
    """Write them, each in place of an older one."""
    folder = night_folder(job.folder)
    replace_file(folder, job.night_log_name, job.night_log.encode())
    story.write_story(job.story)
    write_checksums(folder, job.checksums)


def _night_log(ledger: Ledger, night: Night) -> Iterator[str]:
    batch = [night.id, night.batch]
    supplement = f" (batch {night.batch})" if night.batch > 1 else ""
    yield f"{label(night)}{supplement}: what the cameras wrote, and what vampd made of it"
    query = "select * from raw_file where night = ? and batch = ? order by path"
    files = fetch_all(RawFile, ledger, query, batch)
    # Others' files come and go; the log of the same night stays the same.
    kinds = Counter((row.role, row.state) for row in files if row.state not in {"gone", "ignored"})
    for (role, state), count in sorted(kinds.items()):
        yield f"{count} files: {role}, {state}"
    for row in files:
        if row.state in {"quarantined", "late"}:
            yield f"{row.state}: {row.path}: {row.reason}"
    yield from _rejected(ledger, night)
    for stage, text in ledger.execute(
        "select distinct stage, text from report where night = ? and batch = ?"
        " order by stage, text",
        batch,
    ):
        yield f"{stage}: {text}"
    for made in outputs.outputs_of_batch(ledger, night.id):
        kind = "synchronised" if made.synchronised else "solo"
        flc_state = f" {made.flc_state}" if made.flc_state else ""
        yield (
            f"made: {outputs.file_name(made)} = {made.name}, camera {made.camera},"
            f" {kind}{flc_state}, {made.frames} frames, SHA-256 {made.sha256},"
            f" content {made.content_key}"
        )


def _rejected(ledger: Ledger, night: Night) -> Iterator[str]:
    for path, first, step, count, reason in ledger.execute(
        "select path, first, step, count, segment.reason from segment join raw_file"
        " on raw_file.id = segment.raw_file where segment.night = ? and segment.batch = ?"
        " and output is null order by raw_file.path, first",
        [night.id, night.batch],
    ):
        last = first + step * (count - 1)
        yield f"rejected: {path} frames {first} to {last}: {reason}"
