"""A real Dask: a scheduler, and builders that are hosts of their own, as far as names go.

Each builder is a `dask worker` in a UTS namespace of its own, so that it has a host's name of its
own. All see the same folders.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from msgspec import Struct, field

_SECONDS = 30.0
_HOST = ("sh", "-c", 'hostname "$0" && exec "$@"')


@cache
def why_no_hosts() -> str:
    """Why no process can be given a host's name of its own here; "": it can."""
    done = subprocess.run(
        [*_unshare(), *_HOST, "trial", "true"], check=False, capture_output=True, text=True
    )
    return done.stderr.strip() if done.returncode else ""


def _unshare() -> list[str]:
    own_users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own_users, "--uts"]


class DaskCluster(Struct, kw_only=True):
    """A scheduler at a port that stays its own, and builders by their host's name."""

    folder: Path
    port: int
    scheduler: subprocess.Popen[bytes] | None = None
    host: str = "127.0.0.1"  #: where the scheduler listens
    builders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    inside: dict[str, list[str]] = field(default_factory=dict)  #: what enters a builder's network
    address_of: dict[str, str] = field(default_factory=dict)  #: of the scheduler, for a builder

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def begin_scheduler(self) -> None:
        words = ["scheduler", "--host", self.host, "--port", str(self.port)]
        self.scheduler = self._start("scheduler", [*_dask(words), "--no-dashboard"])

    def begin_builder(self, host: str, *, program: Sequence[str] = ()) -> None:
        """A builder on another host; *program* in place of Dask's own."""
        words = [
            "worker",
            self.address_of.get(host, self.address),
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
        ]
        command = program or _dask(words)
        inside = self.inside.get(host, [])
        self.builders[host] = self._start(host, [*inside, *_unshare(), *_HOST, host, *command])

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(self.folder)},
            )

    def kill_scheduler(self) -> None:
        if self.scheduler is not None:
            kill(self.scheduler)

    def kill_builder(self, host: str) -> None:
        kill(self.builders[host])

    def end(self) -> None:
        for process in [*self.builders.values(), self.scheduler]:
            if process is not None:
                kill(process)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that was begun here, as a power cut does; what it began ends by itself."""
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=_SECONDS)


def _dask(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "dask", *words]


@contextmanager
def dask_cluster(
    folder: Path, hosts: Sequence[str] = (), *, host: str = "127.0.0.1"
) -> Iterator[DaskCluster]:
    """A scheduler and the builders of *hosts*; all have ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = DaskCluster(folder=folder, port=port, host=host)
    try:
        cluster.begin_scheduler()
        for name in hosts:
            cluster.begin_builder(name)
        yield cluster
    finally:
        cluster.end()
