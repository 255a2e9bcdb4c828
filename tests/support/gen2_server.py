"""An observatory of our own: Gen2's remote objects over real sockets, and everything they do wrong.

A name service and two services, each XML-RPC over HTTP/1.0, a connection a call, with the
service's name as user and password, as g2base's `remoteObjectServer` does it. `frames` answers at
once; the instrument's `executeCmd` answers 0 at once, and its file appears later, in place and
without a newline at its end, as g2cam's VAMPIRES.py writes it.
"""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from msgspec import Struct, field

from tests.support.frame_id_counter import Counter, Fault

HOST = "127.0.0.1"
_LATE_SECONDS = 0.5


class Error(Exception):
    """A call in another service's name."""


class _Handler(SimpleXMLRPCRequestHandler):
    """A connection a call, and no more; whoever calls must say the service's name twice."""

    protocol_version = "HTTP/1.0"
    server: _Server

    def _dispatch(self, method: str, params: Any) -> Any:
        wanted = base64.b64encode(f"{self.server.name}:{self.server.name}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            msg = "Service requires authentication; username or password mismatch"
            raise Error(msg)
        return self.server._dispatch(method, params)

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        self.server.local.connection = self.connection
        super().do_POST()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Silence."""


class _Gone(Exception):  # noqa: N818
    """The connection ends here."""


class _Server(ThreadingMixIn, SimpleXMLRPCServer):
    """One service, which answers several at once, as g2base's threaded servers do."""

    daemon_threads = True

    def __init__(self, name: str, fault: Callable[[], Fault]) -> None:
        super().__init__((HOST, 0), _Handler, logRequests=False, allow_none=True)
        self.name = name
        self.fault = fault
        self.stopped = threading.Event()
        self.local = threading.local()  #: of the thread that answers

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def _marshaled_dispatch(self, *arguments: Any, **more: Any) -> Any:
        answer = super()._marshaled_dispatch(*arguments, **more)
        if self.name == "names":
            return answer
        if self.fault() is Fault.LATE:
            self.stopped.wait(_LATE_SECONDS * 4)
        if self.fault() is Fault.DEAD:
            threading.Thread(target=self.die, daemon=True).start()
        if self.fault() in {Fault.LOST, Fault.DEAD}:
            self.local.connection.shutdown(socket.SHUT_RDWR)
            raise _Gone
        return answer[: len(answer) // 2] if self.fault() is Fault.TORN else answer

    def die(self) -> None:
        """Its port is closed from now on."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """The client is gone, or is to think that we are."""


class _HalfHandler(_Handler):
    """Says how long its answer is, and sends half of it."""

    def send_header(self, keyword: str, value: str) -> None:
        torn = self.server.fault() is Fault.TORN
        if keyword == "Content-length" and torn:
            value = str(int(value) * 2)
        super().send_header(keyword, value)


class Observatory(Struct, kw_only=True):
    """The name service and the two services, at work."""

    counter: Counter
    file: Path
    file_after_seconds: float = 0.05
    protocol: str = "xmlrpc"
    servers: dict[str, _Server] = field(default_factory=dict)
    registered: bool = True
    stale_ports: list[int] = field(default_factory=list)  #: rows of dead processes; they come first
    answers_after_seconds: float = 0.0  #: the name service

    @property
    def name_service(self) -> str:
        return f"{HOST}:{self.servers['names'].port}"

    def get_info(self, name: str) -> list[dict[str, Any]]:
        """What the name service says of a service: see remoteObjectNameSvc.getInfo."""
        time.sleep(self.answers_after_seconds)
        if name not in self.servers or not self.registered:
            return []
        return [
            {
                "name": name,
                "host": HOST,
                "port": port,
                "secure": False,
                "transport": self.protocol,
                "encoding": "pickle",
                "pingtime": time.monotonic(),
            }
            for port in (*self.stale_ports, self.servers[name].port)
        ]

    def get_frames(self, instrument: str, frame_type: str, count: int) -> Any:
        assert (instrument, frame_type) == ("VAMPIRES", "A")
        told = self.counter.deal(count)
        return [1 if self.counter.fault is Fault.ERROR else 0, told]

    def execute(
        self, subsystem: str, _tag: str, command: str, frame_type: str, more: dict[str, int]
    ) -> int:
        assert (subsystem, command, frame_type) == ("VAMPIRES", "get_frames", "A")
        told = self.counter.deal(more["num"])
        fault = self.counter.fault
        if fault is Fault.ERROR:
            return 1
        if fault not in {Fault.LOST, Fault.DEAD}:
            late = 4 * _LATE_SECONDS if fault is Fault.LATE else self.file_after_seconds
            threading.Timer(late, self._write, [told]).start()
        return 0

    def _write(self, told: list[str]) -> None:
        """In place, in two pieces: whoever looks in between must not take it for whole."""
        text = "\n".join(told)
        torn = len(text) - 3
        try:
            with self.file.open("w", encoding="ascii") as file:
                file.write(text[:torn])
                file.flush()
                time.sleep(self.file_after_seconds)
                if self.counter.fault is not Fault.TORN:
                    file.write(text[torn:])
        except FileNotFoundError:
            return  # the test is over

    def refuse(self) -> None:
        """Be as a Gen2 whose services are not running: their ports are closed."""
        for name in ("frames", "VAMPIRES"):
            self.servers[name].die()


@contextmanager
def observatory(file: Path, counter: Counter) -> Iterator[Observatory]:
    """Gen2, until the end of the block."""
    made = Observatory(counter=counter, file=file)
    methods: tuple[tuple[str, str, Any], ...] = (
        ("names", "getInfo", made.get_info),
        ("frames", "getFrames", made.get_frames),
        ("VAMPIRES", "executeCmd", made.execute),
    )
    for name, method, function in methods:
        server = _Server(name, lambda: counter.fault)
        server.RequestHandlerClass = _HalfHandler
        server.register_function(function, method)
        made.servers[name] = server
    threads = [
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        for server in made.servers.values()
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for server in made.servers.values():
            server.stopped.set()
            server.die()
