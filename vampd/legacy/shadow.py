"""The daemon beside the earlier pipeline: the same folders, and not a byte written in them.

A shadow works on a mirror of the roots below its own state folder. A night of the mirror is a
real folder, in which `vcam1` and `vcam2` are links to where the raw files are; whatever a stage
writes into a night lands in the mirror. It plans, if asked it builds, and there it ends: no frame
ID, no far side, no mail, no root marker, no order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from vampd.errors import ConfigError, OperatorError
from vampd.io.beneath import (
    Beneath,
    create,
    create_folder,
    create_link,
    is_empty,
    is_link,
    link_target,
    night_folder,
    remove,
    replace,
)
from vampd.io.disk import is_mount_point
from vampd.io.private import MIRROR_NAME
from vampd.layout import CAMERA_FOLDERS
from vampd.settings.sections import READING, Config, Control, Root, Watch
from vampd.states import Kind, Stage
from vampd.watch.incumbent import raw_place
from vampd.watch.run_mode import RunMode
from vampd.watch.scan import find_nights

_FOLDER = "shadow"
_OURS_ALONE = 0o755  # to write
_SOCKET_PATH_BYTES = 107  # sun_path holds 108, the last of them NUL


def shadow_state(config: Config) -> Path:
    """Where the shadow of the daemon with this configuration keeps its ledger and its mirror."""
    return config.state_dir / _FOLDER


def shadow_stages(*, build: bool) -> Mapping[Kind, tuple[Stage, ...]]:
    """The stages that nights have in a shadow."""
    stages = (Stage.SYNC, Stage.BUILD) if build else (Stage.SYNC,)
    return dict.fromkeys(Kind, stages)


def refuse_order(order: str, _arguments: Mapping[str, Any], _actor: str) -> dict[str, Any]:
    """A shadow takes no orders."""
    msg = f"{order}: this daemon is a shadow; it takes no orders"
    raise OperatorError(msg)


class Mirror:
    """The roots as a shadow sees them."""

    def __init__(self, *, build: bool = False) -> None:
        self.run_mode = RunMode(stages=shadow_stages(build=build), renew=self.renew)
        self._real: dict[Path, Path] = {}
        self._disks: dict[Path, tuple[int, int]] = {}

    def settings(self, config: Config) -> Config:
        """The settings of the shadow: its own state folder, roots and socket; scans, no events."""
        state = shadow_state(config)
        _check_socket(state)
        roots = tuple(changed(root, path=state / root.kind) for root in config.roots)
        self._real = {
            mirrored.path: root.path for mirrored, root in zip(roots, config.roots, strict=True)
        }
        return changed(
            config,
            state_dir=state,
            roots=roots,
            watch=Watch(events=False),
            control=Control(),
        )

    def renew(self, root: Root) -> str | None:
        """Make the mirrored *root* like the real one; return why that must be left alone, if so."""
        real = self._real[root.path]
        try:
            why = self._why_absent(real)
            if why is not None:
                return why
            root.path.mkdir(parents=True, exist_ok=True)
            root.path.chmod(_OURS_ALONE)  # whatever the umask says: see `mirrored_root`
            _write(Beneath(root.path) / MIRROR_NAME, f"{real}\n")
            for folder in find_nights(real).folders:
                _renew_night(folder, night_folder(root.path / folder.name))
        except OSError as error:
            return f"{real}: {error.strerror}"
        return None

    def _why_absent(self, real: Path) -> str | None:
        """A shadow leaves no marker: a root is the one that was there when the shadow began."""
        if not real.is_dir() or (not is_mount_point(real) and is_empty(Beneath(real))):
            return f"{real}: not there, or an empty folder on which nothing is mounted"
        status = real.stat()
        disk = (status.st_dev, status.st_ino)
        if self._disks.setdefault(real, disk) != disk:
            return f"{real}: not the disk that was there when the shadow began"
        return None


def _check_socket(state: Path) -> None:
    """ConfigError: the shadow's socket would have a longer path than unix(7) allows."""
    length = len(os.fsencode(state / f"vampd{READING}.sock"))
    if length > _SOCKET_PATH_BYTES:
        msg = f"{state}: too long a path for a shadow's socket ({length} bytes): shorten state_dir"
        raise ConfigError(msg)


def _renew_night(real: Path, mirrored: Beneath) -> None:
    create_folder(mirrored)
    for camera in CAMERA_FOLDERS:
        place = raw_place(real, camera)
        link = mirrored / camera
        if place is None:
            remove(link, missing_ok=True)
        elif not is_link(link) or link_target(link) != place:
            scratch = mirrored / f".{camera}"
            remove(scratch, missing_ok=True)
            create_link(scratch, place)
            replace(scratch, link)


def _write(where: Beneath, text: str) -> None:
    scratch = where.with_name(f".{where.name}")
    remove(scratch, missing_ok=True)
    with os.fdopen(create(scratch), "w", encoding="utf-8") as file:
        file.write(text)
    replace(scratch, where)
