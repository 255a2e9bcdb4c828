"""Frames by their stamps, rows of timing files, and what the truth says of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vampd.simulation.pixels import Stamps, read_stamps
from vampd.simulation.truth import FileTruth, Truth


def read_frames(path: Path) -> NDArray[np.uint16]:
    """All frames of a raw cube or of a compressed output, (frames, height, width)."""
    from astropy.io import fits

    with fits.open(path, memmap=False) as units:
        frames = np.asarray(units[1 if path.suffix == ".fz" else 0].data, dtype=np.uint16)
    return frames[np.newaxis] if frames.ndim == 2 else frames


def read_file_stamps(path: Path) -> Stamps:
    """Who the frames of a raw cube or of a compressed output are."""
    return read_stamps(read_frames(path))


def read_rows(path: Path) -> list[list[str]]:
    """The words of every row of a timing file, comments left out."""
    lines = path.read_text(encoding="ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def column_us(rows: list[list[str]], column: int) -> NDArray[np.int64]:
    """A column (from 0) of Unix seconds in whole microseconds; what is finer is cut off."""
    values = []
    for row in rows:
        seconds, _, fraction = row[column].partition(".")
        values.append(int(seconds) * 10**6 + int(f"{fraction:<06}"[:6]))
    return np.array(values, dtype=np.int64)


def who(stamps: Stamps) -> set[tuple[int, int, int]]:
    """Frames as (camera, scene, trigger)."""
    return set(
        zip(
            stamps.cameras.tolist(),
            stamps.scenes.tolist(),
            stamps.triggers.tolist(),
            strict=True,
        )
    )


def usable_frames(truth: Truth) -> set[tuple[int, int, int]]:
    """Every frame that must be in exactly one output, as (camera, scene, trigger)."""
    return {
        (file.camera, file.scene, trigger)
        for file in truth.usable
        for trigger in good_triggers(file).tolist()
    }


def good_triggers(file: FileTruth) -> NDArray[np.int64]:
    """Trigger numbers of the frames that no bad row costs."""
    return np.delete(file.frames, file.rejected)


def triggers_seen_by_both(truth: Truth, scene: int) -> NDArray[np.int64]:
    """Triggers of which both cameras have a usable frame, in order."""
    seen = [
        [good_triggers(f) for f in truth.usable if f.scene == scene and f.camera == camera]
        for camera in (1, 2)
    ]
    if not all(seen):
        return np.array([], dtype=np.int64)
    first, second = (np.concatenate(one) for one in seen)
    return np.intersect1d(first, second)
