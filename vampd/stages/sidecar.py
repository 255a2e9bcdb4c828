"""The sidecar of a night: all of its raw files that is in no output, in one tar file.

With the outputs and this file every raw file can be made again bit for bit, without vampd
too: `README.txt` in it says how. It holds

    README.txt              how to do it, in words
    texts/0001.tar.xz ...   original headers (PATH.header) and timing files (PATH), verbatim
    pixels/PATH             pixels of the frames that are in no output, as the cube had them
    files/PATH              quarantined files as they are
    index.jsonl.xz          a line about the night, then one a raw file: see `index_line`

PATH is relative to the night. The same raw files and the same plan give the same bytes.
"""

from __future__ import annotations

import base64
import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Literal, Protocol, TypeVar, cast

from vampd.errors import IntegrityError, ResourceError
from vampd.io.beneath import (
    Beneath,
    lent,
    night_folder,
    opened_folder,
)
from vampd.io.disk import free_bytes
from vampd.io.listed_files import ListedFile
from vampd.io.publish import Published, digest_file
from vampd.io.raw import RawCubeFile, RawFile
from vampd.io.stream import ScratchStream
from vampd.layout import sidecar_path
from vampd.stages.attempt_folder import attempt_folder
from vampd.stages.build_job import SHORTAGES
from vampd.stages.compare import beside
from vampd.stages.sidecar_choice import Choice, LeftOut, choose
from vampd.stages.sidecar_job import DigestedFile, SidecarFile, SidecarJob, SidecarResult
from vampd.stages.sidecar_reading import Reading
from vampd.states import ErrorCode

FORMAT = "vampd raw sidecar"
VERSION = 1
INDEX = "index.jsonl.xz"
HEADER_ENDING = ".header"

_README = "README.txt"
_SHOWN = 20  # files that are told one by one
_TEXTS_BYTES = 8 << 20  # of text in one member: what must be unpacked for a single file
# Timing files are the most of it. Preset 1 packs a row of 108 bytes into 16 at 30 MB/s a core;
# 6 would need 10, at 1.4 MB/s.
_XZ_PRESET: Literal[1] = 1

_EXPLANATION = """\
Raw files of {kind} {date}, batch {batch}, as far as they are not in the cubes of vgen2.

Unpack:  tar xf {name};  for t in texts/*.tar.xz; do tar xf "$t"; done;  unxz index.jsonl.xz
The first line of index.jsonl is about the night, each other one is about one raw file, "path":
its "size_bytes", "sha256", and time of modification ("modified_ns", since 1970, UTC). "left_out"
in the first line names files that are not in here, each with "why": they stayed where they were.

"stored": "text"   a timing file; it lies unpacked under its own path.
"stored": "whole"  it lies in files/ as it was; "state" says why it is in no cube.
"stored": "cube"   these bytes, one behind the other:
  1. the file PATH.header, which is the FITS header of the raw cube;
  2. its "frames" frames of "frame_bytes" bytes, counted from 0. A segment [name, position,
     first, step, count] says: frames first, first + step, ... (count of them) are the frames
     position, position + 1, ... of vgen2/NAME.fits.fz, as big-endian 16-bit integers without
     the scaling by BZERO. An entry [first, step, count] of "kept" says the same of the frames
     that lie in pixels/PATH, one behind the other, in the order of the entries;
  3. "tail_bytes" bytes: zeros, or what "tail" says in base64.
"""


Line = dict[str, object]  #: of the index
Raw = TypeVar("Raw", bound=RawFile)


class Source(Protocol):
    """What can be read from front to back."""

    def read(self, size: int = -1, /) -> bytes:
        """The next *size* bytes; fewer only at the end."""


def make_sidecar(job: SidecarJob) -> SidecarResult:
    """Make the sidecar of one batch, and publish it.

    One that is listed, and there, is kept: what it holds may lie nowhere else any more.
    InputError: a raw file cannot be read. IntegrityError: one changed, its digest is not the
    recorded one, or another file has the name already. ResourceError: there is no space.
    """
    try:
        return _make(job)
    except OSError as error:
        if error.errno in SHORTAGES:
            msg = f"the sidecar: {error.strerror} ({error.filename or job.scratch})"
            raise ResourceError(msg) from error
        raise


def _make(job: SidecarJob) -> SidecarResult:
    path = sidecar_path(job.batch)
    night = night_folder(job.night)
    final = night / path
    kept = _listed_one(final, job.listed)
    if kept is not None:
        return SidecarResult(
            sidecar=ListedFile(path=path, size_bytes=kept.size_bytes, sha256=kept.sha256)
        )
    with attempt_folder(job) as scratch:
        return _make_in(job, night, scratch)


