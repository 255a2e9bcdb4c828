"""An order reaches the one process that writes, in the name of who gave it."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_ledger import FakeClock, a_night, opened, reread, settings
from vampd.errors import DaemonUnreachableError, OperatorError, UsageError
from vampd.io.lock import StateLock
from vampd.ledger.connection import Ledger
from vampd.orders import socket as control_socket
from vampd.orders.night import Orders
from vampd.orders.requests import ARGUMENTS
from vampd.orders.socket import ControlServer, act
from vampd.settings.sections import Config

_NIGHT = {"kind": "archive", "date": "20251106", "dry_run": False}
_HOLD = {**_NIGHT, "why": "dome flats"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(config: Config, clock: FakeClock) -> Iterator[Ledger]:
    """The ledger of a daemon, which holds the lock."""
    with StateLock.acquire(config.state_dir), closing(opened(config.state_dir, clock)) as ledger:
        yield ledger


@pytest.fixture
def server(config: Config, clock: FakeClock) -> Iterator[ControlServer]:
    with closing(ControlServer(config.socket, clock)) as server:
        yield server


class Command(threading.Thread):
    """A command that gives one order, and keeps its answer or its error."""

    def __init__(self, config: Config, order: str, arguments: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.answer: dict[str, Any] | None = None
        self.error: Exception | None = None
        self._asked = (config, order, arguments)
        self.start()

    def run(self) -> None:
        try:
            self.answer = act(*self._asked, actor="what the command says of itself")
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error


def served(command: Command, server: ControlServer, orders: Orders) -> Command:
    while not server.serve(orders.carry_out):
        assert wait([server.fileno()], timeout=30), "no command came"
    command.join(timeout=30)
    assert not command.is_alive()
    return command


def test_an_order_is_carried_out_in_the_name_that_the_kernel_gives(
    config: Config, ledger: Ledger, server: ControlServer
) -> None:
    night = a_night(ledger)

    command = served(Command(config, "hold", _HOLD), server, Orders(ledger, config))

    assert command.answer == {
        "lines": ["no more work of it is begun; what runs is finished"],
        "changed": True,
    }
    row = reread(ledger, night)
    assert row.hold == "dome flats"
    assert row.changed_by.startswith(f"uid {os.getuid()} (")
    assert ledger.actor == "vampd"


def test_who_ordered_what_stands_in_the_journal_and_what_was_refused_too(
    config: Config, ledger: Ledger, server: ControlServer, caplog: pytest.LogCaptureFixture
) -> None:
    a_night(ledger)
    caplog.set_level("INFO")

    served(Command(config, "hold", _HOLD), server, Orders(ledger, config))
    served(Command(config, "verify", {**_HOLD, "dry_run": False}), server, Orders(ledger, config))

    told = [line for line in caplog.messages if " orders " in line]
    assert len(told) == 2
    assert all(line.startswith(f"uid {os.getuid()} (") for line in told)
    assert " orders hold of archive " in told[0]
    assert told[0].endswith(": done")
    assert " orders verify of archive " in told[1]
    assert ": refused: " in told[1]


def test_an_order_given_twice_is_done_once(
    config: Config, ledger: Ledger, server: ControlServer
) -> None:
    a_night(ledger)
    orders = Orders(ledger, config)
    served(Command(config, "hold", _HOLD), server, orders)

    again = served(Command(config, "hold", _HOLD), server, orders)

    assert again.answer == {"lines": ["it is held already: dome flats"], "changed": False}


def test_a_dry_run_changes_nothing(config: Config, ledger: Ledger, server: ControlServer) -> None:
    night = a_night(ledger)

    command = served(
        Command(config, "hold", _HOLD | {"dry_run": True}), server, Orders(ledger, config)
    )

    assert command.answer is not None
    assert command.answer["changed"]
    assert reread(ledger, night) == night


@pytest.mark.parametrize(
    ("order", "arguments", "kind", "says"),
    [
        ("explode", _NIGHT, UsageError, "not an order that this vampd knows"),
        ("hold", _NIGHT | {"date": "20200101"}, OperatorError, "has never seen this night"),
        ("hold", {"date": "20251106"}, UsageError, "not understood: 'kind'"),
        ("retry", _NIGHT | {"from": "lunch"}, UsageError, "has no stage lunch"),
    ],
)
def test_a_refusal_comes_back_as_its_error(
    config: Config,
    ledger: Ledger,
    server: ControlServer,
    order: str,
    arguments: dict[str, Any],
    kind: type[Exception],
    says: str,
) -> None:
    a_night(ledger)

    command = served(Command(config, order, arguments), server, Orders(ledger, config))

    assert type(command.error) is kind
    assert says in str(command.error)


@pytest.mark.parametrize(
    "request_bytes", [b"hello\n", b"hel", b"[]\n", b"{}\n", b'"order"\n', b"\n"]
)
def test_what_is_no_order_does_not_end_the_daemon(
    config: Config, ledger: Ledger, server: ControlServer, request_bytes: bytes
) -> None:
    a_night(ledger)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(str(config.socket))
        stranger.sendall(request_bytes)
        stranger.shutdown(socket.SHUT_WR)

        assert server.serve(Orders(ledger, config).carry_out)

    assert served(Command(config, "hold", _HOLD), server, Orders(ledger, config)).answer is not None


def connected(config: Config) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(30)
    client.connect(str(config.socket))
    return client


def answered(client: socket.socket) -> dict[str, Any]:
    with client.makefile("rb") as lines:
        answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def order_line(**fields: Any) -> bytes:
    return json.dumps({"order": "hold", "arguments": _HOLD} | fields).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\xff\xfe{}\n", "it is no UTF-8: invalid start byte at byte 0"),
        (b"{" * 10 + b"\n", "it is no JSON"),
        (b"[" * 200_000 + b"\n", "it is nested deeper than 8 levels"),
        (b'{"order": "hold", "arguments": {"why": NaN}}\n', "NaN is no number"),
        (b"9" * 5000 + b"\n", "it is no JSON: Exceeds the limit"),
        (b"x" * (1 << 20) + b"yy", "it is longer than 1048576 bytes"),
        (b'{"order": "hold"}\n', 'it must be {"order": ..., "arguments": ...}'),
        (order_line(sudo=True), "it must be"),
        (order_line(order=["hold"]), "its order must be a text, not ['hold']"),
        (order_line(order="\ud800"), "order holds '\\ud800'"),
        (order_line(arguments=None), "its arguments must be an object, not None"),
        (order_line(arguments=_HOLD | {"when": 1}), "'when' is no argument that this vampd"),
        (order_line(arguments=_HOLD | {"date": 20251106}), "date must be a text or null, not 2025"),
        (order_line(arguments=_HOLD | {"dry_run": 0}), "dry_run must be true or false, not 0"),
        (order_line(arguments=_HOLD | {"kind": {"a": 1}}), "kind must be a text or null"),
        (order_line(arguments=_HOLD | {"why": "a\0b"}), "why holds 'a\\x00b'"),
        (order_line(arguments=_HOLD | {"why": "a\udcffb"}), "why holds 'a\\udcffb'"),
        (order_line(arguments=_HOLD | {"why": "x" * 20_000}), "a text of 20000 characters"),
        (order_line(arguments={"files": [{"size": 1 << 63}]}), "which has more than 64 bits"),
        (b'{"order": "hold", "arguments": {"files": [1e999]}}\n', "files holds inf"),
        (
            order_line(arguments={"rows": [[[[[[[[[[]]]]]]]]]]}),
            "rows is nested deeper than 8 levels",
        ),
    ],
)
def test_what_is_no_order_is_refused_with_a_reason_and_the_next_one_is_carried_out(
    config: Config, ledger: Ledger, server: ControlServer, line: bytes, says: str
) -> None:
    a_night(ledger)
    orders = Orders(ledger, config)
    with connected(config) as client:
        sender = threading.Thread(target=client.sendall, args=[line], daemon=True)
        sender.start()
        while not server.serve(orders.carry_out):
            assert wait([server.fileno()], timeout=30), "nothing came"
        answer = answered(client)
        sender.join(timeout=30)

    assert answer["kind"] == "UsageError"
    assert answer["error"].startswith("the order is not understood: ")
    assert says in answer["error"]
    assert served(Command(config, "hold", _HOLD), server, orders).answer is not None


def test_an_error_of_the_daemons_own_is_its_callers_alone(
    config: Config, ledger: Ledger, server: ControlServer
) -> None:
    def blunder(*_: object) -> dict[str, Any]:
        return {"lines": [ledger.insert("night", kind=1 << 70)], "changed": True}

    with connected(config) as client:
        client.sendall(order_line())
        assert server.serve(blunder)
        answer = answered(client)

    assert answer["kind"] == "OperatorError"
    assert answer["error"].startswith("not carried out, and the daemon goes on: OverflowError")


def test_a_ledger_that_is_broken_is_no_callers_trouble(
    config: Config, ledger: Ledger, server: ControlServer
) -> None:
    def read_only(*_: object) -> dict[str, Any]:
        ledger.execute("pragma query_only = on")
        ledger.execute("delete from night")
        return {}

    with connected(config) as client:
        client.sendall(order_line())

        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            server.serve(read_only)


def test_slow_callers_delay_nobody_and_are_sent_away_when_their_time_is_over(
    config: Config, ledger: Ledger, clock: FakeClock, server: ControlServer
) -> None:
    orders = Orders(ledger, config)
    a_night(ledger)
    slow = [connected(config) for _ in range(5)]
    for byte in order_line()[:-1]:  # everything but the newline, a byte at a time
        for client in slow[:2]:
            client.send(bytes([byte]))
        assert not server.serve(orders.carry_out)

    before = served(Command(config, "hold", _HOLD), server, orders)
    clock.pass_seconds(6)
    assert server.serve(orders.carry_out)
    answers = [answered(client)["error"] for client in slow]
    for client in slow:
        client.close()

    assert before.answer is not None
    assert all("no whole line came within 5 s" in error for error in answers)
    assert len(server._callers) == 0
    assert ledger.value("select count(*) from night where hold is not null") == 1


def test_a_caller_that_never_takes_its_answer_is_sent_away(
    config: Config, clock: FakeClock, server: ControlServer
) -> None:
    with connected(config) as client:
        client.sendall(order_line())
        assert server.serve(lambda *_: {"lines": ["x" * 5_000_000], "changed": False})
        assert not server.serve(lambda *_: {})
        is_heard = len(server._callers)
        clock.pass_seconds(6)
        server.serve(lambda *_: {})

    assert is_heard == 1
    assert len(server._callers) == 0


def test_a_long_answer_arrives_whole(config: Config, server: ControlServer) -> None:
    with connected(config) as client:
        client.sendall(order_line())
        assert server.serve(lambda *_: {"lines": ["x" * 5_000_000], "changed": False})
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.append(answered(client)), daemon=True)
        reader.start()
        while len(server._callers):
            assert wait([server.fileno()], timeout=30)
            server.serve(lambda *_: {})
        reader.join(timeout=30)

    assert found == [{"lines": ["x" * 5_000_000], "changed": False}]


def test_a_crowd_of_silent_callers_keeps_no_order_out(
    config: Config, ledger: Ledger, server: ControlServer
) -> None:
    a_night(ledger)
    orders = Orders(ledger, config)
    crowd = []
    for _ in range(60):
        crowd.append(connected(config))
        server.serve(orders.carry_out)

    command = served(Command(config, "hold", _HOLD), server, orders)

    assert command.answer is not None
    assert len(server._callers) <= 16
    for client in crowd:
        client.close()


@pytest.mark.parametrize("said", [b"", b"{", order_line()])
def test_a_caller_that_hangs_up_leaves_nothing_behind(
    config: Config, ledger: Ledger, server: ControlServer, said: bytes
) -> None:
    orders = Orders(ledger, config)
    with connected(config) as client:
        client.sendall(said)
        server.serve(orders.carry_out)

    server.serve(orders.carry_out)
    server.serve(orders.carry_out)

    assert len(server._callers) == 0


def test_an_order_that_the_disk_refuses_is_told(config: Config, server: ControlServer) -> None:
    def refused(*_: object) -> dict[str, Any]:
        msg = "Read-only file system"
        raise OSError(msg)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(config.socket))
        client.sendall(b'{"order": "restore", "arguments": {}}\n')
        assert server.serve(refused)
        answer = json.loads(client.recv(4096))

    assert answer["kind"] == "OperatorError"
    assert "Read-only file system" in answer["error"]


def test_without_a_daemon_the_command_acts_itself_and_leaves_the_lock(config: Config) -> None:
    with closing(opened(config.state_dir)) as ledger:
        night = a_night(ledger)

    answer = act(config, "hold", _HOLD, actor="uid 1000 (observer)")

    assert answer["changed"]
    with StateLock.acquire(config.state_dir), closing(opened(config.state_dir)) as ledger:
        row = reread(ledger, night)
        assert (row.hold, row.changed_by) == ("dome flats", "uid 1000 (observer)")


@pytest.mark.usefixtures("ledger")
def test_a_daemon_without_a_socket_is_unreachable(config: Config) -> None:
    with pytest.raises(DaemonUnreachableError, match="runs, and does not answer"):
        act(config, "hold", _HOLD, actor="me")


@pytest.mark.usefixtures("ledger", "server")
def test_a_daemon_that_hangs_is_unreachable(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_ANSWER_SECONDS", 0.05)

    with pytest.raises(DaemonUnreachableError, match="timed out"):
        act(config, "hold", _HOLD, actor="me")


def test_the_socket_of_a_dead_daemon_is_replaced_and_is_ours_and_the_groups(
    config: Config,
) -> None:
    first = ControlServer(config.socket)
    second = ControlServer(config.socket)

    mode = config.socket.stat().st_mode & 0o777
    first._socket.close()
    second.close()

    assert mode == 0o660
    assert not config.socket.exists()


def test_every_argument_that_an_order_reads_is_one_that_a_caller_may_give() -> None:
    package = Path(control_socket.__file__).parent
    read = {
        name
        for path in package.glob("*.py")
        for name in re.findall(r"arguments(?:\.get\(|\[)\"(\w+)\"", path.read_text())
    }

    assert read
    assert read <= ARGUMENTS.keys()
