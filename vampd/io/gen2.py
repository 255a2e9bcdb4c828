"""Ask the observatory for frame IDs: a program of its own, so that it can be killed.

    python -m vampd.io.gen2 ROUTE HOST:PORT COUNT SECONDS FILE

prints COUNT frame IDs and ends with the exit statuses of `vampd.io.frame_id_program`.

Gen2's services are "remote objects": a name service, on a well-known port of a Gen2 host, tells
where a service listens; both are called by XML-RPC over HTTP, a connection a call, with the
service's name as user and password (g2base/remoteObjects of github.com/naojsoft/g2cam). Its
own client looks the service up and sends the call again when the socket fails, which would
deal a second block, and has no time-out. Here a call is sent once, over a connection that was
made before, with a deadline.
"""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from msgspec import Struct

from vampd.errors import OperatorError, RetryableError
from vampd.io.frame_id_program import NOTHING_AT_ALL, NOTHING_YET

_UNCLEAR = 70  # EX_SOFTWARE of sysexits.h; any status that is not spoken of will do
_INSTRUMENT = "VAMPIRES"
_FRAME_TYPE = "A"
_LOOK_SECONDS = 0.1
_MOST_BYTES = 1 << 20
_MOUNTS = Path("/proc/self/mountinfo")
_WHOLE = re.compile(r"[A-Z]{4}[0-9]{8}")

#: So much of the time for the whole must be left for an answer, or nothing that deals is sent.
_SHARE_OF_ANSWER = 0.5
#: A row of the name service whose host is gone costs no more than its share, and this at least.
_LEAST_CONNECT_SECONDS = 0.05

#: Statuses of HTTP by which a server says that it did not carry a request out; a service of Gen2
#: has none of them after it was called.
_NOT_CARRIED_OUT = frozenset({401, 403, 404, 405, 501})
#: What a service of Gen2 says of a call in another service's name, before it does anything
#: (ro_XMLRPC.py, authenticate_client); an error from a service behind it has another class.
_NOT_LET_IN = re.compile(
    r"<class '(\w+\.)*Error'>:Service (requires authentication|only handles 'basic' auth)[^<>]*"
)
_NO_SUCH_METHOD = "<class 'Exception'>:method \"{}\" is not supported"

#: What a call raises that was sent, and not answered as it should be. Whatever else may be
#: raised ends the program with a status that means the same.
_NO_ANSWER = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError, ValueError)


class Question(Struct, frozen=True, kw_only=True):
    """What is asked, where, and until when."""

    host: str
    port: int
    count: int
    seconds: float  #: from the beginning to the deadline
    deadline: float  #: of time.monotonic
    file: Path  #: where the instrument leaves its answer

    def remaining_seconds(self) -> float:
        """Until the deadline; a little even after it, for time-outs must not be zero."""
        return max(0.01, self.deadline - time.monotonic())

    def spare_seconds(self) -> float:
        """What may still be spent before the question is sent; negative: it is too late for it."""
        return self.deadline - time.monotonic() - _SHARE_OF_ANSWER * self.seconds


