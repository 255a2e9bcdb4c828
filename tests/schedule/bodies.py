"""What workers are given to do: each ends in another way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from vampd.errors import InputError, RetryableError
from vampd.watch import inspect

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


def priority(_: object) -> int:
    return os.nice(0)


def inspect_or_die(job: Any) -> dict[str, Any]:
    if any(POISON in cube for cube, _ in job["cubes"]):
        die(job)
    return _inspect(job)


def digest_or_die(job: Any) -> dict[str, Any]:
    if any(POISON in file for file in job["files"]):
        die(job)
    return _digest(job)
