"""What a nemesis keeps for itself, and what must therefore be there in the end.

It believes nothing that vampd says: it knows what the cameras wrote, reads the delivered files with
astropy, and tells each frame by its stamp.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from tests.support.frames import read_file_stamps, usable_frames
from tests.support.trees import digests_of_tree
from vampd.simulation.truth import Truth


class Night(Struct, frozen=True, kw_only=True):
    """A night as the cameras wrote it."""

    date: str
    kind: str
    folder: Path
    far: Path
    truth: Truth
    raw: dict[str, str] = field(default_factory=dict)  #: SHA-256 of what was written, by path


class Witness:
    """Sees every name that an archive file ever had; none may come to mean other bytes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._looked: dict[Path, tuple[int, int]] = {}
        self.violations: list[str] = []

    def look(self, night: Night) -> None:
        """Take note of what bears a frame ID now."""
        for path in sorted((night.folder / "vgen2").glob("VMPA*.fits.fz")):
            try:
                status = path.stat()
                stamp = (status.st_ino, status.st_mtime_ns)
                if self._looked.get(path) == stamp:
                    continue
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                continue  # restored meanwhile
            self._looked[path] = stamp
            known = self._known.setdefault(path.name, (night.date, digest))
            if known != (night.date, digest):
                self.violations.append(f"{path.name}: {known} before, {night.date}, {digest} now")


def wrongs(night: Night) -> Iterator[str]:
    """What is not as it must be, of a night that is said to be safe."""
    raw = digests_of_tree(night.folder)
    for path, digest in night.raw.items():
        if raw.get(path) != digest:
            yield f"{night.date}: {path} is not what the camera wrote"
    counts = Counter(
        frame for path in sorted((night.far / "vgen2").glob("*.fits.fz")) for frame in _frames(path)
    )
    due = usable_frames(night.truth)
    for what, frames in (
        ("not delivered", due - counts.keys()),
        ("delivered, though never written", counts.keys() - due),
        ("delivered twice", {frame for frame, count in counts.items() if count > 1}),
    ):
        if frames:
            yield f"{night.date}: {len(frames)} frames {what}, {min(frames)} first"
    left = [path for path in (night.folder / ".vampd").rglob("*") if "scratch/" in str(path)]
    if left:
        yield f"{night.date}: {len(left)} files of scratch left over, {left[0].name} first"


def _frames(path: Path) -> Iterator[tuple[int, int, int]]:
    stamps = read_file_stamps(path)
    yield from zip(
        stamps.cameras.tolist(), stamps.scenes.tolist(), stamps.triggers.tolist(), strict=True
    )
