"""Read what decides about a cube: its header's deciding cards and its timing, never a pixel.

Bodies of work: they take and return records of plain values, and open files for reading only, so
that they can run in a worker process, many cubes in one batch.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from vampd.causes import Cause
from vampd.errors import InputError
from vampd.io.beneath import Beneath, night_folder, open_quietly, read_start, status
from vampd.io.header import RawHeader, read_header
from vampd.io.mirror import raw_file
from vampd.records import CardValue, FileIdentity
from vampd.science.belonging import (
    CAMERA_CARDS,
    STAMP_CARDS,
    Belonging,
    RowTimes,
    belonging,
    wrong_camera,
)
from vampd.science.cards import parse_card, value_text
from vampd.science.clocks import written_us
from vampd.science.cubes import DECIDING_CARDS
from vampd.science.timing import NO_COLUMN, Timing, parse_timing
from vampd.states import FileCode
from vampd.watch.naming import classify
from vampd.watch.scan import identity_of

# A row has some 110 bytes, the comments together some 500: far above both, and still a
# bound, so that a file that grew without end is not read into memory. The last bound is
# for headers that lie about their frames: half a million rows, a hundred cubes' worth.
_MAX_ROW_BYTES = 400
_MAX_COMMENT_BYTES = 64 * 1024
_MAX_TIMING_BYTES = 64 * 1024 * 1024

_READ_BYTES = 4 * 1024 * 1024

# This machine is short of something: no word about the file.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

_DECIDING = frozenset(DECIDING_CARDS)
_NO_CUBE = Cause(FileCode.UNREADABLE, {"error": os.strerror(errno.ENOENT)})


class Inspection(Struct, frozen=True, kw_only=True, eq=False):
    """What a cube and its timing file say.

    The identities are those of the paths before and after reading; where they differ, or
    are not the ones that the looks saw, nothing else here may be used. With *problem* or
    *unread* set, the fields after the identities may be empty.
    """

    cube_before: FileIdentity | None
    cube_after: FileIdentity | None
    timing_before: FileIdentity | None
    timing_after: FileIdentity | None
    problem: Cause | None = None  #: the content is bad
    unread: Cause | None = None  #: could not be read now; later, perhaps
    expected_bytes: int = 0  #: the cube's size by its header
    frames: int = 0
    width: int = 0
    height: int = 0
    cards: Mapping[str, CardValue] = field(default_factory=dict)  #: deciding cards, where present
    rows: int = 0  #: rows of timing, unreadable ones included
    ends_in_newline: bool = False  #: False: the last row may be torn, or not yet finished
    acquired_us: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rejected: Mapping[int, str] = field(default_factory=dict)  #: row -> why
    has_acquisition: bool = True  #: False: the times are the logger's
    reports: tuple[str, ...] = ()
    lost_frames: int = 0  #: that the stream counted between the first and the last, never logged
    is_old: bool = False  #: no column for acquisition times
    lag_us: int | None = None  #: of logging behind acquisition
    written_us: int | None = None  #: DATE, as far as it is a time
    counts: tuple[int, int] | None = None  #: the stream's own, of the first and the last row
    logged_span_us: tuple[int, int] | None = None  #: on the logger's clock, of the same
    disagreement: Cause | None = None  #: cube, timing file and folder do not belong together
    is_confirmed: bool = False  #: the header's times prove that they do


class InspectJob(Struct, frozen=True, kw_only=True):
    """Cubes to be inspected."""

    folder: str  #: the night's, absolute
    cubes: tuple[tuple[str, str], ...]  #: each with its timing file, relative to the night's folder


class Inspections(Struct, frozen=True, kw_only=True):
    """What they and their timing files say, in the job's order."""

    results: tuple[Inspection, ...]


class DigestJob(Struct, frozen=True, kw_only=True):
    """Raw files to be read through."""

    folder: str  #: the night's, absolute
    files: tuple[str, ...]  #: relative to it


class Digest(Struct, frozen=True, kw_only=True):
    """What came of reading one file through."""

    sha256: str | None = None  #: None where it could not be read, or changed meanwhile
    identity: FileIdentity | None = None  #: of the file whose bytes were read
    problem: str = ""  #: why there is no digest
    is_unreadable: bool = False  #: that is a word about the file: it did not merely change


class Digests(Struct, frozen=True, kw_only=True):
    """What came of each, in the job's order."""

    results: tuple[Digest, ...]


def inspect_cube(folder: Path, cube: str, timing: str) -> Inspection:
    """Read the header of *cube* and all of *timing*, paths relative to the night's *folder*.

    Of a timing file without its cube, what it says alone. Raises OSError only when this machine
    is short of memory or descriptors.
    """
    night = night_folder(folder)
    at_cube, at_timing = raw_file(night, cube), raw_file(night, timing)
    cube_before, timing_before = _identity(at_cube), _identity(at_timing)
    found: dict[str, Any] = {}
    try:
        header = _header(at_cube, cube)
        found |= {"unread": _NO_CUBE} if header is None else _header_facts(header)
        found |= _inspect_timing(night, timing, header)
        if wrong := _wrong_camera(cube, header):
            found |= {"disagreement": wrong}
    except InputError as error:
        found |= {"problem": Cause(FileCode.CONTENT, {"problem": str(error)})}
    except OSError as error:
        if error.errno in _SHORTAGES:
            raise
        found |= {"unread": Cause(FileCode.UNREADABLE, {"error": str(error.strerror)})}
    return Inspection(
        cube_before=cube_before,
        cube_after=_identity(at_cube),
        timing_before=timing_before,
        timing_after=_identity(at_timing),
        **found,
    )


