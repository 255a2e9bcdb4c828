"""How the logger's files come into being, one file-system step at a time.

The cube goes to `<name>.fits.<pid>.<tid>.tmp` in the camera's folder and is renamed
when whole. Its timing file is written afterwards, straight under its final name, in
pieces. Nothing is ever fsynced. Older loggers let the cube grow under its final name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from io import FileIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from msgspec import Struct

from vampd.simulation.cubes import Cube
from vampd.simulation.headers import BLOCK_BYTES, header_bytes
from vampd.simulation.pixels import FramePainter
from vampd.simulation.scenes import Fault
from vampd.simulation.timing_file import comment_lines, rows

#: Of such a cube no byte comes to the disk.
_NOTHING_WRITTEN = frozenset({Fault.EMPTY_TXT, Fault.VANISHED})
_SAVING_US = 1_000  #: from the last frame to the start of saving
_BYTES_A_US = 500.0  #: how fast a cube is saved
_TIMING_PIECES = 4
_TIMING_PIECE_US = 2_000
#: A buffer ends anywhere: here so many bytes before a row's end, give or take.
_TORN_BYTES = 40
_SIGN_BIT = 0x8000


class Action(StrEnum):
    """What a step does to the file that it names."""

    OPEN = "open"
    WRITE = "write"
    CLOSE = "close"
    RENAME = "rename"
    REMOVE = "remove"


class Step(Struct, frozen=True, kw_only=True):
    """One thing that a logger does to the disk. Call it to have it done, once."""

    at_us: int  #: when the camera would do it, on the night's own clock
    action: Action
    path: Path  #: the name that there is after the step (before it, for REMOVE)
    perform: Callable[[], object]

    def __call__(self) -> None:
        """Do it."""
        self.perform()


class _OpenFile:
    """A file as a logger holds it: made anew, written in pieces, closed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = FileIO(self.path, "x")

    def write(self, piece: bytes) -> None:
        assert self._file is not None, "the steps of a file must be performed in order"
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        # Steps may be abandoned half-way, as by a logger that dies.
        self.close()


class Logger(Struct, frozen=True, kw_only=True):
    """Turns cubes into steps. *night* is the night's folder."""

    night: Path
    seed: int
    grows_in_place: bool = False  #: as older versions did

    def steps(self, cube: Cube, painter: FramePainter) -> Iterator[Step]:
        """Every step of *cube*, in order. Pixels are painted as they are asked for."""
        # A cube that gets the next one's name is saved when that one is over.
        over_ns = int((cube.rows_of or cube.frames).logged_ns[-1])
        at_us = over_ns // 1_000 + _SAVING_US
        if cube.fault in _NOTHING_WRITTEN:
            if cube.has_timing:
                yield from self._timing_steps(cube, at_us)
            return
        for step in self._cube_steps(cube, painter, at_us):
            at_us = step.at_us
            yield step
        if cube.has_timing:
            yield from self._timing_steps(cube, at_us + round(cube.scene.txt_delay_s * 1e6))

    def _cube_steps(self, cube: Cube, painter: FramePainter, at_us: int) -> Iterator[Step]:
        final = self.night / cube.path
        temporary = self.night / cube.temporary_path
        stays = self.grows_in_place and cube.has_cube
        file = _OpenFile(final if stays else temporary)
        yield Step(at_us=at_us, action=Action.OPEN, path=file.path, perform=file.open)
        for piece in _kept(cube, self._pieces(cube, painter)):
            at_us += 1 + round(len(piece) / _BYTES_A_US)
            yield _writing(file, piece, at_us)
        at_us += 1
        yield Step(at_us=at_us, action=Action.CLOSE, path=file.path, perform=file.close)
        at_us += 1
        if cube.fault is Fault.LOST_CUBE:
            yield Step(at_us=at_us, action=Action.REMOVE, path=temporary, perform=temporary.unlink)
        elif cube.has_cube and not stays:
            yield Step(
                at_us=at_us,
                action=Action.RENAME,
                path=final,
                perform=lambda: temporary.rename(final),
            )

    def _pieces(self, cube: Cube, painter: FramePainter) -> Iterator[bytes]:
        yield header_bytes(cube, seed=self.seed)
        size = 0
        for block in painter.blocks(cube.camera, cube.number, cube.frames.triggers):
            # Unsigned values are stored less 32768, which turns their highest bit.
            stored = (block ^ np.uint16(_SIGN_BIT)).astype(">u2").tobytes()
            size += len(stored)
            yield stored
        yield bytes(-size % BLOCK_BYTES)

    def _timing_steps(self, cube: Cube, at_us: int) -> Iterator[Step]:
        file = _OpenFile((self.night / cube.path).with_suffix(".txt"))
        yield Step(at_us=at_us, action=Action.OPEN, path=file.path, perform=file.open)
        for piece in _timing_pieces(cube):
            at_us += _TIMING_PIECE_US
            yield _writing(file, piece, at_us)
        yield Step(at_us=at_us + 1, action=Action.CLOSE, path=file.path, perform=file.close)


def _writing(file: _OpenFile, piece: bytes, at_us: int) -> Step:
    return Step(at_us=at_us, action=Action.WRITE, path=file.path, perform=lambda: file.write(piece))


def _kept(cube: Cube, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What of the cube's bytes reaches the disk."""
    match cube.fault:
        case Fault.EMPTY:
            return
        case Fault.TRUNCATED | Fault.LEFT_OVER_TMP | Fault.LOST_CUBE:
            yield next(pieces)
            frame_bytes = 2 * cube.scene.width * cube.scene.height
            kept_bytes = len(cube.frames) * frame_bytes - frame_bytes // 2
            for piece in pieces:
                yield piece[:kept_bytes]
                kept_bytes -= len(piece)
                if kept_bytes <= 0:
                    return
        case _:
            yield from pieces


def _timing_pieces(cube: Cube) -> Iterator[bytes]:
    """The comment lines, then the rows in pieces that end within a row."""
    if cube.fault is Fault.EMPTY_TXT:
        return
    yield comment_lines(cube).encode("ascii")
    text = "".join(rows(cube)).encode("ascii")
    cuts = [max(0, len(text) * k // _TIMING_PIECES - _TORN_BYTES) for k in range(_TIMING_PIECES)]
    for first, last in pairwise([*cuts, len(text)]):
        if first < last:
            yield text[first:last]
