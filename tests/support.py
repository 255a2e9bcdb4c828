"""What tests of every part share: the reference night, the truth, stamps, trees of files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from numpy.typing import NDArray

from vampd.cli import group
from vampd.io.beneath import Beneath
from vampd.records import FileIdentity
from vampd.simulation.pixels import Stamps, read_stamps
from vampd.simulation.truth import FileTruth, Truth

REFERENCE_DATE = "20251106"

_CHECKOUT = Path(__file__).resolve().parent.parent
_REFERENCE = Path(
    os.environ.get("VAMPD_REFERENCE_NIGHT", _CHECKOUT.parent / "shared/nights/reference")
)
#: The reference night as the earlier pipeline's own programs left it.
INCUMBENT_NIGHT = _REFERENCE.parent / "incumbent" / REFERENCE_DATE
needs_incumbent_night = pytest.mark.skipif(
    not INCUMBENT_NIGHT.is_dir(), reason=f"no night of the earlier pipeline in {INCUMBENT_NIGHT}"
)
#: Its truth calls a cube without EXPTIME faultless, because the fault is in the header.
_REFERENCE_QUARANTINED = "no-exptime"

has_reference_night = (_REFERENCE / REFERENCE_DATE).is_dir()
needs_reference_night = pytest.mark.skipif(
    not has_reference_night, reason=f"no reference night in {_REFERENCE}"
)


def below(path: Path) -> Beneath:
    """*path*, as a name in a folder that is named outright."""
    return Beneath(path.parent, (path.name,))


def reference_night() -> Path:
    """The reference night's folder, which is read-only: copy it before running on it."""
    return _REFERENCE / REFERENCE_DATE


def copy_reference_night(root: Path) -> Path:
    """Copy the reference night to *root*/20251106, writable, and return that folder."""
    night = root / REFERENCE_DATE
    shutil.copytree(reference_night(), night)
    for path in (night, *night.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return night


def reference_truth() -> Truth:
    """What really happened in the reference night."""
    truth = Truth.load(_REFERENCE / f"{REFERENCE_DATE}.truth.json")
    bad = {scene.scene for scene in truth.scenes if scene.name == _REFERENCE_QUARANTINED}
    return replace(
        truth,
        files=tuple(
            replace(file, quarantined=file.quarantined or file.scene in bad) for file in truth.files
        ),
    )


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


def digests_of_tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below *folder*, by its path in there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identities_of_tree(folder: Path) -> dict[str, FileIdentity]:
    """What tells an untouched file from a rewritten one, for every file below *folder*."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = FileIdentity(
                inode=status.st_ino,
                size_bytes=status.st_size,
                modified_ns=status.st_mtime_ns,
            )
    return found


def command_of(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that *words* (without `vampd`) name, and the words after its name."""
    command: click.Command = group
    context = click.Context(group, info_name="vampd", **group.context_settings)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {' '.join(words)}"
        context = click.Context(found, info_name=rest.pop(0), parent=context)
        command = found
    return command, rest
