"""Two hosts and a cable: "near", where this process lives, and "far", which can be hurt.

Each far host has a network namespace of its own, at the other end of a veth pair, a real sshd in
it, and a disk of its own: an ext4 file system in a file. All of it, and every process, is gone with
the namespaces in which `in_own_world` starts the campaign. Where the kernel permits none of this,
far is the loopback: a cut cable is then an sshd that is stopped, and there is no disk to fill.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

from tests.support.far_side import HELPER
from tests.support.sshd import LoopbackSshd, make_sshd, start_sshd

_OWN_WORLD = "VAMPD_TEST_WORLD"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
#: The first process, which has to bury whoever dies without parents.
_FIRST = ("sh", "-c", '"$@"; exit $?', "sh")
_TRIAL = (
    "ip link set lo up && ip link add trial0 type veth peer name trial1 && "
    "mount -t tmpfs none /mnt && umount /mnt"
)
_DISK_BYTES = 96 << 20
_SPARE_BYTES = 16 << 10  #: what a full disk has left
_SECONDS = 20.0

#: What a far command is, by what was asked; it waits while `hold-KIND` lies beside the gate.
_GATE = """\
#!/bin/sh
case $SSH_ORIGINAL_COMMAND in
*"rsync --server"*) kind=receive ;;
*sha256sum*|*" digest"*) kind=digest ;;
*) kind=other ;;
esac
cd {folder} || exit 1
if [ -e hold-$kind ]; then
    : >reached-$kind
    while [ -e hold-$kind ]; do sleep 0.05; done
