"""The end of multiprocessing's fork server, of which its own interface knows nothing.

It ends when whoever began it has ended, and is then nobody's child: what it and all workers used is
told to nobody. So the daemon ends it, and waits for it. The names used here are multiprocessing's
own, and the same in Python 3.11 to 3.14; where one is missing, the server ends as it did before.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from multiprocessing import forkserver, resource_tracker

_SECONDS = 5.0


def end_fork_server(seconds: float = _SECONDS) -> None:
    """End the fork server, and the tracker that it began; one that does not end is killed."""
    server: object = forkserver._forkserver  # noqa: SLF001
    tracker: object = resource_tracker._resource_tracker  # noqa: SLF001
    with contextlib.suppress(AttributeError, OSError):
        _end(server, "_forkserver_alive_fd", "_forkserver_pid", seconds)
    with contextlib.suppress(AttributeError, OSError):
        _end(tracker, "_fd", "_pid", seconds)


def _end(holder: object, alive: str, pid: str, seconds: float) -> None:
    """Let go of what keeps a process alive, and wait for it."""
    number = getattr(holder, pid)
    if number is None:
        return
    os.close(getattr(holder, alive))
    setattr(holder, alive, None)
    setattr(holder, pid, None)
    life = os.pidfd_open(number)
    try:
        if not select.select([life], [], [], seconds)[0]:
            signal.pidfd_send_signal(life, signal.SIGKILL)
    finally:
        os.close(life)
    os.waitpid(number, 0)
