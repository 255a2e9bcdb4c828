"""A screen that is painted anew every few seconds, until Ctrl-C; the terminal is left as it was."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

import click

from vampd.io.signals import Interruption

#: How often the screen is painted.
EVERY_SECONDS = 2.0

_FOLLOW_SECONDS = 1.0

# ECMA-48 and xterm's own: a second screen, no cursor; home, clear to the line's or screen's end.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


def is_terminal() -> bool:
    """Whether standard output is a terminal on which a screen can be painted."""
    return sys.stdout.isatty()


def until_interrupted(work: Callable[[], Iterator[None]]) -> None:
    """Do one step of *work* a second, until Ctrl-C or a request to end: neither is a failure."""
    stop = Interruption()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        for _ in work():
            sys.stdout.flush()
            if stop.wait(_FOLLOW_SECONDS):
                return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Live:
    """The terminal's second screen. Ctrl-C and a request to end leave it, and are no failure."""

    def __init__(self) -> None:
        self._stop = Interruption()
        self._last: Sequence[str] = ()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked_to_stop)
        sys.stdout.write(_ENTER)
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.stdout.write(_LEAVE)
        # What was seen last stays to be read, and to be copied from.
        for line in self._last:
            click.echo(line)
        sys.stdout.flush()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def repeat(self, look: Callable[[], Sequence[str]]) -> None:
        """Paint what *look* says now; again after `EVERY_SECONDS`, until asked to stop."""
        while not self._stop.is_set():
            self._last = look()
            self._paint()
            self._stop.wait(EVERY_SECONDS)

    def _paint(self) -> None:
        """All that fits; a line that is too long for the terminal would push the others up."""
        height = shutil.get_terminal_size().lines
        shown = list(self._last)
        if len(shown) > height:
            shown = [*shown[: height - 1], f"({len(self._last) - height + 1} more lines)"]
        painted = f"{_CLEAR_LINE}\r\n".join(shown)
        sys.stdout.write(f"{_HOME}{painted}{_CLEAR_LINE}{_CLEAR_REST}")
        sys.stdout.flush()

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
