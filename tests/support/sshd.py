"""A real sshd on the loopback, with keys, configuration and known_hosts of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from msgspec import Struct

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_READY_SECONDS = 10.0


class LoopbackSshd(Struct, frozen=True, kw_only=True):
    """What a client needs to know of the running server."""

    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def options(self) -> list[str]:
        """Words for ssh that lead to this server."""
        return ["-F", str(self.folder / "ssh_config")]

    def connections(self) -> list[int]:
        """Process numbers of the server's children, one a connection."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in children.read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        """Send *number* to every connection."""
        for connection in self.connections():
            with suppress(ProcessLookupError):
                os.kill(connection, number)

    def kill(self) -> None:
        """End the server and every connection, as a crash does."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.kill()
        self.process.wait(timeout=_READY_SECONDS)

    def force(self, command: str) -> None:
        """Let the client's key run *command* alone, without terminal and forwarding."""
        public = (self.folder / "client_key.pub").read_text()
        (self.folder / "authorized_keys").write_text(f'command="{command}",restrict {public}')

    def change_host_key(self) -> None:
        """Let the client remember another host key than the server's."""
        _make_key(self.folder / "other_key")
        _write_known_hosts(self.folder, self.host, self.port, "other_key")

    def make_host_key(self) -> None:
        """Let the server have another key from its next start on; the client knows the old one."""
        for ending in ("", ".pub"):
            (self.folder / f"host_key{ending}").unlink()
        _make_key(self.folder / "host_key")

    def remember_host_key(self) -> None:
        """Let the client know the key that the server has."""
        _write_known_hosts(self.folder, self.host, self.port, "host_key")

    def forget_client_key(self) -> None:
        """Let the client log in with a key that the server does not know."""
        for ending in ("", ".pub"):
            (self.folder / f"client_key{ending}").unlink()
        _make_key(self.folder / "client_key")


@contextmanager
def running_sshd(folder: Path, *, path: str | None = None) -> Iterator[LoopbackSshd]:
    """Run sshd for the present user; its sessions have *path* as their PATH.

    Skips the test where there is no sshd, or the account may not log in.
    """
    why_not = why_no_sshd()
    if why_not is not None:
        pytest.skip(why_not)
    host, port = "127.0.0.1", _free_port()
    make_sshd(folder, host, port, path=path)
    server = start_sshd(folder, host, port)
    try:
        yield server
    finally:
        server.kill()


def why_no_sshd() -> str | None:
    """What keeps a server from running here; None if nothing."""
    if _SSHD is None:
        return "openssh-server is not installed"
    if os.geteuid() == 0 and Path("/etc/shadow").read_text().partition("root:")[2].startswith("!"):
        return "the account is locked: sshd refuses a password field that begins with '!'"
    return None


def make_sshd(folder: Path, host: str, port: int, *, path: str | None = None) -> None:
    """Write keys, configuration and known_hosts of a server and its one client."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists, as root
    _make_key(folder / "host_key")
    _make_key(folder / "client_key")
    _write_config(folder, host, port, path)
    _write_known_hosts(folder, host, port, "host_key")


def start_sshd(folder: Path, host: str, port: int, *, inside: Sequence[str] = ()) -> LoopbackSshd:
    """Start what `make_sshd` made; *inside* are words that lead into another namespace."""
    assert _SSHD is not None
    command = [*inside, _SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    server = LoopbackSshd(host=host, port=port, folder=folder, process=process)
    try:
        _wait_until_ready(server)
    except BaseException:
        server.kill()
        raise
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=_READY_SECONDS, stdin=subprocess.DEVNULL)


def _write_config(folder: Path, host: str, port: int, path: str | None) -> None:
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(
        f"ListenAddress {host}\n"
        f"Port {port}\n"
        f"HostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\n"
        "PidFile none\n"
        "PasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
        "StrictModes no\n"
        "UsePAM no\n"
        "MaxStartups 100\n"
        # The account's own login files are no part of the tests; some are slow, or wait for locks.
        f"SetEnv HOME={folder}" + (f" PATH={path}\n" if path else "\n")
    )
    (folder / "ssh_config").write_text(
        "Host *\n"
        f"  Port {port}\n"
        f"  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/client_key\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  KexAlgorithms curve25519-sha256\n"  # half the time of the default's
    )


def _write_known_hosts(folder: Path, host: str, port: int, key: str) -> None:
    public = (folder / f"{key}.pub").read_text()
    (folder / "known_hosts").write_text(f"[{host}]:{port} {public}")


def _wait_until_ready(server: LoopbackSshd) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        assert server.process.poll() is None, (server.folder / "log").read_text()
        with suppress(OSError), socket.create_connection((server.host, server.port), timeout=1):
            return
        assert time.monotonic() < deadline, "sshd does not answer"
        time.sleep(0.02)
