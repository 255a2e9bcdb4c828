"""How much of the time others on this machine wait for its disks or its memory.

Linux tells it since 4.20, as "pressure stall information": `/proc/pressure/io` of all tasks, and
with control groups of version 2, `io.pressure` of each group. What vampd itself waits for is no
reason to give way: where it has a group of its own, as under systemd, only the others count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

Resource: TypeAlias = Literal["io", "memory"]

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
_SOME = re.compile(r"^some avg10=([0-9.]+) ", re.MULTILINE)


def waiting_percent(resource: Resource, proc: Path = _PROC, groups: Path = _GROUPS) -> float | None:
    """The percentage of the last 10 s in which some task waited for it; None: nobody tells."""
    others = [
        percent
        for group in _other_groups(proc, groups)
        if (percent := _some(group / f"{resource}.pressure")) is not None
    ]
    return max(others) if others else _some(proc / "pressure" / resource)


def _some(file: Path) -> float | None:
    try:
        found = _SOME.search(file.read_text(encoding="ascii"))
    except OSError:
        return None
    return None if found is None else float(found[1])


def _other_groups(proc: Path, groups: Path) -> Iterator[Path]:
    """Beside our own group, and beside each that it is in; none where groups are not used."""
    try:
        lines = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line[4:] for line in lines if line.startswith("0::/")), "")
        folder = groups
        for part in filter(None, own.split("/")):
            for group in folder.iterdir():
                if group.name != part and group.is_dir():
                    yield group
            folder /= part
    except OSError:
        return
