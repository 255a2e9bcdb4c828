"""What a target may take, by the clock."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLongError(BaseException):
    """It takes too long. No reader may take this for an error of its own and go on."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """TooLongError: what is done takes longer. For the main thread only."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        msg = f"longer than {seconds:g} s"
        raise TooLongError(msg)

    handler = signal.signal(signal.SIGALRM, too_long)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
