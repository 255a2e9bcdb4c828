"""One process a task, from a warm fork server; a dead one is noticed, and costs one task.

A killed worker of a multiprocessing.Pool hangs its caller for ever, and breaks every
future of a ProcessPoolExecutor. Here each task has its own process and pipe: what comes
through the pipe is the result, and an end without one is a crash.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import multiprocessing
import os
import select
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from vampd.errors import InputError, VampdError
from vampd.states import ErrorClass

log = logging.getLogger(__name__)

Body = Callable[[Any], Any]

_PRELOAD = ["vampd.schedule.rooms", "astropy.io.fits"]
_PR_SET_PDEATHSIG = 1
_SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_JOIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one piece of work ended: with a result, an error, or a dead process."""

    key: int
    result: Any = None  #: with an error: what was done before it
    error_class: ErrorClass | None = None
    error: str | None = None
    path: str | None = None  #: the bad raw file of an input error
    crashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seat:
    process: BaseProcess
    pipe: Connection


class Workers:
    """The processes at work, by a key of the caller's."""

    def __init__(self, *, nice: int) -> None:
        self._nice = nice
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOAD)
        self._seats: dict[int, _Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def start(self, key: int, body: Body, job: object) -> None:
        """Do *body* of *job* in a process of its own."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(theirs, body, job, self._nice, os.getpid()), daemon=True
        )
        process.start()
        theirs.close()
        self._seats[key] = _Seat(process=process, pipe=ours)

    def pipes(self) -> list[Connection]:
        """What becomes readable when a worker has something to say, or is dead."""
        return [seat.pipe for seat in self._seats.values()]

    def finished(self) -> list[Outcome]:
        """The outcomes that are there; never waits for a worker that is still at it."""
        return [self._outcome(key) for key, seat in list(self._seats.items()) if seat.pipe.poll(0)]

    def cancel(self, keys: Iterable[int]) -> None:
        """Kill the workers of *keys*; what they were at is left as it is."""
        for key in keys:
            seat = self._seats.pop(key, None)
            if seat is not None:
                seat.process.kill()
                _dismiss(seat)

    def stop(self) -> None:
        """Kill all workers."""
        self.cancel(list(self._seats))

    def _outcome(self, key: int) -> Outcome:
        seat = self._seats.pop(key)
        try:
            outcome: dict[str, Any] = seat.pipe.recv()
        except (EOFError, OSError):
            code = _dismiss(seat)
            return Outcome(key=key, crashed=True, error=f"its worker died (exit status {code})")
        _dismiss(seat)
        return Outcome(key=key, **outcome)


def _dismiss(seat: _Seat) -> int | None:
    seat.process.join(_JOIN_SECONDS)
    if seat.process.is_alive():
        seat.process.kill()
        seat.process.join(_JOIN_SECONDS)
    seat.pipe.close()
    return seat.process.exitcode


def _work(pipe: Connection, body: Body, job: object, nice: int, daemon: int) -> None:
    """The life of a worker of the process *daemon*."""
    _die_with_parent()
    _die_with(daemon)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the daemon decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(max(0, nice - os.nice(0)))
    pipe.send(_attempt(body, job))
    pipe.close()


def _attempt(body: Body, job: object) -> dict[str, Any]:
    try:
        return {"result": body(job)}
    except VampdError as error:
        path = error.path if isinstance(error, InputError) else None
        return {
            "result": error.progress,
            "error_class": error.error_class,
            "error": str(error),
            "path": path,
        }
    except Exception as error:  # noqa: BLE001 - the boundary of a task: whatever it is, it is told
        return _unexpected(error)


def _unexpected(error: Exception) -> dict[str, Any]:
    is_shortage = isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in _SHORTAGES
    )
    if is_shortage:
        return {"error_class": ErrorClass.RESOURCE, "error": f"{error}"}
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.name}, line {last.lineno}"
    text = f"{type(error).__name__}: {error} ({where})"
    return {"error_class": ErrorClass.DETERMINISTIC, "error": text}


def _die_with_parent() -> None:
    """Ask the kernel to kill this worker when the fork server dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:  # it died before we asked
        os._exit(1)


def _die_with(daemon: int) -> None:
    """End this worker, whatever it is at, when the process *daemon* has ended.

    The fork server does not die with the daemon: it waits until every process that it forked
    has ended. A worker of a dead daemon would go on beside the next daemon's.
    """
    try:
        life = os.pidfd_open(daemon)
    except ProcessLookupError:
        os._exit(1)
    threading.Thread(target=_end_after, args=(life,), daemon=True).start()


def _end_after(life: int) -> None:
    """Wait for the end of the process behind *life*; then there is no other end for this one."""
    select.select([life], [], [])
    os.kill(os.getpid(), signal.SIGKILL)
