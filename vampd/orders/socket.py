"""How the commands reach the daemon: one line of JSON each way, through a Unix socket.

Without a daemon, the command takes the daemon's lock and acts itself; so there is only
ever one writer.
"""

from __future__ import annotations

import json
import logging
import pwd
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
from vampd.io.callers import Caller, Callers
from vampd.io.clock import Clock, SystemClock
from vampd.io.lock import StateLock, holder
from vampd.io.unix_socket import as_owner, connect, listen
from vampd.ledger.connection import is_broken, open_ledger
from vampd.orders.requests import understand
from vampd.plain_text import plain_text
from vampd.settings.sections import Config

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 300.0
_REQUEST_SECONDS = 5.0
_MOST_BYTES = 1 << 20
_MOST_CALLERS = 16

_RAISES: dict[str, type[VampdError]] = {
    kind.__name__: kind
    for kind in (ConfigError, IntegrityError, OperatorError, RetryableError, UsageError, VampdError)
}

Handler = Callable[[str, dict[str, Any], str], dict[str, Any]]


def act(config: Config, order: str, arguments: dict[str, Any], *, actor: str) -> dict[str, Any]:
    """Have *order* carried out, by the daemon if one runs.

    Returns ``{"lines": [sentence, ...], "changed": bool}``; where mails go out, also
    ``"batches": [(night, batch), ...]``. OperatorError: it was refused.
    DaemonUnreachableError: a daemon runs and does not answer.
    """
    try:
        if holder(config.state_dir) is None:
            return _act_alone(config, order, arguments, actor)
    except PermissionError:  # another user's: nothing can be done but by the daemon
        alone = f"without a daemon only its own user acts ({as_owner(config.state_dir)})"
        return ask(config.socket, order, arguments, f"no daemon answers, and {alone}")
    return ask(config.socket, order, arguments, "the daemon runs, and does not answer")


def _act_alone(config: Config, order: str, arguments: dict[str, Any], actor: str) -> dict[str, Any]:
    from vampd.orders.night import Orders

    clock = SystemClock()
    with StateLock.acquire(config.state_dir):
        ledger = open_ledger(config.state_dir, version=__version__, clock=clock)
        try:
            return Orders(ledger, config).carry_out(order, arguments, actor)
        finally:
            ledger.close()


def ask(path: Path, order: str, arguments: dict[str, Any], silent: str) -> dict[str, Any]:
    """Ask whoever listens at *path*. DaemonUnreachableError: nobody does; *silent* says that."""
    try:
        with connect(path, seconds=_ANSWER_SECONDS) as connection:
            connection.sendall(
                json.dumps({"order": order, "arguments": arguments}).encode() + b"\n"
            )
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except (OSError, ValueError) as error:
        msg = f"{path}: {silent}: {error}"
        raise DaemonUnreachableError(msg) from error
    if "error" in answer:
        raise _RAISES.get(answer["kind"], OperatorError)(answer["error"])
    told: dict[str, Any] = {"lines": list(answer["lines"]), "changed": bool(answer["changed"])}
    if "batches" in answer:
        told["batches"] = [(night, batch) for night, batch in answer["batches"]]
    return told


class ControlServer:
    """The daemon's end. No caller, whatever it says or leaves out, ends or delays its loop."""

    def __init__(self, path: Path, clock: Clock | None = None, *, group: str = "") -> None:
        self._path = path
        self._socket = listen(path, group)  # the lock is ours: whose socket this was is dead
        self._callers = Callers(
            self._socket,
            clock or SystemClock(),
            seconds=_REQUEST_SECONDS,
            most_bytes=_MOST_BYTES,
            most_callers=_MOST_CALLERS,
        )

    def fileno(self) -> int:
        """What becomes readable when a caller is there, or goes on."""
        return self._callers.fileno()

    def serve(self, handle: Handler) -> bool:
        """Answer the callers whose orders are there; return whether there was any.

        Never waits. What breaks the ledger itself goes through.
        """
        asking = self._callers.heard()
        for caller in asking:
            try:
                caller.answer(_answer(caller, handle))
            finally:
                self._callers.send()
        return bool(asking)

    def close(self) -> None:
        """Stop listening."""
        self._callers.close()
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _answer(caller: Caller, handle: Handler) -> bytes:
    """What the caller is told. An error that no order raises on purpose is the caller's alone."""
    try:
        answer = _carried_out(caller, handle)
    except VampdError as error:
        answer = {"error": plain_text(str(error)), "kind": type(error).__name__}
    except OSError as error:
        answer = {"error": f"not carried out to its end: {error}", "kind": "OperatorError"}
    except Exception as error:  # the barrier around a caller: see `vampd.schedule.barrier`
        if is_broken(error):
            raise
        log.exception("an order of %s was not carried out", _peer(caller.uid))
        why = f"not carried out, and the daemon goes on: {type(error).__name__}: {error}"
        answer = {"error": plain_text(why), "kind": "OperatorError"}
    return json.dumps(answer).encode()


def _carried_out(caller: Caller, handle: Handler) -> dict[str, Any]:
    if caller.problem is not None:
        msg = f"the order is not understood: {caller.problem}"
        raise UsageError(msg)
    request = understand(caller.line)
    try:
        return handle(request.order, request.arguments, _peer(caller.uid))
    except KeyError as error:  # another version's command, or somebody's telnet
        msg = f"the order is not understood: {error} is missing"
        raise UsageError(msg) from error


def _peer(uid: int) -> str:
    """Who asks, as the kernel says."""
    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"
