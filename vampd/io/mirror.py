"""Where a raw file lies, seen from a night's folder.

In the night's folder itself; but a shadow works on a mirror of a root, in which each camera's
folder is a link of the shadow's own making to the folder that the cameras write. Such a link is
honoured in a mirror alone: a folder of ours in which nobody else can write, and which names the
root that it mirrors. It leads to a camera's folder of the same night there, or it counts as none.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vampd.io.beneath import Beneath, is_link, link_target, open_file
from vampd.io.private import MIRROR_NAME
from vampd.layout import BACKUP_ENDING

_MOST_BYTES = 1 << 14
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def raw_file(night: Beneath, path: str) -> Beneath:
    """Where the file lies that *path*, relative to the night, names."""
    folder, _, name = path.partition("/")
    return raw_folder(night, folder) / name if name else night / folder


def raw_folder(night: Beneath, camera: str) -> Beneath:
    """Where the files of a camera's folder lie."""
    place = night / camera
    real = mirrored_root(night.root)
    if real is None or not is_link(place):
        return place
    target = link_target(place)
    is_camera = target.name in {camera, f"{camera}{BACKUP_ENDING}"}
    if target.parent != real / night.name or not is_camera:
        return place
    return Beneath(real, (night.name, target.name))


def mirrored_root(root: Path) -> Path | None:
    """The root that *root* is the mirror of; None: it is a root itself."""
    try:
        descriptor = open_file(Beneath(root) / MIRROR_NAME)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        owned = (os.fstat(descriptor), root.stat())
        if any(each.st_uid != os.geteuid() or each.st_mode & _OTHERS_MAY_WRITE for each in owned):
            return None
        return Path(os.fsdecode(file.read(_MOST_BYTES)).rstrip("\n"))
