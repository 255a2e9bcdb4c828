"""The bridge's process, as the daemon sees it: begun, listened to, killed when it falls silent."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Sequence

from vampd.builders.line import Line
from vampd.io.clock import Clock
from vampd.schedule.executor import Readable
from vampd.time_units import SECOND_NS

log = logging.getLogger(__name__)

_SILENT_SECONDS = 90.0  # it says something every second
_AGAIN_SECONDS = 5.0
_END_SECONDS = 5.0


class BridgeProcess:
    """One bridge after the other. No call waits."""

    def __init__(self, address: str, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._heard_ns = 0
        self._not_before_ns = 0

    def keep(self) -> bool:
        """Begin a bridge where there is none; return whether one was begun."""
        if self._line is not None or self._clock.monotonic_ns() < self._not_before_ns:
            return False
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "vampd.builders.bridge", str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*command, self._address], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._line = Line(ours)
        self._heard_ns = self._clock.monotonic_ns()
        return True

    def send(self, message: object) -> None:
        """Say something to the bridge, if there is one."""
        if self._line is not None:
            self._line.send(message)

    def messages(self) -> list[object]:
        """What it said since the last call."""
        found = [] if self._line is None else self._line.receive()
        if found:
            self._heard_ns = self._clock.monotonic_ns()
        return found

    def has_ended(self) -> bool:
        """Whether the bridge has ended since the last call; one that is silent is ended."""
        if self._line is None:
            return False
        silent_ns = self._clock.monotonic_ns() - self._heard_ns
        if not self._line.is_over and silent_ns < _SILENT_SECONDS * SECOND_NS:
            return False
        log.warning("the bridge to Dask has ended, or is silent; another one is begun")
        self._end()
        self._not_before_ns = self._clock.monotonic_ns() + round(_AGAIN_SECONDS * SECOND_NS)
        return True

    def stop(self) -> None:
        """End it."""
        if self._line is not None:
            self._end()

    def pipes(self) -> Sequence[Readable]:
        """What becomes readable when it has something to say."""
        return [] if self._line is None else [self._line.end]

    def _end(self) -> None:
        assert self._line is not None
        assert self._process is not None
        self._line.close()
        self._line = None
        self._process.kill()
        self._process.wait(_END_SECONDS)
