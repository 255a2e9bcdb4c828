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
import hashlib
import io
import json
import lzma
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from vampd.errors import InputError, IntegrityError, OperatorError
from vampd.io.beneath import Beneath, clear, create_folders, names_in, night_folder
from vampd.io.publish import digest_file
from vampd.io.raw import RawCubeFile, RawFile
from vampd.io.stream import ScratchStream
from vampd.ledger.proofs import sidecar_path
from vampd.records import FileIdentity

FORMAT = "vampd raw sidecar"
VERSION = 1
INDEX = "index.jsonl.xz"
HEADER_ENDING = ".header"

_README = "README.txt"
_DIGESTED = ("path", "sha256", "inode", "size_bytes", "modified_ns")
_BLOCK_BYTES = 1 << 20
_TEXTS_BYTES = 8 << 20  # of text in one member: what must be unpacked for a single file
# Timing files are the most of it. Preset 1 packs a row of 108 bytes into 16 at 30 MB/s a core;
# 6 would need 10, at 1.4 MB/s.
_XZ_PRESET: Literal[1] = 1

_EXPLANATION = """\
Raw files of {kind} {date}, batch {batch}, as far as they are not in the cubes of vgen2.

Unpack:  tar xf {name};  for t in texts/*.tar.xz; do tar xf "$t"; done;  unxz index.jsonl.xz
The first line of index.jsonl is about the night, each other one is about one raw file, "path":
its "size_bytes", "sha256", and time of modification ("modified_ns", since 1970, UTC).

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


class Source(Protocol):
    """What can be read from front to back."""

    def read(self, size: int = -1, /) -> bytes:
        """The next *size* bytes; fewer only at the end."""


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Make the sidecar of one batch, and publish it.

    *job*::

        {"night": folder, "scratch": folder in the night,
         "kind", "date", "batch", "listed": SHA-256 of one that is listed already, or None,
         "files": [{"path", "state", "inode", "size_bytes", "modified_ns", "sha256" or None,
                    "stored": "text", "cube" or "whole",
                    of a cube: "segments": [[name, position, first, step, count], ...],
                               "kept": [[first, step, count], ...]}, ...] by path}

    Returns ``{"sidecar": {"path", "size_bytes", "sha256"}, "digests": [{"path", "sha256",
    "inode", "size_bytes", "modified_ns"}, ...], "reports": [text, ...]}``: the digests of files
    stored whole, and which of them could not be read.

    One that is listed, and there, is kept: what it holds may lie nowhere else any more.
    InputError: a raw file cannot be read. IntegrityError: one changed, its digest is not the
    recorded one, or another file has the name already.
    """
    path = sidecar_path(job["batch"])
    night = night_folder(job["night"])
    final = night / path
    kept = _listed_one(final, job["listed"])
    if kept is not None:
        return {"sidecar": {**kept, "path": path}, "digests": [], "reports": []}
    scratch = create_folders(night, job["scratch"])
    for name in names_in(scratch):
        if name.startswith(f"{final.name}."):
            clear(scratch / name)
    as_they_are = [file for file in job["files"] if file["stored"] == "whole"]
    whole, reports = _readable(night, as_they_are)
    with ScratchStream(scratch / f"{final.name}.{os.getpid()}") as stream:
        _write(job, whole, stream)
        size_bytes = stream.size_bytes
        sha256 = stream.publish(final)
    return {
        "sidecar": {"path": path, "size_bytes": size_bytes, "sha256": sha256},
        "digests": [{name: file[name] for name in _DIGESTED} for file in whole],
        "reports": reports,
    }


def _listed_one(final: Beneath, listed: str | None) -> dict[str, Any] | None:
    try:
        found = digest_file(final) if listed is not None else None
    except FileNotFoundError:
        return None
    if found is None or found.sha256 != listed:
        return None
    return {"size_bytes": found.size_bytes, "sha256": found.sha256}


