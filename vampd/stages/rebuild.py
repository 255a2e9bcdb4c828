"""Make raw files again, bit for bit, from the delivered cubes and the night's sidecar alone.

Nothing is believed: what was made is the raw file only if it has the raw file's SHA-256.
Memory does not grow with a cube: it is made frame by frame.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Self

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.errors import IntegrityError, RetryableError
from vampd.io.beneath import Beneath, is_folder, night_folder
from vampd.io.pixels import STORED, stored_bytes
from vampd.io.publish import Published, digest_file
from vampd.io.root import NightPlace
from vampd.io.scratch import owned
from vampd.io.stream import ScratchStream
from vampd.io.tiles import TileReader
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.records import RebuiltFile
from vampd.stages.sidecar import HEADER_ENDING
from vampd.stages.sidecar_index import CubeLayout, RawEntry, Sidecar

_BLOCK_BYTES = 1 << 20
_OPEN_CUBES = 16  # a raw cube seldom feeds more outputs than the states of two cuts
_KEPT, _NOWHERE = -1, -2  # in place of an output's number

_OUTPUT_NAME = re.compile(r"[A-Za-z0-9_:.]+")


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
        name = owned(target.name)
        with ScratchStream(scratch / name) as stream:
            for block in self._blocks(entry):
                stream.write(block)
            _compare(entry, stream.size_bytes, stream.sha256)
            stream.publish(target, modified_ns=entry.modified_ns)

    def _blocks(self, entry: RawEntry) -> Iterator[bytes | memoryview]:
        """A raw file's bytes, from front to back."""
        if entry.stored == "text":
            yield self._sidecar.text(entry.member, entry.path)
        elif entry.cube is None:
            with self._sidecar.open(f"files/{entry.path}") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
        else:
            yield self._sidecar.text(entry.member, entry.path + HEADER_ENDING)
            yield from self._frames(entry.path, entry.cube)
            yield entry.cube.tail

    def _frames(self, path: str, cube: CubeLayout) -> Iterator[bytes | memoryview]:
        which, place = _places(path, cube)
        pixels = np.empty(cube.shape, dtype=STORED)
        size_bytes = cube.frame_bytes
        kept = self._sidecar.open(f"pixels/{path}") if cube.kept else None
        try:
            for source, position in zip(which.tolist(), place.tolist(), strict=True):
                if source == _KEPT:
                    assert kept is not None
                    kept.seek(position * size_bytes)
                    yield kept.read(size_bytes)
                else:
                    name, *_ = cube.segments[source]
                    self._cube(name).read_frame(position, pixels)
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


class ProofJob(Struct, frozen=True, kw_only=True):
    """Raw files of one batch that are to be made again, without keeping them."""

    night: int
    batch: int
    place: NightPlace
    sidecar: str  #: its path, relative to the night's folder
    sha256: str  #: of the sidecar
    files: Mapping[str, str]  #: SHA-256 as recorded, by path
    outputs: Mapping[str, str]  #: the same, of the files of outputs


class Proof(Struct, frozen=True, kw_only=True):
    """What came back, and what did not."""

    rebuilt: tuple[RebuiltFile, ...] = ()
    problems: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()  #: files that are not in the sidecar


def prove(job: ProofJob) -> Proof:
    """Make raw files again without keeping them; the worker's part of the proof.

    IntegrityError: the sidecar is not the one that is meant. RetryableError: the night's folder is
    not there, which tells nothing of what lies in it.
    """
    night = night_folder(job.place.folder)
    path = night / job.sidecar
    if not is_folder(path.parent):
        msg = f"{path.parent}: not there; is its disk?"
        raise RetryableError(msg)
    _check_sidecar(path, job.sha256)
    rebuilt: list[RebuiltFile] = []
    problems: list[str] = []
    with (
        closing(Sidecar(path)) as sidecar,
        Rebuilder(night, sidecar, job.outputs) as rebuilder,
    ):
        unknown = sorted(job.files.keys() - set(sidecar.paths))
        for name, recorded in job.files.items():
            if name in unknown:
                continue
            try:
                entry = replace(sidecar.entry(name), sha256=recorded)
                rebuilder.check(entry)
            except IntegrityError as error:
                problems.append(str(error))
                continue
            rebuilt.append(RebuiltFile(path=name, sha256=entry.sha256, frames=entry.frames))
    return Proof(rebuilt=tuple(rebuilt), problems=tuple(problems), unknown=tuple(unknown))


def _check_sidecar(path: Beneath, sha256: str) -> None:
    try:
        found: Published | None = digest_file(path)
    except FileNotFoundError:
        found = None
    if found is None or found.sha256 != sha256:
        what = "missing" if found is None else f"SHA-256 {found.sha256}"
        msg = f"{path}: {what}, recorded was {sha256}"
        raise IntegrityError(msg)


def _places(path: str, cube: CubeLayout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each frame of a cube the segment that has it, or _KEPT, and its place in there.

    IntegrityError: a frame is in no place or in two, by the sidecar's index.
    """
    which = np.full(cube.frames, _NOWHERE, dtype=np.int64)
    place = np.zeros(cube.frames, dtype=np.int64)
    dealt = position = 0
    for number, (_, start, first, step, count) in enumerate(cube.segments):
        frames = slice(first, first + step * count, step)
        which[frames] = number
        place[frames] = np.arange(start, start + count)
        dealt += count
    for first, step, count in cube.kept:
        frames = slice(first, first + step * count, step)
        which[frames] = _KEPT
        place[frames] = np.arange(position, position + count)
        position += count
    if dealt + position != cube.frames or (which == _NOWHERE).any():
        msg = f"{path}: {dealt + position} of {cube.frames} frames in the sidecar's index"
        raise IntegrityError(msg)
    return which, place


def _compare(entry: RawEntry, size_bytes: int, sha256: str) -> None:
    if (size_bytes, sha256) != (entry.size_bytes, entry.sha256):
        msg = (
            f"{entry.path}: not what it was: rebuilt with {size_bytes} bytes, SHA-256 {sha256};"
            f" it had {entry.size_bytes} bytes, {entry.sha256}"
        )
        raise IntegrityError(msg)
