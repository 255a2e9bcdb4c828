"""How the commands reach the daemon: one line of JSON each way, through a Unix socket.

Without a daemon, the command takes the daemon's lock and acts itself; so there is only
ever one writer.
"""

from __future__ import annotations

import json
import logging
import pwd
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vampd import __version__
from vampd.errors import (
    ConfigError,
    DaemonUnreachableError,
    IntegrityError,
    OperatorError,
    RetryableError,
    UsageError,
    VampdError,
)
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock, holder
from vampd.ledger.connection import open_ledger
from vampd.sections import Config

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 300.0
_REQUEST_SECONDS = 2.0
_MOST_BYTES = 1 << 20

_RAISES: dict[str, type[VampdError]] = {
    kind.__name__: kind
    for kind in (ConfigError, IntegrityError, OperatorError, RetryableError, UsageError, VampdError)
}

Handler = Callable[[str, dict[str, Any], str], dict[str, Any]]


def act(config: Config, order: str, arguments: dict[str, Any], *, actor: str) -> dict[str, Any]:
    """Have *order* carried out, by the daemon if one runs.

    Returns ``{"lines": [sentence, ...], "changed": bool}``. OperatorError: it was refused.
    DaemonUnreachableError: a daemon runs and does not answer.
    """
    if holder(config.state_dir) is None:
        return _act_alone(config, order, arguments, actor)
    return _ask(config.socket, order, arguments)


def _act_alone(config: Config, order: str, arguments: dict[str, Any], actor: str) -> dict[str, Any]:
    from vampd.schedule.orders import Orders

    clock = SystemClock()
    with StateLock.acquire(config.state_dir):
        ledger = open_ledger(config.state_dir, version=__version__, clock=clock)
        try:
            return Orders(ledger, config).carry_out(order, arguments, actor)
        finally:
            ledger.close()


def _ask(path: Path, order: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(
                json.dumps({"order": order, "arguments": arguments}).encode() + b"\n"
            )
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except (OSError, ValueError) as error:
        msg = f"{path}: the daemon runs, and does not answer: {error}"
        raise DaemonUnreachableError(msg) from error
    if "error" in answer:
        raise _RAISES.get(answer["kind"], OperatorError)(answer["error"])
    return {"lines": list(answer["lines"]), "changed": bool(answer["changed"])}


class ControlServer:
    """The daemon's end. It never waits longer than a moment for a client."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # the lock is ours: whose socket this was is dead
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o660)
        self._socket.listen(8)
        self._socket.setblocking(False)  # noqa: FBT003 - its only argument

    def fileno(self) -> int:
        """What becomes readable when a client is there."""
        return self._socket.fileno()

    def serve(self, handle: Handler) -> bool:
        """Answer the clients that are there; return whether there was any."""
        served = False
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return served
            served = True
            with connection:
                connection.settimeout(_REQUEST_SECONDS)
                try:
                    _answer(connection, handle)
                except (OSError, ValueError) as error:
                    log.warning("a command hung up: %s", error)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _answer(connection: socket.socket, handle: Handler) -> None:
    with connection.makefile("rb") as lines:
        request = json.loads(lines.readline(_MOST_BYTES))
    try:
        answer = handle(request["order"], request["arguments"], _peer(connection))
    except VampdError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    except (KeyError, TypeError) as error:  # another version's command, or somebody's telnet
        answer = {"error": f"the order is not understood: {error}", "kind": "UsageError"}
    except OSError as error:
        answer = {"error": f"not carried out to its end: {error}", "kind": "OperatorError"}
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _peer(connection: socket.socket) -> str:
    """Who asks, as the kernel says."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"