def _make_in(job: SidecarJob, night: Beneath, scratch: Beneath) -> SidecarResult:
    path = sidecar_path(job.batch)
    final = night / path
    as_they_are = [file for file in job.files if file.stored == "whole"]
    choice = choose(night, as_they_are, job.quarantined_bytes)
    _demand_room(job, scratch, choice)
    with ScratchStream(beside(scratch, final.name)) as stream:
        _write(job, choice, stream)
        size_bytes = stream.size_bytes
        sha256 = stream.publish(final)
    return SidecarResult(
        sidecar=ListedFile(path=path, size_bytes=size_bytes, sha256=sha256),
        digests=tuple(
            DigestedFile(path=file.path, sha256=_digest_of(file), who=file.who)
            for file in choice.taken
        ),
        reports=tuple(_told(choice.left)),
    )


def _told(left: Sequence[LeftOut]) -> list[str]:
    after = "it stays where it is, and no raw file of the night is given back while it does"
    told = [
        f"{each.file.path}: is not in the sidecar: {each.why}; {after}" for each in left[:_SHOWN]
    ]
    more = len(left) - _SHOWN
    return (
        [*told, f"and {more} more are not in the sidecar, which lists them"] if more > 0 else told
    )


def _listed_one(final: Beneath, listed: str | None) -> Published | None:
    try:
        found = digest_file(final) if listed is not None else None
    except FileNotFoundError:
        return None
    return found if found is not None and found.sha256 == listed else None


def _demand_room(job: SidecarJob, scratch: Beneath, choice: Choice) -> None:
    """ResourceError: the sidecar would take space that is not there, or that the cameras keep."""
    quarantined = sum(file.who.size_bytes for file in choice.taken)
    frames = sum(count * file.frame_bytes for file in job.files for *_, count in file.kept)
    needed = quarantined + frames
    with opened_folder(scratch) as folder:
        free = free_bytes(Path(lent(folder))) - job.keep_free_bytes
    if needed > free:
        msg = (
            f"the sidecar needs {needed / 1e9:.1f} GB, {quarantined / 1e9:.1f} of them for"
            f" quarantined files (disk.quarantined_gb), and {max(free, 0) / 1e9:.1f} GB are free"
        )
        raise ResourceError(msg).coded(ErrorCode.FULL_HERE)


