"""Make raw files again, bit for bit, from the delivered cubes and the night's sidecar alone.

Nothing is believed: what was made is the raw file only if it has the raw file's SHA-256.
Memory does not grow with a cube: it is made frame by frame.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import os
import re
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from vampd.errors import IntegrityError, OperatorError, RetryableError
from vampd.io.beneath import Beneath, is_folder, night_folder, open_file
from vampd.io.pixels import STORED, stored_bytes
from vampd.io.publish import Published, digest_file
from vampd.io.stream import ScratchStream
from vampd.io.tiles import TileReader
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.stages.sidecar import FORMAT, HEADER_ENDING, INDEX, VERSION

_BLOCK_BYTES = 1 << 20
_OPEN_CUBES = 16  # a raw cube seldom feeds more outputs than the states of two cuts
_KEPT, _NOWHERE = -1, -2  # in place of an output's number

#: As the cameras name them, and what their logger leaves behind: nothing leads out of the night.
_RAW_PATH = re.compile(r"vcam([12])/vcam\1_[0-9:]{8}\.[0-9]{9}\.(?:txt|fits(?:\.\d+\.\d+\.tmp)?)")
_OUTPUT_NAME = re.compile(r"[A-Za-z0-9_:.]+")
_DAMAGED = (tarfile.TarError, lzma.LZMAError, EOFError, KeyError, ValueError, TypeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class RawEntry:
    """What a sidecar's index says of one raw file."""

    path: str
    size_bytes: int
    sha256: str
    modified_ns: int
    frames: int  #: 0 unless it is a cube
    line: Mapping[str, Any]  #: all of it


class Sidecar:
    """The sidecar at *path*, open for reading.

    IntegrityError: it is damaged, or none. OperatorError: a newer vampd made it. OSError: it
    cannot be read.
    """

    def __init__(self, path: Beneath) -> None:
        self.path = path
        self._texts: tuple[str, dict[str, bytes]] = ("", {})
        self._file = os.fdopen(open_file(path), "rb")
        try:
            self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115 - by close
        except tarfile.TarError as error:
            self._file.close()
            msg = f"{path}: damaged, or no sidecar: {error}"
            raise IntegrityError(msg) from error
        try:
            self._read_index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._tar.close()
        self._file.close()

    @property
    def paths(self) -> list[str]:
        """The raw files that it knows, in the order of their paths."""
        return list(self._lines)

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """The quarantined files that stayed where they were: "path", "size_bytes", "why", ..."""
        left: list[dict[str, Any]] = self.head.get("left_out", [])
        return left

    def entry(self, path: str) -> RawEntry:
        """What is known of one raw file. OperatorError: nothing is."""
        if path not in self._lines:
            why = {line["path"]: f": {line['why']}" for line in self.left_out}.get(path, "")
            msg = f"{self.path}: knows no raw file {path}{why}"
            raise OperatorError(msg)
        line = self._lines[path]
        return RawEntry(
            path=path,
            size_bytes=line["size_bytes"],
            sha256=line["sha256"],
            modified_ns=line["modified_ns"],
            frames=line.get("frames", 0),
            line=line,
        )

    def text(self, member: str, name: str) -> bytes:
        """A header or a timing file, out of the packed *member*. The last member is kept."""
        try:
            if self._texts[0] != member:
                with (
                    self.open(member) as packed,
                    tarfile.open(fileobj=packed, mode="r:xz") as texts,
                ):
                    self._texts = (member, {each.name: _content(texts, each) for each in texts})
            return self._texts[1][name]
        except _DAMAGED as error:
            raise self._damaged(member, error) from error

    def open(self, member: str) -> IO[bytes]:
        """A member, for reading."""
        try:
            found = self._tar.extractfile(member)
        except _DAMAGED as error:
            raise self._damaged(member, error) from error
        if found is None:
            raise self._damaged(member, ValueError("no file"))
        return found

    def _read_index(self) -> None:
        try:
            with self.open(INDEX) as packed:
                head, *lines = lzma.decompress(packed.read()).splitlines()
            self.head: dict[str, Any] = json.loads(head)
            if self.head["format"] != FORMAT or len(lines) != self.head["files"]:
                msg = f"{len(lines)} lines of {self.head['files']} in {self.head['format']}"
                raise ValueError(msg)
            newer = self.head["version"] > VERSION
            self._lines = {} if newer else {line["path"]: line for line in map(json.loads, lines)}
        except _DAMAGED as error:
            raise self._damaged(INDEX, error) from error
        if newer:
            msg = f"{self.path}: of version {self.head['version']}; this vampd knows {VERSION}"
            raise OperatorError(msg)
        for path in self._lines:
            if _RAW_PATH.fullmatch(path) is None:
                raise self._damaged(INDEX, ValueError(f"{path!r} is no raw file's name"))

    def _damaged(self, member: str, error: Exception) -> IntegrityError:
        return IntegrityError(f"{self.path}: damaged in {member}: {type(error).__name__}: {error}")


