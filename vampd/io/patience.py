"""Questions that may never be answered: a disk that hangs must not hang who asks after it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

_CHUNK_BYTES = 65_536

#: Processes that were killed and had not ended when that was last looked at.
_unburied: list[int] = []


class Inquiry:
    """A question, asked in a process of its own from the moment that this is made.

    A process, not a thread: a system call on a network disk that is gone cannot be interrupted
    from within, and a program that waits for such a thread never ends. *question* returns what
    JSON can hold, and touches nothing that this process shares with it.
    """

    def __init__(self, question: Callable[[], Any]) -> None:
        self._said: Any | None = None
        self._answers, write = os.pipe()
        self._child: int | None = os.fork()
        if self._child == 0:
            _answer(question, write)
        os.close(write)

    def answer(self, *, until_ns: int) -> Any | None:
        """What was answered, or None: not by *until_ns* on the monotonic clock, or with an error.

        The first call decides.
        """
        if self._child is None:
            return self._said
        text = b""
        while True:
            left_seconds = max(0.0, (until_ns - time.monotonic_ns()) / 1e9)
            if not select.select([self._answers], [], [], left_seconds)[0]:
                break
            chunk = os.read(self._answers, _CHUNK_BYTES)
            if not chunk:
                break
            text += chunk
        os.close(self._answers)
        _end(self._child)
        self._child = None
        with contextlib.suppress(ValueError):
            self._said = json.loads(text)
        return self._said


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _unburied.append(child)
    _unburied[:] = [child for child in _unburied if not _is_buried(child)]


def _answer(question: Callable[[], Any], write: int) -> None:
    """In the child: answer, and end at once, without a word of what the parent had open."""
    try:
        os.write(write, json.dumps(question()).encode())
    finally:
        os._exit(0)


def _is_buried(child: int) -> bool:
    """Whether the child has ended; one that hangs in the kernel is not waited for."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True