def _write(job: SidecarJob, choice: Choice, stream: ScratchStream) -> None:
    """Write all members."""
    night = night_folder(job.night)
    # As a stream: nothing is ever written twice, so that the digest is known at the end.
    writable = cast("IO[bytes]", stream)  # of a stream tarfile asks for nothing but `write`
    with tarfile.open(fileobj=writable, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        name = Path(sidecar_path(job.batch)).name
        explanation = _EXPLANATION.format(
            kind=job.kind, date=job.date, batch=job.batch, name=name
        ).encode()
        _add(tar, _README, len(explanation), io.BytesIO(explanation))
        texts = _Texts(tar)
        lines = [_add_text(texts, night, file) for file in job.files if file.stored != "whole"]
        texts.flush()
        for file in job.files:
            if file.kept:
                _add_pixels(tar, night, file)
        lines += [_add_whole(tar, night, file) for file in choice.taken]
        index = _index(job, sorted(lines, key=lambda line: str(line["path"])), choice.left)
        _add(tar, INDEX, len(index), io.BytesIO(index))


def _index(job: SidecarJob, lines: Sequence[Line], left: Sequence[LeftOut]) -> bytes:
    head: Line = {"format": FORMAT, "version": VERSION, "files": len(lines)}
    head |= {"kind": job.kind, "date": job.date, "batch": job.batch}
    if left:
        head["left_out"] = [each.line() for each in left]
    packed = lzma.LZMACompressor(check=lzma.CHECK_SHA256, preset=_XZ_PRESET)
    parts = [packed.compress(json.dumps(line).encode() + b"\n") for line in (head, *lines)]
    return b"".join([*parts, packed.flush()])


def index_line(file: SidecarFile, **more: object) -> Line:
    """What the index says of one raw file.

    Of a cube, *more* also says in which of the "texts" its header is, "header_bytes",
    "frame_bytes", "frames", "tail_bytes", and "tail" (base64) where it is not zeros.
    """
    line: Line = {
        "path": file.path,
        "state": file.state,
        "stored": file.stored,
        "size_bytes": file.who.size_bytes,
        "modified_ns": file.who.modified_ns,
    }
    if file.stored == "cube":
        line |= {"segments": file.segments, "kept": file.kept}
    return {**line, "sha256": file.sha256, **more}


class _Texts:
    """Small files, gathered into packed members of the sidecar."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._number = 1
        self._size_bytes = 0
        self._packed = io.BytesIO()
        self._texts = _packing(self._packed)

    def add(self, name: str, size_bytes: int, source: Source) -> str:
        """Add one file; return the member that holds it."""
        if self._size_bytes and self._size_bytes + size_bytes > _TEXTS_BYTES:
            self.flush()
        _add(self._texts, name, size_bytes, source)
        self._size_bytes += size_bytes
        return self._member()

    def flush(self) -> None:
        """Write what was gathered."""
        self._texts.close()
        if self._size_bytes:
            packed = self._packed.getvalue()
            _add(self._tar, self._member(), len(packed), io.BytesIO(packed))
            self._number += 1
        self._size_bytes = 0
        self._packed = io.BytesIO()
        self._texts = _packing(self._packed)

    def _member(self) -> str:
        return f"texts/{self._number:04d}.tar.xz"


def _packing(packed: io.BytesIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=packed, mode="w:xz", preset=_XZ_PRESET, format=tarfile.PAX_FORMAT)


def _add_text(texts: _Texts, night: Beneath, file: SidecarFile) -> Line:
    if file.stored == "cube":
        return _add_header(texts, night, file)
    with _opened(RawFile(night, file.path, file.who)) as raw:
        source = Reading(raw, [(0, file.who.size_bytes)])
        member = texts.add(file.path, file.who.size_bytes, source)
        raw.check_unchanged()
    if source.digest.hexdigest() != file.sha256:
        msg = f"{file.path}: SHA-256 is {source.digest.hexdigest()}, recorded was {file.sha256}"
        raise IntegrityError(msg)
    return index_line(file, member=member)


def _add_header(texts: _Texts, night: Beneath, file: SidecarFile) -> Line:
    with _opened(RawCubeFile(night, file.path, file.who)) as cube:
        header = cube.header
        source = Reading(cube, [(0, header.data_offset)])
        member = texts.add(file.path + HEADER_ENDING, header.data_offset, source)
        end = header.data_offset + header.frames * header.frame_bytes
        tail = bytearray(file.who.size_bytes - end)
        cube.fill(memoryview(tail), end)
        cube.check_unchanged()
    more = {"tail": base64.b64encode(tail).decode()} if any(tail) else {}
    return index_line(
        file,
        member=member,
        header_bytes=header.data_offset,
        frame_bytes=header.frame_bytes,
        shape=[header.height, header.width],
        frames=header.frames,
        tail_bytes=len(tail),
        **more,
    )


def _add_pixels(tar: tarfile.TarFile, night: Beneath, file: SidecarFile) -> None:
    with _opened(RawCubeFile(night, file.path, file.who)) as cube:
        size_bytes = cube.header.frame_bytes
        parts = [
            (cube.header.data_offset + (first + step * number) * size_bytes, size_bytes)
            for first, step, count in file.kept
            for number in range(count)
        ]
        _add(tar, f"pixels/{file.path}", len(parts) * size_bytes, Reading(cube, parts))
        cube.check_unchanged()


def _add_whole(tar: tarfile.TarFile, night: Beneath, file: SidecarFile) -> Line:
    with _opened(RawFile(night, file.path, file.who)) as raw:
        source = Reading(raw, [(0, file.who.size_bytes)])
        _add(tar, f"files/{file.path}", file.who.size_bytes, source)
        raw.check_unchanged()
    _check_digest(file, source)
    return index_line(file)


def _check_digest(file: SidecarFile, source: Reading) -> None:
    found = source.digest.hexdigest()
    if found != file.sha256:
        msg = f"{file.path}: its SHA-256 is {found}, recorded was {file.sha256}"
        raise IntegrityError(msg)


def _digest_of(file: SidecarFile) -> str:
    assert file.sha256 is not None, file.path
    return file.sha256


def _add(tar: tarfile.TarFile, name: str, size_bytes: int, source: Source) -> None:
    """Add a member that says nothing of when and by whom it was made."""
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    tar.addfile(member, source)


@contextmanager
def _opened(raw: Raw) -> Iterator[Raw]:
    with closing(raw):
        yield raw
