"""The builder's side: what Dask's worker calls. Each piece is done in a process of its own.

Dask may hand out a piece a second time by itself: when it lost sight of whoever had it, or of its
result. Here it is begun once, by the process for which it was meant, and by no other. So what Dask
makes of a lost builder decides nothing.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from functools import cache
from typing import BinaryIO, cast

from vampd.builders.card import Card, Question, look_at, own_make
from vampd.builders.line import framed, read_message
from vampd.io.scratch import own
from vampd.schedule.executor import Outcome
from vampd.states import ErrorClass


class Bench:
    """Where a builder does one piece after the other."""

    def __init__(self) -> None:
        self.process = uuid.uuid4().hex
        self._daemon = ""
        self._begun: set[str] = set()
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._at_work: str | None = None
        self._helper: subprocess.Popen[bytes] | None = None

    @property
    def at_work(self) -> str | None:
        """The piece that is being done."""
        return self._at_work

    def serve(self, daemon: str) -> None:
        """Another *daemon* is at work: what the one before handed out is over."""
        with self._state:
            if daemon != self._daemon:
                self._daemon = daemon
                self._end_helper()

    def do(self, token: str, work: bytes, seconds: float) -> Outcome[object]:
        """Do a piece, once; one that is not done after so many *seconds* is ended."""
        with self._turn:
            with self._state:
                if token in self._begun:
                    return _refused("it was begun here before")
                self._begun.add(token)
                helper = self._ready_helper()
                self._at_work = token
            try:
                return _answer_of(helper, work, seconds) or self._given_up(seconds)
            except (OSError, EOFError, ValueError):
                return Outcome(key=0, crashed=True, error="its process was ended")
            finally:
                with self._state:
                    self._at_work = None
                    if helper is not self._helper:
                        _close(helper)

    def leave_off(self, token: str) -> None:
        """End a piece, if it is being done; one that comes yet is not begun."""
        with self._state:
            self._begun.add(token)
            if self._at_work == token:
                self._end_helper()

    def _given_up(self, seconds: float) -> Outcome[object]:
        with self._state:
            self._end_helper()
        return _refused(f"it was not done after {seconds:g} s, and given up")

    def _ready_helper(self) -> subprocess.Popen[bytes]:
        if self._helper is None or self._helper.poll() is not None:
            self._end_helper()
            command = [sys.executable, "-m", "vampd.builders.helper"]
            self._helper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._helper

    def _end_helper(self) -> None:
        helper, self._helper = self._helper, None
        if helper is not None and helper.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(helper.pid, signal.SIGKILL)
            helper.wait()
        if helper is not None and self._at_work is None:  # else whoever waits for it closes it
            _close(helper)


@cache
def bench() -> Bench:
    """That of this process."""
    return Bench()


async def introduce(question: bytes) -> bytes:
    """What the process that is asked says of itself: a `Card`, pickled."""
    return await asyncio.to_thread(_introduce, question)


def _introduce(question: bytes) -> bytes:
    asked = pickle.loads(question)  # noqa: S301 - whoever reaches Dask runs code here anyway
    assert isinstance(asked, Question), asked
    bench().serve(asked.daemon)
    unseen = [problem for problem in map(look_at, asked.shares) if problem is not None]
    card = Card(
        owner=own(),
        process=bench().process,
        make=own_make(),
        unseen=tuple(unseen),
        at_work=bench().at_work,
    )
    return pickle.dumps(card)


def do_piece(process: str, token: str, work: bytes, seconds: float) -> bytes:
    """Do a piece that is meant for this *process*; how it ended: an `Outcome`, pickled."""
    if process != bench().process:
        return pickle.dumps(_refused("it was meant for a process that is no more"))
    return pickle.dumps(bench().do(token, work, seconds))


async def leave_off(token: str) -> None:
    """Nobody waits for a piece any more."""
    await asyncio.to_thread(bench().leave_off, token)


def _answer_of(
    helper: subprocess.Popen[bytes], work: bytes, seconds: float
) -> Outcome[object] | None:
    """How a piece ended; None: it did not, after so many *seconds*. EOFError: the helper ended."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    helper.stdin.write(framed(work))
    helper.stdin.flush()
    if not select.select([helper.stdout], [], [], seconds)[0]:
        return None
    return _outcome(cast("BinaryIO", helper.stdout))


def _outcome(file: BinaryIO) -> Outcome[object]:
    outcome = read_message(file)
    assert isinstance(outcome, Outcome), outcome
    return outcome


def _close(helper: subprocess.Popen[bytes]) -> None:
    for pipe in (helper.stdin, helper.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _refused(why: str) -> Outcome[object]:
    return Outcome(key=0, error_class=ErrorClass.TRANSIENT, error=why)
