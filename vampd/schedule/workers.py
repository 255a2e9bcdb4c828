"""One process a task, from a warm fork server; a dead one is noticed, and costs one task.

A killed worker of a multiprocessing.Pool hangs its caller for ever, and breaks every
future of a ProcessPoolExecutor. Here each task has its own process and pipe: what comes
through the pipe is the result, and an end without one is a crash. Whatever a worker says, or
does not say to its end, costs its own work and no other. This is the `Executor` of one machine.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import select
import signal
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from msgspec import Struct

from vampd.errors import InputError, VampdError
from vampd.io.held_by import is_stopped
from vampd.io.priority import give_way
from vampd.ledger.barrier import class_of, code_of, words_of
from vampd.plain_text import plain_text
from vampd.schedule.executor import Outcome
from vampd.states import ErrorClass, ErrorCode

J = TypeVar("J")

_PRELOAD = (
    "vampd.schedule.stage_table",
    "vampd.watch.inspect",
    "astropy.io.fits",
    "astropy.visualization",
)
_PR_SET_PDEATHSIG = 1
_JOIN_SECONDS = 1.0  # it has answered, or was killed: the loop waits no longer for its end

_LENGTH = struct.Struct("<Q")  # stands before an answer
# The plan of a night of 10^4 cubes has some 30 MB; the daemon has 256 MiB for all that it does.
_MOST_ANSWER_BYTES = 192 << 20
_READ_BYTES = 1 << 20
_READS_A_TURN = 1024
_BETWEEN_BYTES_SECONDS = 0.01


class _Answer(Struct, frozen=True, kw_only=True):
    """What a worker says through its pipe."""

    result: object = None  #: with an error: what was done before it
    error_class: ErrorClass | None = None
    code: ErrorCode | None = None
    error: str | None = None
    path: str | None = None


class _Seat:
    """A worker's process, and what it has said so far."""

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.why = ""  #: it was killed
        self._said = bytearray()
        self._has_ended = False
        os.set_blocking(pipe.fileno(), False)

    @property
    def length(self) -> int | None:
        """How many bytes the whole answer has, as it says itself; None: not known yet."""
        if len(self._said) < _LENGTH.size:
            return None
        length: int = _LENGTH.unpack_from(self._said)[0]
        return length

    @property
    def is_complete(self) -> bool:
        """Whether the whole answer is there."""
        return self.length is not None and len(self._said) >= _LENGTH.size + self.length

    def listen(self) -> bool:
        """Take what was said; return whether nothing more is to be waited for.

        One that falls silent in the middle costs the loop a moment, and is asked again next time.
        """
        for _ in range(_READS_A_TURN):
            if self._has_ended or self.is_complete or (self.length or 0) > _MOST_ANSWER_BYTES:
                return True
            if not self.pipe.poll(_BETWEEN_BYTES_SECONDS if self._said else 0):
                return False
            chunk = os.read(self.pipe.fileno(), _READ_BYTES)
            self._has_ended = not chunk
            self._said += chunk
        return False

    def answer(self) -> memoryview:
        """The whole answer."""
        return memoryview(self._said)[_LENGTH.size :]


