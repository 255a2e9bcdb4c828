"""What workers are given to do: each ends in another way."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from vampd.errors import InputError, RetryableError
from vampd.io.process import run
from vampd.watch import inspect
from vampd.watch.inspect import DigestJob, Digests, Inspections, InspectJob

Body = Callable[[Any], Any]

POISON = "06:10:00"  #: in the name of a file that kills who reads it

_inspect, _digest = inspect.work, inspect.sha256_files


def double(number: int) -> int:
    return 2 * number


def large(size_bytes: int) -> bytes:
    return b"x" * size_bytes


def refuse(why: str) -> None:
    raise RetryableError(why)


def refuse_file(path: str) -> None:
    msg = f"{path}: no EXPTIME"
    raise InputError(msg, path=path)


def blunder(number: int) -> float:
    return 1 / number


def fill_disk(_: object) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def fill_memory(_: object) -> bytearray:
    return bytearray(2**62)


def answer_what_no_pipe_can_carry(_: object) -> Any:
    return lambda: None


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(pipes: tuple[str, str]) -> str:
    """Say who we are on the first named pipe; return what comes on the second."""
    told, awaited = (Path(pipe) for pipe in pipes)
    told.write_text(str(os.getpid()))
    return awaited.read_text()


def classes_of_a_program(_job: object) -> list[str]:
    """The classes of disk and processor that a program has which a worker starts."""
    ask = "ionice; exec python3 -c 'import os; print(os.sched_getscheduler(0))'"
    return run(["sh", "-c", ask], deadline_seconds=20).stdout.decode().split()


def priority(_: object) -> int:
    return os.nice(0)


def inspect_or_die(job: InspectJob) -> Inspections:
    if any(POISON in cube for cube, _ in job.cubes):
        die(job)
    return _inspect(job)


def digest_or_die(job: DigestJob) -> Digests:
    if any(POISON in file for file in job.files):
        die(job)
    return _digest(job)


def leave(_: object) -> None:
    raise SystemExit(0)


def interrupt(_: object) -> None:
    raise KeyboardInterrupt


def descend(_: object) -> None:
    descend(_)


class Unreadable:
    """Pickled without complaint, and unpickled by none."""

    def __reduce__(self) -> Any:
        return refuse, ("no object comes of this",)


def answer_what_nobody_can_read(_: object) -> Unreadable:
    return Unreadable()


def answer_what_is_nested_too_deep(_: object) -> list[Any]:
    nested: list[Any] = []
    for _each in range(100_000):
        nested = [nested]
    return nested


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError


def fail_without_words(_: object) -> None:
    raise SpeechlessError


def fail_about_a_strange_name(_: object) -> None:
    msg = f"a\udcff\0\x1b[31mb\nc: {'long' * 10_000} end"
    raise RetryableError(msg)


def say_half(_: object) -> None:
    """Write half of an answer straight into the pipe, and then hang."""
    _pipe_of_this_worker().write(b"\x10\0\0\0\0\0\0\0half")
    signal.pause()


def promise_too_much(_: object) -> None:
    _pipe_of_this_worker().write(b"\xff" * 16)
    signal.pause()


def say_what_is_no_answer(words: object) -> None:
    answer = pickle.dumps(words)
    _pipe_of_this_worker().write(len(answer).to_bytes(8, "little") + answer)
    signal.pause()


def _pipe_of_this_worker() -> Any:
    """The pipe to the daemon, as the worker's own code holds it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and "pipe" not in frame.f_locals:
        frame = frame.f_back
    assert frame is not None
    return open(frame.f_locals["pipe"].fileno(), "wb", buffering=0, closefd=False)


def compute_for(seconds: float) -> None:
    """Use a processor for so long."""
    while time.process_time() < seconds:
        pass
