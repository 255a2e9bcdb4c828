"""What a signal's handler may touch.

`threading.Event` takes a lock: a handler that sets one while the same thread is in its `wait` or
`clear` waits for itself, for ever. A flag is one assignment; a ring is one byte in a pipe.
"""

from __future__ import annotations

import contextlib
import os
import select


class Flag:
    """Raised by a handler, asked and lowered by the program."""

    def __init__(self) -> None:
        self._raised = False

    def set(self) -> None:
        """Raise it."""
        self._raised = True

    def clear(self) -> None:
        """Lower it."""
        self._raised = False

    def is_set(self) -> bool:
        """Whether it is raised."""
        return self._raised


class Interruption:
    """A flag for which one can wait."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._flag = Flag()

    def set(self) -> None:
        """Raise it, and end a wait."""
        self._flag.set()
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def is_set(self) -> bool:
        """Whether it is raised."""
        return self._flag.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is raised, at most *seconds*; return whether it is."""
        select.select([self._read], [], [], seconds)
        return self.is_set()