class Workers:
    """The processes at work, by the key that `submit` gave."""

    def __init__(self, *, nice: int, preload: Sequence[str] = _PRELOAD) -> None:
        self._nice = nice
        self._context = multiprocessing.get_context("forkserver")
        # What every worker needs is imported once: without this module each task costs 0.1 s more.
        self._context.set_forkserver_preload([__name__, *preload])
        self._seats: dict[int, _Seat] = {}
        self._keys = count(1)

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def elsewhere(self) -> None:
        """All work is done here."""

    def submit(self, work: Callable[[J], object], job: J) -> int:
        """Do *work* with *job* in a process of its own; return the key of its outcome.

        What process or pickle cannot begin is raised: nothing goes on then.
        """
        key = next(self._keys)
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(theirs, work, job, self._nice, os.getpid()), daemon=True
        )
        with theirs:
            try:
                process.start()
            except BaseException:
                ours.close()
                raise
        self._seats[key] = _Seat(process, ours)
        return key

    def pipes(self) -> list[Connection]:
        """What becomes readable when a worker has something to say, or is dead."""
        return [seat.pipe for seat in self._seats.values()]

    def finished(self) -> list[Outcome[object]]:
        """The outcomes that are there; never waits for a worker that is still at it."""
        return [self._outcome(key) for key, seat in list(self._seats.items()) if seat.listen()]

    def stopped(self) -> dict[int, int]:
        """The processes, by key, that a signal stopped: no outcome comes of them until SIGCONT."""
        pids = {key: seat.process.pid for key, seat in self._seats.items()}
        return {key: pid for key, pid in pids.items() if pid is not None and is_stopped(pid)}

    def give_up(self, key: int, why: str) -> None:
        """Kill a worker that will say nothing; its outcome is that it died, and *why*."""
        seat = self._seats.get(key)
        if seat is not None:
            seat.why = why
            seat.process.kill()

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

    def _outcome(self, key: int) -> Outcome[object]:
        seat = self._seats.pop(key)
        if seat.is_complete:
            _dismiss(seat)
            return _understood(key, seat.answer())
        if (seat.length or 0) > _MOST_ANSWER_BYTES:
            seat.process.kill()
            _dismiss(seat)
            return _misshapen(key, f"has {seat.length} bytes, more than {_MOST_ANSWER_BYTES}")
        code = _dismiss(seat)
        error = seat.why or f"its worker died (exit status {code})"
        return Outcome(key=key, crashed=True, error=error)


def _understood(key: int, answer: memoryview) -> Outcome[object]:
    """What a worker's answer means; one that means nothing is a failure of its work."""
    try:
        told = pickle.loads(answer)  # noqa: S301 - of a process of ours
        if not isinstance(told, _Answer):
            return _misshapen(key, f"is {plain_text(repr(told), most=200)}")
        return Outcome(
            key=key,
            result=told.result,
            error_class=None if told.error_class is None else ErrorClass(told.error_class),
            code=None if told.code is None else ErrorCode(told.code),
            error=None if told.error_class is None else plain_text(str(told.error)),
            path=None if told.path is None else str(told.path),
        )
    except Exception as error:  # noqa: BLE001 - the other side of a task's boundary: see _answer
        return _misshapen(key, f"cannot be read: {words_of(error)}")


def _misshapen(key: int, why: str) -> Outcome[object]:
    error = f"the answer of its worker {why}"
    return Outcome(key=key, error_class=ErrorClass.DETERMINISTIC, error=error)


def _dismiss(seat: _Seat) -> int | None:
    seat.process.join(_JOIN_SECONDS)
    if seat.process.is_alive():
        seat.process.kill()
        seat.process.join(_JOIN_SECONDS)
    seat.pipe.close()
    return seat.process.exitcode


def _work(pipe: Connection, work: Callable[[J], object], job: J, nice: int, daemon: int) -> None:
    """The life of a worker of the process *daemon*."""
    _die_with_parent()
    _die_with(daemon)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the daemon decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    give_way(nice)
    answer = _answer(work, job)
    with open(pipe.fileno(), "wb", closefd=False) as told:
        told.write(_LENGTH.pack(len(answer)))
        told.write(answer)
    pipe.close()


def _answer(work: Callable[[J], object], job: J) -> bytes:
    """What came of the work, as it goes through the pipe; whatever it raises is told."""
    try:
        return _pickled(_attempt(work, job))
    except BaseException as error:  # noqa: BLE001 - the boundary of a task: a wish to exit, too
        told = _Answer(error_class=class_of(error), code=code_of(error), error=words_of(error))
        return pickle.dumps(told)


def _attempt(work: Callable[[J], object], job: J) -> _Answer:
    try:
        return _Answer(result=work(job))
    except VampdError as error:
        return _Answer(
            result=error.progress,
            error_class=error.error_class,
            code=code_of(error),
            error=words_of(error),
            path=error.path if isinstance(error, InputError) else None,
        )


def _pickled(told: _Answer) -> bytes:
    answer = pickle.dumps(told)
    if len(answer) > _MOST_ANSWER_BYTES:
        msg = f"a result of {len(answer)} bytes, more than {_MOST_ANSWER_BYTES}"
        raise ValueError(msg)
    return answer


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