def work(job: InspectJob) -> Inspections:
    """Inspect a batch of cubes."""
    folder = Path(job.folder)
    return Inspections(
        results=tuple(inspect_cube(folder, cube, timing) for cube, timing in job.cubes)
    )


def sha256_files(job: DigestJob) -> Digests:
    """Read files through."""
    night = night_folder(job.folder)
    return Digests(results=tuple(_sha256_file(night, file) for file in job.files))


def _identity(path: Beneath) -> FileIdentity | None:
    """Who is at *path* now; None unless it is a regular file."""
    try:
        found = status(path)
    except OSError:
        return None
    return identity_of(found) if stat.S_ISREG(found.st_mode) else None


def _header(path: Beneath, cube: str) -> RawHeader | None:
    """The header of a cube; None where there is no such file."""
    try:
        return read_header(path, path=cube)
    except FileNotFoundError:
        return None


def _header_facts(header: RawHeader) -> dict[str, Any]:
    values = dict(map(parse_card, _first_of(header, _DECIDING)))
    date = dict(map(parse_card, _first_of(header, ("DATE",)))).get("DATE")
    return {
        "expected_bytes": header.expected_size_bytes,
        "frames": header.frames,
        "width": header.width,
        "height": header.height,
        "cards": {name: values[name] for name in DECIDING_CARDS if name in values},
        "written_us": written_us(date),
    }


def _wrong_camera(cube: str, header: RawHeader | None) -> Cause | None:
    camera = classify(cube).camera
    if header is None or camera is None:
        return None
    cards = wrong_camera(camera, dict(map(parse_card, _first_of(header, CAMERA_CARDS))))
    return None if cards is None else Cause(FileCode.WRONG_CAMERA, {"cards": cards})


def _inspect_timing(night: Beneath, timing_file: str, header: RawHeader | None) -> dict[str, Any]:
    max_bytes = _MAX_TIMING_BYTES
    if header is not None:
        max_bytes = min(_MAX_ROW_BYTES * header.frames + _MAX_COMMENT_BYTES, max_bytes)
    content = read_start(raw_file(night, timing_file), max_bytes + 1)
    if len(content) > max_bytes:
        of = f" for {header.frames} frames" if header is not None else ""
        msg = f"timing file of more than {max_bytes} bytes{of}"
        raise InputError(msg, path=timing_file)
    timing = parse_timing(content)
    stamps = {} if header is None else dict(map(value_text, _first_of(header, STAMP_CARDS)))
    found = _belonging(stamps, timing)
    return _timing_facts(timing) | {
        "ends_in_newline": content.endswith(b"\n"),
        "disagreement": found.disagreement
        and Cause(FileCode.NOT_TOGETHER, {"times": found.disagreement}),
        "is_confirmed": found.is_confirmed,
    }


def _first_of(header: RawHeader, keywords: Container[str]) -> Iterator[str]:
    """The cards with one of *keywords*; backwards, for of two of one keyword the first counts."""
    return (card for card in reversed(header.cards) if card[:8].rstrip() in keywords)


def _belonging(stamps: Mapping[str, str], timing: Timing) -> Belonging:
    if not timing.rows:
        return Belonging()
    first, last = (
        RowTimes(
            logged_us=int(timing.logged_us[row]) or None,
            acquired_us=int(timing.acquired_us[row]) or None if timing.has_acquisition else None,
        )
        for row in (0, -1)
    )
    return belonging(stamps, first, last)


def _timing_facts(timing: Timing) -> dict[str, Any]:
    return {
        "rows": len(timing.rows),
        "acquired_us": timing.acquired_us,
        "rejected": timing.rejected,
        "has_acquisition": timing.has_acquisition,
        "reports": timing.reports,
        "lost_frames": timing.lost_frames,
        "is_old": NO_COLUMN in timing.reports,
        "lag_us": timing.lag_us,
        "counts": timing.counts,
        "logged_span_us": timing.logged_span_us,
    }


def _sha256_file(night: Beneath, file: str) -> Digest:
    path = raw_file(night, file)
    try:
        descriptor = open_quietly(path)
    except OSError as error:
        return _unreadable(error)
    try:
        return _sha256_descriptor(descriptor, path)
    except OSError as error:
        return _unreadable(error)
    finally:
        os.close(descriptor)


def _unreadable(error: OSError) -> Digest:
    return Digest(problem=str(error.strerror), is_unreadable=True)


def _sha256_descriptor(descriptor: int, path: Beneath) -> Digest:
    before = identity_of(os.fstat(descriptor))
    digest = _digest(descriptor)
    if not before == identity_of(os.fstat(descriptor)) == _identity(path):
        return Digest(problem="changed while it was read")
    return Digest(sha256=digest, identity=before)


def _digest(descriptor: int) -> str:
    """SHA-256 of all bytes, which leave the cache behind us: the cameras need it more."""
    digest = hashlib.sha256()
    block = bytearray(_READ_BYTES)
    view = memoryview(block)
    offset = 0
    while count := os.preadv(descriptor, [block], offset):
        digest.update(view[:count])
        os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_DONTNEED)
        offset += count
    return digest.hexdigest()
