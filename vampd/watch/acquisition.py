"""What the cameras are writing right now: the newest cubes of each camera's folder.

For observers at work: it looks into the night's folder itself, whether or not a daemon runs, and
reads no more than the headers of the newest cubes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from vampd.errors import InputError
from vampd.io.beneath import Beneath, entries, exists, night_folder, status
from vampd.io.disk import free_bytes
from vampd.io.header import RawHeader, read_header
from vampd.layout import CAMERA_FOLDERS
from vampd.science.cards import parse_card
from vampd.time_units import SECOND_NS
from vampd.watch.naming import Role, classify

_RATE_SECONDS = 60  # bytes of the last minute
_SHOWN_CARDS = ("DATA-TYP", "OBJECT", "EXPTIME")


class CubeSeen(Struct, frozen=True, kw_only=True):
    """One of the newest cubes."""

    path: str
    size_bytes: int
    expected_bytes: int | None  #: by its header; None: there is no whole header yet
    frames: int | None
    width: int | None
    height: int | None
    cards: Mapping[str, Any]
    age_seconds: float  #: since it last changed
    is_temporary: bool = False  #: still under the logger's own name
    has_timing: bool = False


class CameraSeen(Struct, frozen=True, kw_only=True):
    """One camera's folder."""

    camera: int
    cubes: int
    size_bytes: int
    bytes_per_second: float  #: over the last minute
    without_timing: list[str]  #: cubes whose timing file is missing, the newest first
    newest: list[CubeSeen]  #: the newest first


class NightSeen(Struct, frozen=True, kw_only=True):
    """One look at a night's folder."""

    folder: str
    free_bytes: int
    cameras: list[CameraSeen]


def look_at_acquisition(folder: Path, *, now_ns: int, newest: int) -> NightSeen:
    """Look once; headers are read of the *newest* cubes of each camera.

    OSError: the folder is not there, or cannot be read.
    """
    night = night_folder(folder)
    status(night)
    return NightSeen(
        folder=str(folder),
        free_bytes=free_bytes(folder),
        cameras=[
            _camera(night, camera, name, now_ns, newest)
            for camera, name in enumerate(CAMERA_FOLDERS, start=1)
        ],
    )


def _camera(night: Beneath, camera: int, name: str, now_ns: int, newest: int) -> CameraSeen:
    cubes: dict[str, os.stat_result] = {}
    timings: set[str] = set()
    temporaries: set[str] = set()
    for entry, found in _entries(night / name):
        path = f"{name}/{entry}"
        named = classify(path)
        if named.role is Role.TIMING and named.stem is not None:
            timings.add(named.stem)
        elif named.role in {Role.CUBE, Role.TEMPORARY}:
            cubes[path] = found
            if named.role is Role.TEMPORARY:
                temporaries.add(path)
    order = sorted(cubes, key=lambda path: (cubes[path].st_mtime_ns, path), reverse=True)
    recent_ns = now_ns - _RATE_SECONDS * SECOND_NS
    recent = sum(found.st_size for found in cubes.values() if found.st_mtime_ns >= recent_ns)
    return CameraSeen(
        camera=camera,
        cubes=len(cubes) - len(temporaries),
        size_bytes=sum(found.st_size for found in cubes.values()),
        bytes_per_second=recent / _RATE_SECONDS,
        without_timing=[
            path for path in order if path not in temporaries and classify(path).stem not in timings
        ],
        newest=[
            replace(
                _cube(night, path, cubes[path], now_ns),
                is_temporary=path in temporaries,
                has_timing=classify(path).stem in timings,
            )
            for path in order[:newest]
        ],
    )


def _entries(folder: Beneath) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files of a camera's folder; one that goes meanwhile is not there."""
    if not exists(folder):
        return
    for entry in entries(folder):
        try:
            if entry.is_file(follow_symlinks=False):
                yield entry.name, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue


def _cube(night: Beneath, path: str, found: os.stat_result, now_ns: int) -> CubeSeen:
    header = _header(night / path)
    values = {} if header is None else dict(map(parse_card, reversed(header.cards)))
    return CubeSeen(
        path=path,
        size_bytes=found.st_size,
        expected_bytes=None if header is None else header.expected_size_bytes,
        frames=None if header is None else header.frames,
        width=None if header is None else header.width,
        height=None if header is None else header.height,
        cards={name: values.get(name) for name in _SHOWN_CARDS},
        age_seconds=max(0, now_ns - found.st_mtime_ns) / SECOND_NS,
    )


def _header(path: Beneath) -> RawHeader | None:
    try:
        return read_header(path)
    except (InputError, OSError):
        return None
