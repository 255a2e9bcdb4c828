"""Cubes that are there twice, and cubes whose times overlap: what the plan of a night asks.

`vampd.science.doubles` decides. Pixels are read here, and only of cubes that tell the same times
without being the same file; all digests of files are known before a night is planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from vampd.causes import Cause
from vampd.errors import VampdError
from vampd.io.beneath import Beneath, night_folder
from vampd.io.raw import RawCubeFile
from vampd.io.root import NightPlace
from vampd.ledger import files, logger_faults
from vampd.ledger.connection import Ledger
from vampd.ledger.logger_faults import Fault
from vampd.ledger.records import Cube, EarlierCube, Night
from vampd.ledger.reports import add_reports
from vampd.records import Report
from vampd.science.doubles import Candidate, Doubles, find_doubles, to_be_compared
from vampd.stages.raw_cubes import SeenCube
from vampd.states import FileCode, LoggerFault, Stage

_BLOCK_BYTES = 4 * 1024 * 1024


def find(place: NightPlace, cubes: Sequence[SeenCube], earlier: Sequence[SeenCube] = ()) -> Doubles:
    """What becomes of the *cubes* of a night's batch; *earlier* ones are in outputs. All on UTC.

    InputError, IntegrityError: one that must be read cannot be, or is another. RetryableError:
    its disk is not there.
    """
    candidates = [
        _candidate(seen, is_earlier=is_earlier)
        for which, is_earlier in ((cubes, False), (earlier, True))
        for seen in which
    ]
    wanted = sorted({number for pair in to_be_compared(candidates) for number in pair})
    pixels: dict[int, str] = {}
    if wanted:
        place.check()
        rows = {seen.row.raw_file: seen.row for seen in (*earlier, *cubes)}
        night = night_folder(place.folder)
        pixels = dict(_pixels(night, [rows[number] for number in wanted]))
    return find_doubles(candidates, pixels)


def record(ledger: Ledger, night: Night, found: Doubles) -> None:
    """Tell what was found; quarantine what cannot be right."""
    for one in found.contradictions:
        cause = Cause(FileCode.CONTRADICTION, {"cubes": one.reason})
        files.quarantine(ledger, night.id, one.path, cause)
    faults = [*_faults(found)]
    told = [(fault.raw_file, fault.text) for fault in faults]
    told += [(one.raw_file, one.reason) for one in found.contradictions]
    reports = [Report(raw_file=raw_file, text=text) for raw_file, text in told]
    add_reports(ledger, night.id, Stage.SYNC, reports)
    logger_faults.renew(ledger, night, {LoggerFault.DOUBLE, LoggerFault.OVERLAP}, faults)


def _faults(found: Doubles) -> Iterator[Fault]:
    for one in found.duplicates:
        yield Fault(
            fault=LoggerFault.DOUBLE,
            camera=one.camera,
            cubes=1,
            frames=one.frames,
            text=f"{one.path} has the times and pixels of {one.used}, which is used",
            raw_file=one.raw_file,
        )
    for overlap in found.overlaps:
        yield Fault(
            fault=LoggerFault.OVERLAP,
            camera=overlap.camera,
            cubes=2,
            frames=overlap.frames,
            text=overlap.text,
            raw_file=overlap.raw_file,
        )


def _candidate(seen: SeenCube, *, is_earlier: bool) -> Candidate:
    return Candidate(
        cube=seen.cube,
        sha256=seen.row.sha256 or f"unknown, of {seen.cube.raw_file}",
        modified_ns=seen.row.modified_ns,
        is_earlier=is_earlier,
    )


def _pixels(night: Beneath, rows: Sequence[Cube]) -> Iterator[tuple[int, str]]:
    """SHA-256 of the pixels of raw cubes, but for those of earlier batches that are not there."""
    for row in rows:
        try:
            yield row.raw_file, _digest_of_pixels(night, row)
        except VampdError:
            if not isinstance(row, EarlierCube):
                raise


def _digest_of_pixels(night: Beneath, row: Cube) -> str:
    raw = RawCubeFile(night, row.path, files.identity(row))
    try:
        digest = hashlib.sha256()
        offset = raw.header.data_offset
        left = raw.header.frames * raw.header.frame_bytes
        while left:
            block = bytearray(min(_BLOCK_BYTES, left))
            raw.fill(memoryview(block), offset)
            digest.update(block)
            offset, left = offset + len(block), left - len(block)
        raw.check_unchanged()
        return digest.hexdigest()
    finally:
        raw.close()