def _write(
    job: Mapping[str, Any], whole: Sequence[Mapping[str, Any]], stream: ScratchStream
) -> None:
    """Write all members; *whole* are the files that go in as they are."""
    night = night_folder(job["night"])
    # As a stream: nothing is ever written twice, so that the digest is known at the end.
    writable: Any = stream  # of a stream tarfile asks for nothing but `write`
    with tarfile.open(fileobj=writable, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        name = Path(sidecar_path(job["batch"])).name
        explanation = _EXPLANATION.format(**{**job, "name": name}).encode()
        _add(tar, _README, len(explanation), io.BytesIO(explanation))
        texts = _Texts(tar)
        lines = [
            _add_text(texts, night, file) for file in job["files"] if file["stored"] != "whole"
        ]
        texts.flush()
        for file in job["files"]:
            if file.get("kept"):
                _add_pixels(tar, night, file)
        lines += [_add_whole(tar, night, file) for file in whole]
        index = _index(job, sorted(lines, key=lambda line: str(line["path"])))
        _add(tar, INDEX, len(index), io.BytesIO(index))


def _readable(
    night: Beneath, files: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Those *files* that can be read from front to back, with their digests; why others cannot.

    They are bad already, and do not stop their night: what cannot be read is left out. Nothing
    then proves that it can be rebuilt, and so it is never given up.
    """
    readable, reports = [], []
    for file in files:
        try:
            with _opened(RawFile(night, file["path"], _identity(file))) as raw:
                source = Reading(raw, [(0, file["size_bytes"])])
                while source.read(_BLOCK_BYTES):
                    pass
                raw.check_unchanged()
        except (InputError, IntegrityError, OperatorError) as error:
            reports.append(f"{file['path']}: is not in the sidecar: {error}")
            continue
        readable.append({**file, "sha256": source.digest.hexdigest()})
    return readable, reports


def _index(job: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> bytes:
    head = {"format": FORMAT, "version": VERSION, "files": len(lines)}
    head |= {name: job[name] for name in ("kind", "date", "batch")}
    packed = lzma.LZMACompressor(check=lzma.CHECK_SHA256, preset=_XZ_PRESET)
    parts = [packed.compress(json.dumps(line).encode() + b"\n") for line in (head, *lines)]
    return b"".join([*parts, packed.flush()])


def index_line(file: Mapping[str, Any], sha256: str, **more: Any) -> dict[str, Any]:
    """What the index says of one raw file.

    Of a cube, *more* also says in which of the "texts" its header is, "header_bytes",
    "frame_bytes", "frames", "tail_bytes", and "tail" (base64) where it is not zeros.
    """
    names = ("path", "state", "stored", "size_bytes", "modified_ns", "segments", "kept")
    line = {name: file[name] for name in names if name in file}
    return {**line, "sha256": sha256, **more}


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


class Reading:
    """Some bytes of a raw file as tarfile reads them, digested on their way."""

    def __init__(self, raw: RawFile, parts: Sequence[tuple[int, int]]) -> None:
        """*parts* are places and sizes, bytes."""
        self.digest = hashlib.sha256()
        self._blocks = _blocks(raw, parts)
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """The next *size* bytes; fewer only at the end, for tarfile takes that for one."""
        content = bytearray()
        while size < 0 or len(content) < size:
            if not self._rest:
                self._rest = memoryview(next(self._blocks, b""))
            if not self._rest:
                break
            taken = len(self._rest) if size < 0 else size - len(content)
            content += self._rest[:taken]
            self._rest = self._rest[taken:]
        self.digest.update(content)
        return bytes(content)


def _blocks(raw: RawFile, parts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for offset, size_bytes in parts:
        for start in range(offset, offset + size_bytes, _BLOCK_BYTES):
            block = bytearray(min(_BLOCK_BYTES, offset + size_bytes - start))
            raw.fill(memoryview(block), start)
            yield bytes(block)


def _add_text(texts: _Texts, night: Beneath, file: Mapping[str, Any]) -> dict[str, Any]:
    if file["stored"] == "cube":
        return _add_header(texts, night, file)
    with _opened(RawFile(night, file["path"], _identity(file))) as raw:
        source = Reading(raw, [(0, file["size_bytes"])])
        member = texts.add(file["path"], file["size_bytes"], source)
        raw.check_unchanged()
    if source.digest.hexdigest() != file["sha256"]:
        msg = (
            f"{file['path']}: SHA-256 is {source.digest.hexdigest()}, recorded was {file['sha256']}"
        )
        raise IntegrityError(msg)
    return index_line(file, file["sha256"], member=member)


def _add_header(texts: _Texts, night: Beneath, file: Mapping[str, Any]) -> dict[str, Any]:
    with _opened(RawCubeFile(night, file["path"], _identity(file))) as cube:
        header = cube.header
        source = Reading(cube, [(0, header.data_offset)])
        member = texts.add(file["path"] + HEADER_ENDING, header.data_offset, source)
        end = header.data_offset + header.frames * header.frame_bytes
        tail = bytearray(file["size_bytes"] - end)
        cube.fill(memoryview(tail), end)
        cube.check_unchanged()
    more = {"tail": base64.b64encode(tail).decode()} if any(tail) else {}
    return index_line(
        file,
        file["sha256"],
        member=member,
        header_bytes=header.data_offset,
        frame_bytes=header.frame_bytes,
        shape=[header.height, header.width],
        frames=header.frames,
        tail_bytes=len(tail),
        **more,
    )


def _add_pixels(tar: tarfile.TarFile, night: Beneath, file: Mapping[str, Any]) -> None:
    with _opened(RawCubeFile(night, file["path"], _identity(file))) as cube:
        size_bytes = cube.header.frame_bytes
        parts = [
            (cube.header.data_offset + (first + step * number) * size_bytes, size_bytes)
            for first, step, count in file["kept"]
            for number in range(count)
        ]
        _add(tar, f"pixels/{file['path']}", len(parts) * size_bytes, Reading(cube, parts))
        cube.check_unchanged()


def _add_whole(tar: tarfile.TarFile, night: Beneath, file: Mapping[str, Any]) -> dict[str, Any]:
    with _opened(RawFile(night, file["path"], _identity(file))) as raw:
        source = Reading(raw, [(0, file["size_bytes"])])
        _add(tar, f"files/{file['path']}", file["size_bytes"], source)
        raw.check_unchanged()
    _check_digest(file, source)
    return index_line(file, file["sha256"])


def _check_digest(file: Mapping[str, Any], source: Reading) -> None:
    found = source.digest.hexdigest()
    if found != file["sha256"]:
        msg = f"{file['path']}: its SHA-256 is {found}, recorded was {file['sha256']}"
        raise IntegrityError(msg)


def _add(tar: tarfile.TarFile, name: str, size_bytes: int, source: Source) -> None:
    """Add a member that says nothing of when and by whom it was made."""
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    tar.addfile(member, source)


@contextmanager
def _opened(raw: RawFile) -> Iterator[Any]:
    with closing(raw):
        yield raw


def _identity(file: Mapping[str, Any]) -> FileIdentity:
    return FileIdentity(
        inode=file["inode"], size_bytes=file["size_bytes"], modified_ns=file["modified_ns"]
    )
