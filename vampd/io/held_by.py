"""What the kernel tells of processes: who has a file locked (proc_locks(5)), who is stopped."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from msgspec import Struct

_LOCKS = Path("/proc/locks")

#: `1: POSIX  ADVISORY  READ 4711 08:01:1835 123 126`; a line with `->` only waits for a lock.
_LINE = re.compile(
    r"\d+: (?P<kind>\S+) +\S+ +(?P<access>READ|WRITE) +(?P<pid>-?\d+)"
    r" +(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+):(?P<inode>\d+) +(?P<first>\d+) +(?P<last>\d+|EOF)"
)


class Held(Struct, frozen=True, kw_only=True):
    """One lock on bytes *first* to *last* (None: to the end) of a file."""

    pid: int
    kind: str  #: FLOCK, POSIX, OFDLCK, LEASE
    writes: bool
    first: int
    last: int | None


def locks_on(path: Path) -> list[Held]:
    """The locks on *path* of processes that this one may know of; none where it is not there."""
    try:
        found = path.stat()
        text = _LOCKS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    device = (os.major(found.st_dev), os.minor(found.st_dev))
    return [
        _held(line)
        for line in map(_LINE.fullmatch, text.splitlines())
        if line
        and int(line["pid"]) > 0  # of another container: no number here
        and int(line["inode"]) == found.st_ino
        and (int(line["major"], 16), int(line["minor"], 16)) == device
    ]


def process_text(pid: int) -> str:
    """How an operator finds the process: `pid 4711 (vampd of alice)`."""
    folder = Path("/proc", str(pid))
    try:
        name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        uid = folder.stat().st_uid
    except OSError:  # ended meanwhile, or hidden from this service
        return f"pid {pid}"
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = f"uid {uid}"
    return f"pid {pid} ({name} of {owner})"


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped the process (SIGSTOP, SIGTSTP): it neither goes on nor ends."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended
        return False
    return text.rpartition(") ")[2].startswith("T")


def _held(line: re.Match[str]) -> Held:
    return Held(
        pid=int(line["pid"]),
        kind=line["kind"],
        writes=line["access"] == "WRITE",
        first=int(line["first"]),
        last=None if line["last"] == "EOF" else int(line["last"]),
    )
