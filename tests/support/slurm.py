"""A real Slurm on this machine: munged, slurmctld, slurmd with folders and ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.waiting import wait_for, wait_until

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")

needs_slurm = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(name, path=_PATH) is None for name in _PROGRAMS),
    reason="needs root, slurmctld, slurmd, slurm-client and munge",
)

_CONF = """\
ClusterName=vampd
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={worker}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=work Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm(Struct, frozen=True, kw_only=True):
    """The running one. *conf* is what $SLURM_CONF must name."""

    conf: Path

    def call(self, *words: str) -> str:
        return subprocess.run(
            words,
            env=os.environ | {"SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        ).stdout


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Start it in *folder*; all of it is ended afterwards."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            controller=_free_port(),
            worker=_free_port(),
            cpus=os.cpu_count(),
        )
    )
    slurm = Slurm(conf=conf)
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": _PATH}
    commands = [
        [
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"),
            *(f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"),
        ],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            started.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            wait_for(folder / "munge.socket")
        wait_until(
            lambda: "idle" in slurm.call("sinfo", "--noheader", "--format=%T"),
            lambda: "Slurm did not come up",
            every_seconds=0.1,
        )
        yield slurm
    finally:
        slurm.call("scancel", "--me")
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
