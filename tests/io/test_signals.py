"""A handler may run at any instruction, and must never wait for the program that it interrupts."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vampd.io.signals import Flag, Interruption


@contextmanager
def hail(flag: Flag | Interruption, every_seconds: float) -> Iterator[None]:
    """Signals as fast as they come, each of which raises *flag*."""

    def strike(_number: int, _frame: FrameType | None) -> None:
        flag.set()

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, every_seconds, every_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_flag_can_be_lowered_while_signals_raise_it() -> None:
    flag = Flag()

    with hail(flag, 0.00005):
        for _ in range(100_000):
            flag.clear()
            flag.is_set()

    flag.set()
    assert flag.is_set()


def test_one_can_wait_while_signals_come() -> None:
    interruption = Interruption()

    with hail(interruption, 0.00005):
        waited = [interruption.wait(0.0001) for _ in range(3_000)]

    assert all(waited[-100:])


def test_a_wait_ends_when_it_is_interrupted() -> None:
    interruption = Interruption()
    threading.Timer(0.1, interruption.set).start()
    began = time.monotonic()

    assert interruption.wait(60)
    assert time.monotonic() - began < 30


def test_a_wait_that_nobody_interrupts_ends_in_time() -> None:
    assert not Interruption().wait(0.01)