class Rebuilder:
    """Makes raw files again from the cubes in *night*/vgen2 and a *sidecar*.

    *digests*, where they are known, are the SHA-256 of the cubes, by their path in the night;
    else the sums in their headers must do. A cube is proved when it is first opened.
    """

    def __init__(
        self, night: Beneath, sidecar: Sidecar, digests: Mapping[str, str] | None = None
    ) -> None:
        self._night = night
        self._sidecar = sidecar
        self._digests = digests
        self._open: OrderedDict[str, TileReader] = OrderedDict()
        self._proved: set[str] = set()
        self._damaged: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for cube in self._open.values():
            cube.close()
        self._open.clear()

    def check(self, entry: RawEntry) -> None:
        """Make a raw file without keeping it. IntegrityError: it comes out otherwise."""
        digest, size_bytes = hashlib.sha256(), 0
        for block in self._blocks(entry):
            digest.update(block)
            size_bytes += len(block)
        _compare(entry, size_bytes, digest.hexdigest())

    def restore(self, entry: RawEntry, target: Beneath, scratch: Beneath) -> None:
        """Make a raw file in the folder *scratch*, and publish it as *target*, never replacing.

        IntegrityError: it comes out otherwise than it was, or another file is there; then
        nothing of it is kept.
        """
        name = f"{target.name}.{os.getpid()}"
        with ScratchStream(scratch / name) as stream:
            for block in self._blocks(entry):
                stream.write(block)
            _compare(entry, stream.size_bytes, stream.sha256)
            stream.publish(target, modified_ns=entry.modified_ns)

    def _blocks(self, entry: RawEntry) -> Iterator[bytes | memoryview]:
        """A raw file's bytes, from front to back."""
        line = entry.line
        if line["stored"] == "text":
            yield self._sidecar.text(line["member"], entry.path)
        elif line["stored"] == "whole":
            with self._sidecar.open(f"files/{entry.path}") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
        else:
            yield self._sidecar.text(line["member"], entry.path + HEADER_ENDING)
            yield from self._frames(entry)
            tail = base64.b64decode(line["tail"]) if "tail" in line else bytes(line["tail_bytes"])
            yield tail

    def _frames(self, entry: RawEntry) -> Iterator[bytes | memoryview]:
        line = entry.line
        names = [segment[0] for segment in line["segments"]]
        which, place = _places(entry)
        pixels = np.empty(line["shape"], dtype=STORED)
        size_bytes = line["frame_bytes"]
        kept = self._sidecar.open(f"pixels/{entry.path}") if line["kept"] else None
        try:
            for source, position in zip(which.tolist(), place.tolist(), strict=True):
                if source == _KEPT:
                    assert kept is not None
                    kept.seek(position * size_bytes)
                    yield kept.read(size_bytes)
                else:
                    self._cube(names[source]).read_frame(position, pixels)
                    yield stored_bytes(pixels)
        finally:
            if kept is not None:
                kept.close()

    def _cube(self, name: str) -> TileReader:
        """The output *name*, open and proved."""
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        if name in self._damaged:
            raise IntegrityError(self._damaged[name])
        if len(self._open) >= _OPEN_CUBES:
            self._open.popitem(last=False)[1].close()
        try:
            self._open[name] = self._opened(name)
        except IntegrityError as error:
            self._damaged[name] = str(error)
            raise
        return self._open[name]

    def _opened(self, name: str) -> TileReader:
        if _OUTPUT_NAME.fullmatch(name) is None:
            msg = f"{self._sidecar.path}: {name!r} is no output's name"
            raise IntegrityError(msg)
        path = f"{OUTPUT_FOLDER}/{name}{OUTPUT_ENDING}"
        cube = TileReader(self._night / path)
        try:
            if name not in self._proved:
                cube.prove(None if self._digests is None else self._digests.get(path, "none"))
        except BaseException:
            cube.close()
            raise
        self._proved.add(name)
        return cube