fi
cd /
exec {command}
"""


def in_own_world(words: Sequence[str]) -> str | None:
    """Start `python -m WORDS` anew in namespaces of its own, and end with its exit status.

    Returns only in there, with None; or, where that is not permitted, with the reason.
    """
    if os.environ.get(_OWN_WORLD):
        sh("ip link set lo up")
        return None
    why_not = _why_not()
    if why_not is None:
        os.environ[_OWN_WORLD] = "1"
        os.execvp(_UNSHARE[0], [*_UNSHARE, *_FIRST, sys.executable, "-m", *words])
    return why_not


def _why_not() -> str | None:
    """What speaks against namespaces, a cable and a disk of our own; None if nothing."""
    if shutil.which(_UNSHARE[0]) is None:
        return f"{_UNSHARE[0]} is not installed"
    done = subprocess.run(
        [*_UNSHARE, "sh", "-c", _TRIAL],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode == 0:
        return None
    return done.stderr.strip() or f"unshare exited {done.returncode}"


def is_own_world() -> bool:
    return bool(os.environ.get(_OWN_WORLD))


class FarHost(Struct, kw_only=True):
    """One far host. What is done to it stays so until it is undone."""

    number: int  #: of its cable and its addresses
    gates: Path  #: the folder of the gate's signs
    disk: Path  #: where its disk is mounted
    sshd: LoopbackSshd
    holder: subprocess.Popen[bytes] | None  #: keeps its namespace; None: it is the loopback
    stopped: list[int] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.sshd.host

    @property
    def _inside(self) -> list[str]:
        return inside(self.holder)

    def cut(self) -> None:
        """Nothing goes through the cable any more, and nobody is told."""
        if self.holder is None:
            self.stop([self.sshd.process.pid, *self.sshd.connections()])
        else:
            self._far("ip link set cable down")

    def join(self) -> None:
        if self.holder is None:
            self.go_on()
        else:
            self._far("ip link set cable up")

    def _far(self, command: str) -> None:
        sh(shlex.join([*self._inside, "sh", "-c", command]))

    def kill_sshd(self) -> None:
        self.sshd.kill()

    def start_sshd(self) -> None:
        self.sshd = start_sshd(
            self.sshd.folder, self.sshd.host, self.sshd.port, inside=self._inside
        )

    def receivers(self) -> list[int]:
        """The processes that receive over there: rsync, or the helper that became it."""
        return [process for process in _descendants(self.sshd.process.pid) if _is_receiver(process)]

    def stop(self, processes: Sequence[int]) -> None:
        """Stop *processes*, until `go_on`."""
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
                self.stopped.append(process)

    def go_on(self) -> None:
        for process in self.stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
        self.stopped.clear()

    def fill(self) -> None:
        """Let the disk have next to nothing left."""
        with (self.disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(1 << 16))
        with (self.disk / "filler").open("r+b") as filler:
            filler.truncate(filler.seek(0, os.SEEK_END) - _SPARE_BYTES)

    def free(self) -> None:
        (self.disk / "filler").unlink()

    def hold(self, kind: str) -> None:
        """Let the next far command of *kind* ("digest", "receive") wait at the gate."""
        (self.gates / f"reached-{kind}").unlink(missing_ok=True)
        (self.gates / f"hold-{kind}").touch()

    def is_reached(self, kind: str) -> bool:
        return (self.gates / f"reached-{kind}").exists()

    def let_go(self, kind: str) -> None:
        (self.gates / f"hold-{kind}").unlink()


@contextmanager
def far_host(folder: Path, number: int, *, helper: bool) -> Iterator[FarHost]:
    """A far host, whose disk is mounted at *folder*/site/far."""
    gates, disk = folder / "gates", folder / "site" / "far"
    for path in (gates, disk):
        path.mkdir(parents=True)
    if is_own_world():
        _mount_disk(folder / "disk", disk)
    holder = namespace(number) if is_own_world() else None
    host = "127.0.0.1" if holder is None else f"10.77.{number}.2"
    make_sshd(folder / "sshd", host, 22_000 + number)
    sshd = start_sshd(folder / "sshd", host, 22_000 + number, inside=inside(holder))
    sshd.force(str(_make_gate(gates, f"{HELPER} {disk}" if helper else None)))
    far = FarHost(number=number, gates=gates, disk=disk, sshd=sshd, holder=holder)
    try:
        yield far
    finally:
        far.go_on()
        far.kill_sshd()
        if holder is not None:
            holder.kill()
            holder.wait()
            sh(f"umount --lazy {disk}")


def _make_gate(gates: Path, helper: str | None) -> Path:
    gate = gates / "gate"
    command = helper or 'sh -c "$SSH_ORIGINAL_COMMAND"'
    gate.write_text(_GATE.format(folder=gates, command=command))
    gate.chmod(0o755)
    return gate


def _mount_disk(image: Path, where: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    sh(f"mkfs.ext4 -q -m 0 {image} && mount -o loop {image} {where} && rmdir {where}/lost+found")


def namespace(number: int) -> subprocess.Popen[bytes]:
    """A network namespace at the other end of a cable, kept by a process that sleeps."""
    holder = subprocess.Popen(["unshare", "--net", "--", "sleep", "infinity"])
    ours, deadline = Path("/proc/self/ns/net").stat().st_ino, time.monotonic() + _SECONDS
    while Path(f"/proc/{holder.pid}/ns/net").stat().st_ino == ours:
        assert time.monotonic() < deadline, "no namespace"
        time.sleep(0.01)
    within = shlex.join(inside(holder))
    sh(
        f"ip link add far{number} type veth peer name cable netns {holder.pid} && "
        f"ip addr add 10.77.{number}.1/30 dev far{number} && ip link set far{number} up && "
        f"{within} ip addr add 10.77.{number}.2/30 dev cable && {within} ip link set cable up && "
        f"{within} ip link set lo up"
    )
    return holder


def inside(holder: subprocess.Popen[bytes] | None) -> list[str]:
    return [] if holder is None else ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"]


def sh(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _descendants(process: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        words = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for child in map(int, words):
            found += [child, *_descendants(child)]
    return found


def _is_receiver(process: int) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        return words[0].endswith(b"rsync") and b"--server" in words
    return False
