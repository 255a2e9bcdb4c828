"""The reference night, its truth, and the same night as the earlier pipeline left it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from vampd.simulation.truth import Truth

REFERENCE_DATE = "20251106"

_CHECKOUT = Path(__file__).resolve().parents[2]
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
