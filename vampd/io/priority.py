"""How a process and all that it starts give way to the cameras: processor and disk."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress

#: The niceness with which a process takes only what nobody else wants.
LAST = 19

# ioprio_set(2), for which the C library has no function; the class stands in the upper bits.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_PROCESS = 1
_CLASS_IDLE = 3 << 13
_NORMAL = os.sched_param(0)


def give_way(nice: int) -> None:
    """Be at least so *nice*; with 19, leave processor and disk to whoever else wants them.

    Programs started later inherit it: rsync, ssh, funpack. What the kernel does not grant is left;
    and a disk whose scheduler knows no classes treats all alike.
    """
    os.nice(max(0, nice - os.nice(0)))
    if nice < LAST:
        return
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, _NORMAL)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None, use_errno=True).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE)
