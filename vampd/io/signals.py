"""What a signal's handler may touch.

`threading.Event` takes a lock: a handler that sets one while the same thread is in its `wait` or
`clear` waits for itself, for ever. A flag is one assignment; a ring is one byte in a pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from types import FrameType


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


class Alarm:
    """Wakes a daemon's loop from any thread or signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.scan = threading.Event()
        self.stop = Flag()
        self.reload = Flag()

    def ring(self) -> None:
        """Let the loop go round once."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def ring_scan(self) -> None:
        """Let the loop look at the nights."""
        self.scan.set()
        self.ring()

    def fileno(self) -> int:
        """What becomes readable when somebody rang."""
        return self._read

    def silence(self) -> None:
        """Forget all rings so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def listen(self) -> None:
        """Let signals ring: TERM and INT stop, HUP reloads the configuration."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop.set()
        self.ring()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload.set()
        self.ring()
