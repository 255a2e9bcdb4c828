"""A sidecar, open for reading: what its index says of each raw file, and its bytes."""

from __future__ import annotations

import base64
import json
import lzma
import os
import re
import tarfile
from collections.abc import Sequence
from typing import IO

from msgspec import Struct

from vampd.errors import IntegrityError, OperatorError
from vampd.io.beneath import Beneath, open_file
from vampd.io.number_papers import Line
from vampd.stages.sidecar import FORMAT, INDEX, VERSION
from vampd.stages.sidecar_job import Extent, Placed, Stored

#: As the cameras name them, and what their logger leaves behind: nothing leads out of the night.
_RAW_PATH = re.compile(r"vcam([12])/vcam\1_[0-9:]{8}\.[0-9]{9}\.(?:txt|fits(?:\.\d+\.\d+\.tmp)?)")
_DAMAGED = (
    tarfile.TarError,
    lzma.LZMAError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_PIXEL_BYTES = 2


class CubeLayout(Struct, frozen=True, kw_only=True):
    """Where the frames of a raw cube are, and what lies behind them."""

    frames: int
    frame_bytes: int
    shape: tuple[int, int]  #: rows, columns
    segments: tuple[Placed, ...]  #: in outputs
    kept: tuple[Extent, ...]  #: in the sidecar itself
    tail: bytes


class RawEntry(Struct, frozen=True, kw_only=True):
    """What a sidecar's index says of one raw file."""

    path: str
    size_bytes: int
    sha256: str
    modified_ns: int
    stored: Stored
    member: str  #: the packed member with its text, or its header; "": it is stored whole
    cube: CubeLayout | None

    @property
    def frames(self) -> int:
        """0 unless it is a cube."""
        return 0 if self.cube is None else self.cube.frames


class LeftBehind(Struct, frozen=True, kw_only=True):
    """A quarantined file that stayed where it was."""

    path: str
    size_bytes: int
    sha256: str | None
    why: str


class Head(Struct, frozen=True, kw_only=True):
    """What a sidecar's index says of its night."""

    kind: str
    date: str
    batch: int
    left_out: tuple[LeftBehind, ...]


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

    def entry(self, path: str) -> RawEntry:
        """What is known of one raw file. OperatorError: nothing is."""
        if path not in self._lines:
            why = {left.path: f": {left.why}" for left in self.head.left_out}.get(path, "")
            msg = f"{self.path}: knows no raw file {path}{why}"
            raise OperatorError(msg)
        try:
            return _entry(path, self._lines[path])
        except _DAMAGED as error:
            raise self._damaged(INDEX, error) from error

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
                first, *others = map(json.loads, lzma.decompress(packed.read()).splitlines())
            if first["format"] != FORMAT or len(others) != first["files"]:
                msg = f"{len(others)} lines of {first['files']} in {first['format']}"
                raise ValueError(msg)
            version: int = first["version"]
            if version <= VERSION:
                self.head = _head(first)
                self._lines: dict[str, Line] = {_path(line): line for line in others}
        except _DAMAGED as error:
            raise self._damaged(INDEX, error) from error
        if version > VERSION:
            msg = f"{self.path}: of version {version}; this vampd knows {VERSION}"
            raise OperatorError(msg)

    def _damaged(self, member: str, error: Exception) -> IntegrityError:
        return IntegrityError(f"{self.path}: damaged in {member}: {type(error).__name__}: {error}")


def _head(line: Line) -> Head:
    return Head(
        kind=line["kind"],
        date=line["date"],
        batch=line["batch"],
        left_out=tuple(
            LeftBehind(
                path=left["path"],
                size_bytes=left["size_bytes"],
                sha256=left["sha256"],
                why=left["why"],
            )
            for left in line.get("left_out", [])
        ),
    )


def _path(line: Line) -> str:
    path = str(line["path"])
    if _RAW_PATH.fullmatch(path) is None:
        msg = f"{path!r} is no raw file's name"
        raise ValueError(msg)
    return path


def _entry(path: str, line: Line) -> RawEntry:
    return RawEntry(
        path=path,
        size_bytes=int(line["size_bytes"]),
        sha256=str(line["sha256"]),
        modified_ns=int(line["modified_ns"]),
        stored=line["stored"],
        member=str(line.get("member", "")),
        cube=_layout(line) if line["stored"] == "cube" else None,
    )


def _layout(line: Line) -> CubeLayout:
    """ValueError: it tells of more than its file has bytes, or of other frames than it has."""
    height, width = map(int, line["shape"])
    frames, frame_bytes = int(line["frames"]), int(line["frame_bytes"])
    pixels_end = line["header_bytes"] + frames * frame_bytes
    if frame_bytes != _PIXEL_BYTES * height * width or not 0 < frame_bytes <= pixels_end:
        msg = f"frames of {frame_bytes} bytes and {height} x {width} pixels"
        raise ValueError(msg)
    if pixels_end + line["tail_bytes"] != line["size_bytes"] or line["tail_bytes"] < 0:
        msg = f"{pixels_end} and {line['tail_bytes']} bytes in a file of {line['size_bytes']}"
        raise ValueError(msg)
    segments = tuple(
        (str(name), int(start), int(first), int(step), int(count))
        for name, start, first, step, count in line["segments"]
    )
    kept = tuple((int(first), int(step), int(count)) for first, step, count in line["kept"])
    _demand_frames(frames, [*(segment[2:] for segment in segments), *kept])
    return CubeLayout(
        frames=frames,
        frame_bytes=frame_bytes,
        shape=(height, width),
        segments=segments,
        kept=kept,
        tail=base64.b64decode(line["tail"]) if "tail" in line else bytes(line["tail_bytes"]),
    )


def _demand_frames(frames: int, extents: Sequence[Extent]) -> None:
    """ValueError: *extents* are not so many frames, or lie outside of them."""
    told = sum(count for *_, count in extents)
    if told != frames:
        msg = f"{told} of {frames} frames in the sidecar's index"
        raise ValueError(msg)
    for first, step, count in extents:
        if min(first, step - 1, count - 1) < 0 or first + step * (count - 1) >= frames:
            msg = f"frames {first}, step {step}, {count} times, of {frames} frames"
            raise ValueError(msg)


def _content(texts: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = texts.extractfile(member)
    return b"" if found is None else found.read()