class _Failure(Exception):  # noqa: N818 - it says how the program ends
    """With which exit status the program ends, and what it says."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _ElsewhereError(Exception):
    """Whoever answered is not the service that was meant, or did certainly not carry it out."""


class _OneCall(xmlrpc.client.Transport):
    """A transport that uses the connection that it is given, once, and never sends again."""

    def __init__(self, connection: http.client.HTTPConnection, name: str) -> None:
        super().__init__()
        self._made = connection
        token = base64.b64encode(f"{name}:{name}".encode()).decode()
        self._extra_headers = [("Authorization", f"Basic {token}")]

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002
        """The connection that is there. It cannot be opened a second time."""
        self._made.auto_open = 0
        return self._made

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:  # noqa: FBT001, FBT002 - the base class's signature
        """Send, and read the answer. The base class would send again on a broken connection."""
        return self.single_request(host, handler, request_body, verbose)


def main(arguments: Sequence[str]) -> int:
    """Ask, print, and return the exit status."""
    route, service, count, seconds, file = arguments
    host, _, port = service.rpartition(":")
    question = Question(
        host=host,
        port=int(port),
        count=int(count),
        seconds=float(seconds),
        deadline=time.monotonic() + float(seconds),
        file=Path(file),
    )
    try:
        lines = ROUTES[route](question)
    except _Failure as failure:
        print(failure, file=sys.stderr)  # noqa: T201 - a program's way to speak
        return failure.status
    print("\n".join(lines))  # noqa: T201
    return 0


def ask_frames(question: Question) -> list[str]:
    """Ask the service `frames`, which answers at once: (status, ids); status 0 is good."""
    arguments = (_INSTRUMENT, _FRAME_TYPE, question.count)
    answer = _call_in_turn("frames", question, "getFrames", arguments)
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list):
        raise _Failure(_UNCLEAR, f"frames.getFrames answered {answer!r}, not (status, list of IDs)")
    status, ids = answer
    for each in ids:
        print(_one_line(each), flush=True)  # noqa: T201 - kept, whatever comes after
    if status != 0:
        raise _Failure(_UNCLEAR, f"frames.getFrames answered status {status!r} with {len(ids)} IDs")
    return []


def ask_instrument(question: Question) -> list[str]:
    """Have the instrument's own process ask; it leaves the IDs in a file, after a while.

    The file is written in place, without a newline at its end. One that lies there already is
    the answer to somebody else's question: only one that was written after ours is read, when
    it has as many lines as were asked for, all whole, and has not changed between two looks.
    """
    if lies_in_private_folder(question.file, _MOUNTS.read_text()):
        raise _Failure(
            NOTHING_AT_ALL,
            f"{question.file} cannot be seen by a service that has a /tmp of its own: set"
            " PrivateTmp=no (systemctl edit vampd)",
        )
    before = _stamp(question.file)
    arguments = (_INSTRUMENT, "foo", "get_frames", _FRAME_TYPE, {"num": question.count})
    status = _call_in_turn(_INSTRUMENT, question, "executeCmd", arguments)
    if status not in {0, None}:
        raise _Failure(_UNCLEAR, f"{_INSTRUMENT}.executeCmd answered {status!r}, and 0 is good")
    lines: list[str] = []
    last = before
    while time.monotonic() < question.deadline:
        time.sleep(_LOOK_SECONDS)
        now = _stamp(question.file)
        if now is None or now == before:
            continue
        lines = _lines(question.file)
        are_all_there = len(lines) >= question.count and all(map(_WHOLE.fullmatch, lines))
        if are_all_there and now == last and _stamp(question.file) == now:
            return lines
        last = now
    _print_kept(lines)
    raise _Failure(
        _UNCLEAR,
        f"{question.file} has {len(lines)} new lines, and {question.count} whole ones are wanted",
    )


#: By the words of the settings.
ROUTES: dict[str, Callable[[Question], list[str]]] = {
    "frames": ask_frames,
    "instrument": ask_instrument,
}


def find_service(route: str, name_service: str, *, seconds: float) -> str:
    """Where the service that *route* asks listens; a connection is made, and nothing asked of it.

    RetryableError: it cannot be reached now. OperatorError: it cannot be spoken to at all.
    """
    name = "frames" if route == "frames" else _INSTRUMENT
    host, _, port = name_service.rpartition(":")
    deadline = time.monotonic() + seconds
    question = Question(
        host=host, port=int(port), count=0, seconds=seconds, deadline=deadline, file=Path("/")
    )
    refused: list[str] = []
    try:
        for connection in _connections(name, question, refused):
            connection.close()
            return f"{name} at {connection.host}:{connection.port}"
        raise _nobody(name, refused)
    except _Failure as failure:
        kind = RetryableError if failure.status == NOTHING_YET else OperatorError
        raise kind(str(failure)) from failure


def lies_in_private_folder(file: Path, mounts: str) -> bool:
    """Whether *file* lies where systemd gave this service a folder that nobody else sees.

    *mounts* as /proc/self/mountinfo has them: the fourth word is what is mounted, the fifth where.
    """
    for line in mounts.splitlines():
        words = line.split()
        if file.is_relative_to(words[4]) and "/systemd-private-" in words[3]:
            return True
    return False


def _call_in_turn(name: str, question: Question, method: str, arguments: tuple[Any, ...]) -> Any:
    """Have the service *name* deal. The name service may know it at several addresses.

    Some can be of dead processes, whose port another service took: the next one is called where it
    is certain that nothing was dealt, and none any more once an answer could not be awaited.
    """
    refused: list[str] = []
    for connection in _connections(name, question, refused):
        try:
            return _call_once(connection, question, name, method, arguments)
        except _ElsewhereError as error:
            refused.append(f"{connection.host}:{connection.port}: {error}")
    raise _nobody(name, refused)


def _connections(
    name: str, question: Question, refused: list[str]
) -> Iterator[http.client.HTTPConnection]:
    """A connection to each address of the service *name* in turn; what fails goes to *refused*.

    Nothing was asked yet: whatever fails, fails safely.
    """
    providers = _providers(name, question)
    for number, (host, port) in enumerate(providers):
        share = question.spare_seconds() / (len(providers) - number)
        try:
            connection = _connected(host, port, max(_LEAST_CONNECT_SECONDS, share))
        except OSError as error:
            refused.append(f"{host}:{port}: {error}")
            continue
        yield connection


def _nobody(name: str, refused: Sequence[str]) -> _Failure:
    return _Failure(
        NOTHING_YET, f"service {name} of Gen2 cannot be reached at {', '.join(refused)}"
    )


def _providers(name: str, question: Question) -> list[tuple[str, int]]:
    """Where the name service says that *name* listens, and speaks XML-RPC."""
    where = f"Gen2's name service at {question.host}:{question.port}"
    try:
        connection = _connected(question.host, question.port, question.remaining_seconds())
        rows = _call(connection, "names", "getInfo", (name,))
        found = [endpoint(row) for row in rows]
    except _NO_ANSWER as error:
        raise _Failure(NOTHING_YET, f"{where} does not answer: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise _Failure(
            NOTHING_YET, f"{where} answered something else than where {name} is: {error!r}"
        ) from error
    if not found:
        raise _Failure(NOTHING_YET, f"{where} knows no service {name}: is it running?")
    usable = [address for address in found if address is not None]
    if not usable:
        raise _Failure(NOTHING_AT_ALL, f"{where} says that {name} does not speak plain XML-RPC")
    return usable


def endpoint(row: dict[str, Any]) -> tuple[str, int] | None:
    """The address in a registration, new or old, if it speaks XML-RPC without encryption."""
    ways = [(row.get("protocol") or row.get("transport") or "xmlrpc", row["port"])]
    ways += [(way["protocol"], way["port"]) for way in row.get("alternates") or ()]
    for protocol, port in ways:
        if protocol == "xmlrpc" and not row.get("secure"):
            return str(row["host"]), int(port)
    return None


def _connected(host: str, port: int, seconds: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    connection.connect()
    return connection


def _call(
    connection: http.client.HTTPConnection, name: str, method: str, arguments: tuple[Any, ...]
) -> Any:
    transport = _OneCall(connection, name)
    body = xmlrpc.client.dumps(arguments, method, allow_none=True).encode()
    try:
        (answer,) = transport.request(f"{connection.host}:{connection.port}", "/", body)
    finally:
        connection.close()
    return answer


def _call_once(
    connection: http.client.HTTPConnection,
    question: Question,
    name: str,
    method: str,
    arguments: tuple[Any, ...],
) -> Any:
    """Call what deals numbers. From here on a failure hardly ever says that nothing was dealt.

    _ElsewhereError: this one does.
    """
    if question.spare_seconds() < 0:
        connection.close()
        left = max(0.0, question.deadline - time.monotonic())
        raise _Failure(
            NOTHING_YET,
            f"finding service {name} of Gen2 took too long: nothing was asked, for its answer"
            f" could not be awaited in the {left:.1f} s that were left of {question.seconds:g}",
        )
    connection.sock.settimeout(question.remaining_seconds())
    try:
        return _call(connection, name, method, arguments)
    except _NO_ANSWER as error:
        if _is_elsewhere(error, method):
            raise _ElsewhereError(repr(error)) from error
        raise _Failure(
            _UNCLEAR, f"{name}.{method} was called, and no answer came: {error!r}"
        ) from error


def _is_elsewhere(error: Exception, method: str) -> bool:
    """Whether a failed call was certainly not carried out."""
    if isinstance(error, xmlrpc.client.ProtocolError):
        return error.errcode in _NOT_CARRIED_OUT
    if isinstance(error, xmlrpc.client.Fault):
        said = str(error.faultString)
        return _NOT_LET_IN.fullmatch(said) is not None or said == _NO_SUCH_METHOD.format(method)
    # Silence is an error of this kind too, and says nothing.
    if isinstance(error, http.client.RemoteDisconnected):
        return False
    if isinstance(error, http.client.BadStatusLine):
        # Something that speaks, and not HTTP. Half that word says nothing either.
        return not "HTTP/".startswith(str(error.args[0])[:5])
    return False


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except OSError:
        return []
    lines = content.decode("ascii", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _one_line(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else repr(value)


def _print_kept(lines: Sequence[str]) -> None:
    for line in lines:
        print(_one_line(line))  # noqa: T201


if __name__ == "__main__":
    socket.setdefaulttimeout(60.0)  # for what has no time-out of its own
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # nothing that a library left running may keep it alive
