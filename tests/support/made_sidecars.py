"""Sidecars that vampd makes of raw cubes, without a daemon."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.raw_cubes import build_job, with_output
from vampd.io.fits import Tiles
from vampd.records import FileIdentity
from vampd.stages.build_cube import build_cube
from vampd.stages.sidecar import make_sidecar
from vampd.stages.sidecar_job import SidecarFile, SidecarJob
from vampd.states import FileState


def identity(path: Path) -> FileIdentity:
    status = path.stat()
    return FileIdentity(
        inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build_without(
    night: Path, cube: Path, *rejected: int, tiles: Tiles = "frame"
) -> dict[str, Any]:
    """Build an output of all frames but some; what the sidecar must know of the cube."""
    job = build_job(night, [cube], tiles=tiles)
    (output,) = job.outputs
    ((number, _, _, count),) = output.segments
    kept = [frame for frame in range(count) if frame not in rejected]
    segments = tuple((number, frame, 1, 1) for frame in kept)
    build_cube(with_output(job, segments=segments, acquired_us=output.acquired_us[kept]))
    return {
        "stored": "cube",
        "segments": tuple(
            (output.file_name, position, frame, 1, 1) for position, frame in enumerate(kept)
        ),
        "kept": tuple((frame, 1, 1) for frame in rejected),
    }


def entry(night: Path, path: Path, **more: Any) -> SidecarFile:
    known: dict[str, Any] = {
        "path": str(path.relative_to(night)),
        "state": FileState.WHOLE,
        "stored": "text",
        "who": identity(path),
        "sha256": sha256(path) if path.stat().st_size < 1 << 20 else None,
    }
    return SidecarFile(**{**known, **more})


def sidecar_job(night: Path, files: Sequence[SidecarFile]) -> SidecarJob:
    return SidecarJob(
        attempt=1,
        night=str(night),
        scratch=".vampd/scratch",
        kind="archive",
        date=night.name,
        batch=1,
        listed=None,
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def make(night: Path, cube: Path, **more: Any) -> Path:
    files = [entry(night, cube, **more), entry(night, cube.with_suffix(".txt"))]
    made = make_sidecar(sidecar_job(night, files)).sidecar
    assert made.sha256 == sha256(night / made.path)
    return night / str(made.path)
