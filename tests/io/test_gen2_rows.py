"""Rows of the name service that are stale, and answers for which no time is left."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.frame_id_counter import Counter, Fault, frame_id
from tests.support.gen2_server import HOST, Observatory, observatory
from vampd.io.frame_id_program import NOTHING_YET
from vampd.io.gen2 import main

FIRST = 425_189
UNCLEAR = 70


@contextmanager
def listener(said: bytes | None) -> Iterator[int]:
    """Whoever took a dead service's port: says something to each call, or hangs up (b""), or hangs.

    Yields its port.
    """
    with socket.create_server((HOST, 0)) as server:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if said is None:
                    held.append(connection)
                    continue
                connection.recv(1 << 16)
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                held.append(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.fixture(params=["frames", "instrument"])
def route(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gen2(tmp_path: Path) -> Iterator[Observatory]:
    with observatory(tmp_path / "frames_VMPA.txt", Counter(following=FIRST)) as made:
        yield made


def asked(gen2: Observatory, route: str, *, seconds: float = 10) -> int:
    return main([route, gen2.name_service, "2", str(seconds), str(gen2.file)])


def port_of_nobody() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


_FAULT = (
    b"<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name>"
    b"<value><int>1</int></value></member><member><name>faultString</name><value><string>"
    b"%b</string></value></member></struct></value></fault></methodResponse>"
)


def fault(text: str) -> bytes:
    body = _FAULT % text.replace("<", "&lt;").encode()
    return b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n" + body


_MISMATCH = "Service requires authentication; username or password mismatch"
_MODULE = "g2base.remoteObjects.ro_XMLRPC"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 401 Unauthorized\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\n",
        b"HTTP/1.0 501 Unsupported method ('POST')\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        fault(f"<class '{_MODULE}.Error'>:{_MISMATCH}"),
        fault(f"<class 'Error'>:{_MISMATCH}"),
        fault("<class 'Error'>:Service only handles 'basic' authentication type"),
    ],
)
def test_whoever_took_a_dead_services_port_dealt_nothing_and_the_next_row_is_asked(
    gen2: Observatory, route: str, capsys: pytest.CaptureFixture[str], said: bytes
) -> None:
    with listener(said) as port:
        gen2.stale_ports = [port, port_of_nobody()]
        code = asked(gen2, route)

    assert (code, gen2.counter.questions) == (0, 1)
    assert capsys.readouterr().out.split() == [frame_id(FIRST), frame_id(FIRST + 1)]


def test_another_service_of_gen2_on_the_port_is_not_taken_for_ours(
    gen2: Observatory, route: str
) -> None:
    gen2.stale_ports = [gen2.servers["names"].port]

    assert asked(gen2, route) == 0
    assert gen2.counter.questions == 1


@pytest.mark.parametrize("name", ["getFrames", "executeCmd"])
def test_a_service_without_the_method_dealt_nothing(gen2: Observatory, name: str) -> None:
    route = {"getFrames": "frames", "executeCmd": "instrument"}[name]
    text = f"<class 'Exception'>:method \"{name}\" is not supported"
    with listener(fault(text)) as port:
        gen2.stale_ports = [port]

        assert asked(gen2, route) == 0
    assert gen2.counter.questions == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTT",
        b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n<?xml",
        b"HTTP/1.0 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
        fault(
            f"<class '{_MODULE}.remoteObjectError'>:Method call counter.next failed: {_MISMATCH}"
        ),
        fault("<class 'Exception'>:method \"nextNumber\" is not supported"),
        fault("<class 'KeyError'>:'VAMPIRES'"),
    ],
)
def test_an_answer_that_proves_nothing_is_unclear_and_nobody_else_is_asked(
    gen2: Observatory, route: str, said: bytes
) -> None:
    with listener(said) as port:
        gen2.stale_ports = [port]

        assert asked(gen2, route) == UNCLEAR
    assert gen2.counter.questions == 0


def test_whoever_is_silent_may_have_dealt(gen2: Observatory, route: str) -> None:
    with listener(None) as port:
        gen2.stale_ports = [port]

        assert asked(gen2, route, seconds=0.5) == UNCLEAR
    assert gen2.counter.questions == 0


def test_where_every_row_is_stale_it_is_asked_later(
    gen2: Observatory, route: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with listener(b"HTTP/1.0 401 Unauthorized\r\n\r\n") as port:
        gen2.stale_ports = [port]
        gen2.refuse()

        assert asked(gen2, route) == NOTHING_YET
    assert f"{HOST}:{port}: <ProtocolError" in capsys.readouterr().err


def test_nothing_is_asked_whose_answer_could_not_be_awaited(
    gen2: Observatory, route: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gen2.answers_after_seconds = 0.7

    late = asked(gen2, route, seconds=1.0)
    questions = gen2.counter.questions
    in_time = asked(gen2, route, seconds=20.0)

    assert (late, questions) == (NOTHING_YET, 0)
    assert "nothing was asked" in capsys.readouterr().err
    assert (in_time, gen2.counter.questions) == (0, 1)


def test_a_live_service_that_answers_too_late_is_unclear(gen2: Observatory) -> None:
    gen2.counter.fault = Fault.LATE

    assert asked(gen2, "frames", seconds=0.6) == UNCLEAR
    assert gen2.counter.questions == 1
