"""A program at a real pseudo-terminal, and what a person in front of it sees."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyte

_SECONDS = 30.0

#: What would say another size than the terminal has, or take its colours.
_NOT_INHERITED = frozenset({"COLUMNS", "LINES", "NO_COLOR"})

#: What keys send: xterm's.
KEYS: Mapping[str, str] = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "ctrl+c": "\x03",
}


@dataclass(kw_only=True)
class Terminal:
    """The terminal's end that a person sees. *raw*: all that was ever written to it."""

    ours: int
    theirs: int
    child: subprocess.Popen[bytes]
    screen: pyte.Screen
    stream: pyte.ByteStream
    raw: bytearray = field(default_factory=bytearray)

    @property
    def lines(self) -> list[str]:
        """What is seen, without blanks at the ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """The same, as one text."""
        return "\n".join(self.lines)

    def press(self, *keys: str) -> None:
        """Type *keys*: of `KEYS`, or text as it stands."""
        for key in keys:
            os.write(self.ours, KEYS.get(key, key).encode())

    def see(self, *words: str) -> str:
        """Wait until all of *words* are on the screen; all that is there."""
        self._until(lambda: all(word in self.text for word in words), f"{words} on the screen")
        return self.text

    def end(self) -> int:
        """Wait until the program ends; its exit status."""
        self._until(lambda: self.child.poll() is not None, "the end")
        self._take()
        return self.child.returncode

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, as a window manager does."""
        _set_size(self.ours, columns, lines)
        self.screen.resize(lines, columns)
        self.screen.reset()
        self.child.send_signal(signal.SIGWINCH)

    def modes(self) -> list[Any]:
        """How the terminal is set: echo, line by line, and the rest (termios(3))."""
        return termios.tcgetattr(self.theirs)

    def _until(self, is_so: Any, what: str) -> None:
        until = time.monotonic() + _SECONDS
        while not is_so():
            assert time.monotonic() < until, f"no {what}; there is:\n{self.text}"
            self._take(0.05)

    def _take(self, seconds: float = 0.0) -> None:
        while select.select([self.ours], [], [], seconds)[0]:
            try:
                chunk = os.read(self.ours, 65536)
            except OSError:  # EIO: the last of theirs is closed
                return
            self.raw += chunk
            self.stream.feed(chunk)
            seconds = 0.0


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@contextmanager
def terminal(
    command: Sequence[str],
    *,
    columns: int = 80,
    lines: int = 24,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    """*command* at a terminal of that size, until this is left."""
    ours, theirs = pty.openpty()
    _set_size(theirs, columns, lines)
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    variables = {**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})}
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables, start_new_session=True
    )
    screen = pyte.Screen(columns, lines)
    try:
        yield Terminal(
            ours=ours, theirs=theirs, child=child, screen=screen, stream=pyte.ByteStream(screen)
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait(timeout=_SECONDS)
        os.close(ours)
        os.close(theirs)
