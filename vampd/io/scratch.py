"""Who writes a scratch file, as its name tells, so that nobody clears what may be at work.

A name ends in host, life and process: `.HOST.LIFE.PID`. A life is one of the host's, from boot to
boot, as this process sees it (its name space of processes is part of it). What a process of this
host left is over when the host was booted since, or when there is no such process any more. Of
another host nobody here can tell.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path

from msgspec import Struct

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")
_LONGEST_HOST = 40  # of 255 bytes that a name may have
_OWNED = re.compile(r"(.*)\.([A-Za-z0-9-]+)\.([0-9a-f]{12})\.([0-9]+)", re.DOTALL)


class Owner(Struct, frozen=True, kw_only=True):
    """A process of some host."""

    host: str
    life: str  #: of the host, twelve hexadecimal digits
    pid: int

    def __str__(self) -> str:
        return f"{self.host}.{self.life}.{self.pid}"


def own() -> Owner:
    """The process that asks."""
    return Owner(host=_host(os.uname().nodename), life=_life(), pid=os.getpid())


def owned(name: str, owner: Owner | None = None) -> str:
    """A name of scratch for *name*, of *owner* alone; of this process where that is None."""
    return f"{name}.{owner or own()}"


def owner_of(name: str) -> tuple[str, Owner] | None:
    """For what a name of scratch is, and whose; None: it is none."""
    match = _OWNED.fullmatch(name)
    if match is None:
        return None
    return match[1], Owner(host=match[2], life=match[3], pid=int(match[4]))


def is_over(owner: Owner) -> bool:
    """Whether *owner* is known to write nothing any more, because it was one of this host.

    False for this process, and for every one of another host: at work, perhaps.
    """
    here = own()
    if owner.host != here.host or owner == here:
        return False
    return owner.life != here.life or not _is_alive(owner.pid)


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}  # dead, and not buried yet


def _host(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)[:_LONGEST_HOST] or "-"


@cache
def _life() -> str:
    told = f"{_BOOT.read_text(encoding='ascii').strip()} {_PROCESSES.readlink()}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]
