"""An order reaches the one process that writes, in the name of who gave it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from tests.schedule.made import a_night, opened, reread, settings
from vampd.errors import DaemonUnreachableError, OperatorError, UsageError
from vampd.io.lock import StateLock
from vampd.ledger.connection import Ledger
from vampd.schedule import control
from vampd.schedule.control import ControlServer, act
from vampd.schedule.orders import Orders
from vampd.sections import Config

_NIGHT = {"kind": "archive", "date": "20251106", "dry_run": False}
_HOLD = {**_NIGHT, "why": "dome flats"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path)


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    """The ledger of a daemon, which holds the lock."""
    with StateLock.acquire(config.state_dir), closing(opened(config.state_dir)) as ledger:
        yield ledger


@pytest.fixture
def server(config: Config) -> Iterator[ControlServer]:
    with closing(ControlServer(config.socket)) as server:
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
    assert wait([server.fileno()], timeout=30), "no command came"
    assert server.serve(orders.carry_out)
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
    assert row["hold"] == "dome flats"
    assert row["changed_by"].startswith(f"uid {os.getuid()} (")
    assert ledger.actor == "vampd"


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
    assert tuple(reread(ledger, night)) == tuple(night)


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


@pytest.mark.parametrize("request_bytes", [b"", b"hello\n", b"[]\n", b"{}\n", b'"order"\n', b"\n"])
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


def test_a_client_that_says_nothing_is_not_waited_for(
    config: Config, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_REQUEST_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(config.socket))

        assert server.serve(lambda *_: {})
        assert not server.serve(lambda *_: {})


def test_an_order_that_the_disk_refuses_is_told(config: Config, server: ControlServer) -> None:
    def refused(*_: object) -> dict[str, Any]:
        msg = "Read-only file system"
        raise OSError(msg)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(config.socket))
        client.sendall(b'{"order": "restore", "arguments": {}}\n')
        server.serve(refused)
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
        assert (row["hold"], row["changed_by"]) == ("dome flats", "uid 1000 (observer)")


@pytest.mark.usefixtures("ledger")
def test_a_daemon_without_a_socket_is_unreachable(config: Config) -> None:
    with pytest.raises(DaemonUnreachableError, match="runs, and does not answer"):
        act(config, "hold", _HOLD, actor="me")


@pytest.mark.usefixtures("ledger", "server")
def test_a_daemon_that_hangs_is_unreachable(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_ANSWER_SECONDS", 0.05)

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
