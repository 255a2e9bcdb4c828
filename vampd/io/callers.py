"""Callers at a Unix socket: a line comes, a line goes back, and nobody is ever waited for.

A caller may send a byte a second, half a line, a line without end, or nothing; it may hang up in
the middle, or never read its answer. All of them together cost their listener a moment a turn:

1. Reading and writing never block. What comes is kept until it is a line.
2. A caller has *seconds* for its line, and as many to take its answer; then it is sent away.
3. A line has *most_bytes* at most.
4. *most_callers* are heard at once. One more, and who is silent for longest is sent away: a
   caller that means it says its line at once.
"""

from __future__ import annotations

import logging
import selectors
import socket
import struct

from vampd.io.clock import Clock
from vampd.time_units import SECOND_NS

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 18
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, unix(7)


class Caller:
    """One of them. With *problem* set its line is not to be looked at."""

    def __init__(self, connection: socket.socket, since_ns: int) -> None:
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        self.connection = connection
        self.since_ns = since_ns
        self.problem: str | None = None
        self._said = bytearray()
        self._to_say: memoryview | None = None
        size = _CREDENTIALS.size
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        self.uid: int = _CREDENTIALS.unpack(credentials)[1]  #: as the kernel says

    @property
    def line(self) -> bytes:
        """What it said, without the newline."""
        return bytes(self._said.partition(b"\n")[0])

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer for it, which it may still have to take."""
        return self._to_say is not None

    def answer(self, line: bytes) -> None:
        """Have *line* sent, as it takes it."""
        self._to_say = memoryview(line + b"\n")
        self._said.clear()

    def listen(self, most_bytes: int) -> bool:
        """Take what it has said; return whether that is all. OSError: it hung up."""
        while b"\n" not in self._said:
            try:
                chunk = self.connection.recv(_READ_BYTES)
            except BlockingIOError:
                return False
            if not chunk and not self._said:
                msg = "it said nothing"
                raise ConnectionError(msg)
            self._said += chunk
            if len(self._said) > most_bytes:
                self.problem = f"it is longer than {most_bytes} bytes"
            if not chunk or self.problem:
                break
        return True

    def speak(self) -> bool:
        """Send what it takes of its answer; return whether that was all. OSError: it is gone."""
        assert self._to_say is not None
        while self._to_say:
            try:
                sent = self.connection.send(self._to_say, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            self._to_say = self._to_say[sent:]
        return True


class Callers:
    """All that are there. *listener* is bound, listens, and stays the caller's to close."""

    def __init__(
        self,
        listener: socket.socket,
        clock: Clock,
        *,
        seconds: float,
        most_bytes: int,
        most_callers: int,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._patience_ns = round(seconds * SECOND_NS)
        self._most_bytes = most_bytes
        self._most_callers = most_callers
        self._callers: list[Caller] = []
        self._selector = selectors.EpollSelector()
        listener.setblocking(False)  # noqa: FBT003 - its only argument
        self._selector.register(listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """What becomes readable when somebody comes, says something, or takes its answer."""
        return self._selector.fileno()

    def __len__(self) -> int:
        return len(self._callers)

    def heard(self) -> list[Caller]:
        """Those whose line is there, or who will not be listened to any longer; answer each."""
        self._welcome()
        asking = []
        for caller in list(self._callers):
            if caller.is_answered:
                self._send(caller)
            elif self._has_asked(caller):
                asking.append(caller)
        return asking

    def send(self) -> None:
        """Send the answers that were given, as far as they are taken at once."""
        for caller in [each for each in self._callers if each.is_answered]:
            self._send(caller)

    def close(self) -> None:
        """Send everybody away."""
        for caller in list(self._callers):
            self._dismiss(caller)
        self._selector.close()

    def _welcome(self) -> None:
        """Take in who waits before the door, no more in one turn than may be there at once."""
        for _ in range(self._most_callers):
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            silent = [caller for caller in self._callers if not caller.is_answered]
            if len(self._callers) >= self._most_callers:
                self._dismiss((silent or self._callers)[0], "too many callers at once")
            caller = Caller(connection, self._clock.monotonic_ns())
            self._callers.append(caller)
            self._selector.register(connection, selectors.EVENT_READ)

    def _has_asked(self, caller: Caller) -> bool:
        try:
            if not caller.listen(self._most_bytes):
                if not self._is_late(caller):
                    return False
                caller.problem = f"no whole line came within {self._patience_ns / SECOND_NS:g} s"
        except OSError as error:
            self._dismiss(caller, f"a caller hung up: {error}")
            return False
        # Not heard any more from now on: what it may still say would wake its listener for ever.
        self._selector.modify(caller.connection, selectors.EVENT_WRITE)
        caller.since_ns = self._clock.monotonic_ns()
        return True

    def _send(self, caller: Caller) -> None:
        try:
            if caller.speak():
                self._dismiss(caller)
            elif self._is_late(caller):
                self._dismiss(caller, "a caller did not take its answer")
        except OSError as error:
            self._dismiss(caller, f"a caller did not wait for its answer: {error}")

    def _is_late(self, caller: Caller) -> bool:
        return self._clock.monotonic_ns() - caller.since_ns > self._patience_ns

    def _dismiss(self, caller: Caller, why: str | None = None) -> None:
        if why is not None:
            log.warning("uid %d: %s", caller.uid, why)
        self._callers.remove(caller)
        self._selector.unregister(caller.connection)
        caller.connection.close()
