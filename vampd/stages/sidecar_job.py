"""The sidecar of a night: what a worker must know to make it, and what the ledger keeps of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from vampd.io.listed_files import ListedFile
from vampd.layout import SCRATCH_FOLDER, sidecar_path
from vampd.ledger import deliveries, files, outputs
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile, SegmentRow
from vampd.ledger.reports import add_reports
from vampd.ledger.rows import fetch_all, fetch_each
from vampd.records import FileIdentity, Report
from vampd.settings.sections import Disk
from vampd.states import FileState, Stage

#: The unit of the stage build that makes it; others are named after their cube and camera.
UNIT = "sidecar"

Stored = Literal["text", "cube", "whole"]
Extent = tuple[int, int, int]  #: first, step, count
Placed = tuple[str, int, int, int, int]  #: output's name, position in it, first, step, count


class SidecarFile(Struct, frozen=True, kw_only=True):
    """A raw file of which something is in the sidecar."""

    path: str
    state: FileState
    who: FileIdentity
    sha256: str | None
    stored: Stored  #: how: see `vampd.stages.sidecar`
    frame_bytes: int = 0  #: of a cube
    segments: tuple[Placed, ...] = ()  #: of a cube: where its frames are in outputs
    kept: tuple[Extent, ...] = ()  #: of a cube: frames that are in none


class SidecarJob(Struct, frozen=True, kw_only=True):
    """The sidecar of one batch."""

    attempt: int
    night: str  #: the night's folder, absolute
    scratch: str  #: folder in the night
    place: str | None = None  #: its own folder in there, made for it: see `attempt_folder`
    kind: str
    date: str
    batch: int
    listed: str | None  #: SHA-256 of one that is listed already
    quarantined_bytes: float = math.inf  #: that quarantined files may take
    keep_free_bytes: float = 0.0  #: that must stay free on the disk
    files: tuple[SidecarFile, ...]  #: by path

    @property
    def unit(self) -> str:
        """Of what this is an attempt."""
        return f"{UNIT}_{self.batch}"


class DigestedFile(Struct, frozen=True, kw_only=True):
    """A file that is stored whole."""

    path: str
    sha256: str
    who: FileIdentity


class SidecarResult(Struct, frozen=True, kw_only=True):
    """What was published."""

    sidecar: ListedFile
    digests: tuple[DigestedFile, ...] = ()  #: of files stored whole
    reports: tuple[str, ...] = ()  #: which others are not in it


class _Ranges(Struct, kw_only=True):
    """Where the frames of a raw cube are."""

    segments: list[Placed] = field(default_factory=list)
    kept: list[Extent] = field(default_factory=list)


def prepare(ledger: Ledger, night: Night, disk: Disk, *, attempt: int) -> SidecarJob:
    """The job of a night's batch."""
    rows = fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and batch = ? and role != 'other'"
        " and state in ('whole', 'quarantined') and id not in (select raw_file from given_up)"
        " order by path",
        [night.id, night.batch],
    )
    ranges = _ranges(ledger, night)
    sizes = ledger.execute(
        "select raw_file, 2 * width * height from cube join raw_file"
        " on raw_file.id = cube.raw_file where night = ? and batch = ?",
        [night.id, night.batch],
    )
    frame_bytes = dict(sizes.fetchall())
    listed = ledger.value(
        "select sha256 from deliverable where night = ? and path = ?",
        [night.id, sidecar_path(night.batch)],
    )
    return SidecarJob(
        attempt=attempt,
        night=night.folder,
        scratch=SCRATCH_FOLDER,
        kind=night.kind,
        date=night.date,
        batch=night.batch,
        listed=listed,
        quarantined_bytes=disk.quarantined_gb * 1e9,
        keep_free_bytes=disk.keep_free_gb * 1e9,
        files=tuple(_file(row, ranges[row.id], frame_bytes.get(row.id, 0)) for row in rows),
    )


def record(ledger: Ledger, night: Night, result: SidecarResult) -> None:
    """List the sidecar for the other machine; keep the digests of the files in it."""
    made = result.sidecar
    deliveries.list_file(ledger, night.id, made.path, made.size_bytes, made.sha256)
    for file in result.digests:
        files.record_digest(ledger, night.id, file.path, file.sha256, file.who)
    reports = [Report(raw_file=None, text=text) for text in result.reports]
    add_reports(ledger, night.id, Stage.BUILD, reports)


def _file(row: RawFile, ranges: _Ranges, frame_bytes: int) -> SidecarFile:
    stored: Stored = "cube" if row.role == "cube" else "text"
    if row.state is FileState.QUARANTINED:
        stored = "whole"
    is_cube = stored == "cube"
    return SidecarFile(
        path=row.path,
        state=row.state,
        who=files.identity(row),
        sha256=row.sha256,
        stored=stored,
        frame_bytes=frame_bytes,
        segments=tuple(ranges.segments) if is_cube else (),
        kept=tuple(ranges.kept) if is_cube else (),
    )


def _ranges(ledger: Ledger, night: Night) -> dict[int, _Ranges]:
    """By raw cube: where its frames are in outputs, and which are in none."""
    found: dict[int, _Ranges] = defaultdict(_Ranges)
    of_batch = outputs.outputs_of_batch(ledger, night.id, night.batch)
    names = {row.id: outputs.file_name(row) for row in of_batch}
    for row in _segments(ledger, night):
        ranges = found[row.raw_file]
        if row.output is None:
            ranges.kept.append((row.first, row.step, row.count))
        else:
            assert row.position is not None, row.id
            place = (names[row.output], row.position)
            ranges.segments.append((*place, row.first, row.step, row.count))
    return found


def _segments(ledger: Ledger, night: Night) -> Iterable[SegmentRow]:
    return fetch_each(
        SegmentRow,
        ledger,
        "select * from segment where night = ? and batch = ? order by raw_file, first, step",
        [night.id, night.batch],
    )