def prove(job: Mapping[str, Any]) -> dict[str, Any]:
    """Make raw files again without keeping them; the worker's part of the proof.

    *job*::

        {"night": folder, "sidecar": path, "sha256": of the sidecar,
         "files": {path: SHA-256 as recorded}, "outputs": {path: SHA-256 as recorded}}

    Returns ``{"rebuilt": [{"path", "sha256", "frames"}, ...], "problems": [text, ...],
    "unknown": [files that are not in the sidecar]}``.
    IntegrityError: the sidecar is not the one that is meant. RetryableError: the night's folder is
    not there, which tells nothing of what lies in it.
    """
    night = night_folder(job["night"])
    path = night / job["sidecar"]
    if not is_folder(path.parent):
        msg = f"{path.parent}: not there; is its disk?"
        raise RetryableError(msg)
    _check_sidecar(path, job["sha256"])
    rebuilt: list[dict[str, Any]] = []
    problems: list[str] = []
    with (
        closing(Sidecar(path)) as sidecar,
        Rebuilder(night, sidecar, job["outputs"]) as rebuilder,
    ):
        unknown = sorted(job["files"].keys() - set(sidecar.paths))
        for name, recorded in job["files"].items():
            if name in unknown:
                continue
            try:
                entry = replace(sidecar.entry(name), sha256=recorded)
                rebuilder.check(entry)
            except IntegrityError as error:
                problems.append(str(error))
                continue
            rebuilt.append({"path": name, "sha256": entry.sha256, "frames": entry.frames})
    return {"rebuilt": rebuilt, "problems": problems, "unknown": unknown}


def _check_sidecar(path: Beneath, sha256: str) -> None:
    try:
        found: Published | None = digest_file(path)
    except FileNotFoundError:
        found = None
    if found is None or found.sha256 != sha256:
        what = "missing" if found is None else f"SHA-256 {found.sha256}"
        msg = f"{path}: {what}, recorded was {sha256}"
        raise IntegrityError(msg)


def _places(entry: RawEntry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each frame of a cube the segment that has it, or _KEPT, and its place in there.

    IntegrityError: a frame is in no place or in two, by the sidecar's index.
    """
    which = np.full(entry.frames, _NOWHERE, dtype=np.int64)
    place = np.zeros(entry.frames, dtype=np.int64)
    dealt = position = 0
    for number, (_, start, first, step, count) in enumerate(entry.line["segments"]):
        frames = slice(first, first + step * count, step)
        which[frames] = number
        place[frames] = np.arange(start, start + count)
        dealt += count
    for first, step, count in entry.line["kept"]:
        frames = slice(first, first + step * count, step)
        which[frames] = _KEPT
        place[frames] = np.arange(position, position + count)
        position += count
    if dealt + position != entry.frames or (which == _NOWHERE).any():
        msg = f"{entry.path}: {dealt + position} of {entry.frames} frames in the sidecar's index"
        raise IntegrityError(msg)
    return which, place


def _compare(entry: RawEntry, size_bytes: int, sha256: str) -> None:
    if (size_bytes, sha256) != (entry.size_bytes, entry.sha256):
        msg = (
            f"{entry.path}: not what it was: rebuilt with {size_bytes} bytes, SHA-256 {sha256};"
            f" it had {entry.size_bytes} bytes, {entry.sha256}"
        )
        raise IntegrityError(msg)


def _content(texts: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = texts.extractfile(member)
    return b"" if found is None else found.read()
