"""A small night, and far sides of several kinds for the tests of transfer and verify."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from tests.support.sshd import LoopbackSshd, running_sshd
from vampd.errors import VampdError
from vampd.io.listed_files import ListedFile
from vampd.remote import vampd_remote
from vampd.remote.commands import Reach
from vampd.stages import transfer, verify
from vampd.stages.transfer import TransferJob, TransferResult
from vampd.stages.verify import VerifyJob

DATE = "20251106"
NIGHT = f"archive {DATE}"

#: The far side's helper, called with this Python: the far machine's own may be another.
HELPER = f"{sys.executable} -I -S {Path(vampd_remote.__file__).resolve()}"


class FarSide(Struct, frozen=True, kw_only=True):
    """A night here, and a destination to send it to."""

    night: Path
    destination: Path  #: as a folder, wherever the far side is
    place: str  #: as the configuration names it
    ssh_options: list[str]
    sshd: LoopbackSshd | None = None
    far_helper: str = ""
    own: list[str] = field(default_factory=list)  #: paths that were published there
    files: list[ListedFile] = field(default_factory=list)

    @property
    def arrived(self) -> Path:
        return self.destination / DATE

    def add(self, path: str, content: bytes) -> ListedFile:
        """Put a file into the night, and on its list."""
        (self.night / path).parent.mkdir(parents=True, exist_ok=True)
        (self.night / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        listed = ListedFile(path=path, size_bytes=len(content), sha256=digest)
        self.files.append(listed)
        return listed

    @property
    def incoming(self) -> Path:
        return self.destination / ".incoming" / DATE

    @property
    def evidence(self) -> dict[str, bytes]:
        """What was set aside, by name."""
        top = self.destination / ".evidence" / DATE
        files = (path for path in top.rglob("*") if path.is_file())
        return {str(path.relative_to(top)): path.read_bytes() for path in files}

    @property
    def reach(self) -> Reach:
        return Reach(
            ssh_options=tuple(self.ssh_options), connect_timeout_seconds=5, helper=self.far_helper
        )

    def transfer_job(self, *, bandwidth_kib: int = 0) -> TransferJob:
        return TransferJob(
            night=NIGHT,
            folder=str(self.night),
            destination=self.place,
            date=DATE,
            files=self.files,
            own=self.own,
            reach=self.reach,
            bandwidth_kib=bandwidth_kib,
        )

    def verify_job(self, *, verify_at: Path | None = None) -> VerifyJob:
        host, colon, _ = self.place.rpartition(":")
        return VerifyJob(
            night=NIGHT,
            verify_at=f"{host}{colon}{verify_at or self.arrived}",
            destination=f"{host}{colon}{self.arrived}",
            files=self.files,
            reach=self.reach,
        )

    @contextmanager
    def cut_once_data_flow(self) -> Iterator[None]:
        """Kill the connection a second after the first bytes of a cube have arrived."""
        with self._once_data_flow(signal.SIGKILL):
            yield

    @contextmanager
    def frozen_once_data_flow(self) -> Iterator[None]:
        """Stop the connection, as a dead cable does; let it go on at the end."""
        with self._once_data_flow(signal.SIGSTOP):
            yield
        assert self.sshd is not None
        self.sshd.signal(signal.SIGCONT)

    @contextmanager
    def _once_data_flow(self, number: signal.Signals) -> Iterator[None]:
        def watch() -> None:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not list(self.destination.rglob(".vsync*")):
                time.sleep(0.02)
            time.sleep(1.0)
            assert self.sshd is not None
            self.sshd.signal(number)

        watcher = threading.Thread(target=watch)
        watcher.start()
        yield
        watcher.join()

    def send(self, *, bandwidth_kib: int = 0) -> TransferResult:
        """Send what is listed, and remember what was published, as the ledger does."""
        result = TransferResult()
        try:
            result = transfer.work(self.transfer_job(bandwidth_kib=bandwidth_kib))
        except VampdError as error:
            result = error.progress
            raise
        finally:
            self.own.extend(file.path for file in result.published)
        return result

    def verdicts(self, *, verify_at: Path | None = None) -> dict[str, str]:
        results = verify.work(self.verify_job(verify_at=verify_at)).results
        return {result.path: result.verdict for result in results}


@contextmanager
def _here(tmp_path: Path) -> Iterator[FarSide]:
    yield local_side(tmp_path)


@contextmanager
def helper_side(tmp_path: Path) -> Iterator[FarSide]:
    """A destination behind a real sshd and a key that may call `vampd-remote` alone."""
    with ssh_side(tmp_path) as side:
        assert side.sshd is not None
        side.sshd.force(f"{HELPER} {side.destination.parent}")
        yield replace(side, far_helper="vampd-remote")


def local_side(tmp_path: Path) -> FarSide:
    """A destination on this machine."""
    destination = tmp_path / "far side"
    destination.mkdir()
    (tmp_path / "night").mkdir()
    return FarSide(
        night=tmp_path / "night", destination=destination, place=str(destination), ssh_options=[]
    )


@contextmanager
def ssh_side(tmp_path: Path, *, path: str | None = None) -> Iterator[FarSide]:
    """A destination behind a real sshd; its sessions have *path* as their PATH."""
    local = local_side(tmp_path)
    with running_sshd(tmp_path / "sshd", path=path) as sshd:
        yield FarSide(
            night=local.night,
            destination=local.destination,
            place=f"{sshd.host}:{local.destination}",
            ssh_options=sshd.options,
            sshd=sshd,
        )


def fill(side: FarSide, *, files: int = 3, size_bytes: int = 1000) -> None:
    """Give *side* cubes with colons in their names, and a manifest."""
    for number in range(files):
        side.add(f"vgen2/vsync_05:11:38.{number:06d}.cam1.A.fits.fz", os.urandom(size_bytes))
    side.add(f"manifest_VMP_{DATE}.csv", b"VMPA00425189|/x|1\n")


def liar(folder: Path, program: str, script: str = "exit 0") -> Path:
    """A program in *folder* that says it did what it was asked to do.

    In the place of sha256sum it is asked, for openssl is none then.
    """
    folder.mkdir(exist_ok=True)
    scripts = {program: script} | ({"openssl": "exit 1"} if program == "sha256sum" else {})
    for name, text in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return folder


def lie(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def powerless(folder: Path, program: str) -> Path:
    """The real *program*, in *folder*, without root's power to read and write everywhere."""
    drop = "setpriv --reuid=65534 --regid=65534 --clear-groups " if os.geteuid() == 0 else ""
    return liar(folder, program, f'exec {drop}{shutil.which(program)} "$@"')


def flip_one_byte(path: Path) -> None:
    """Change one byte of *path*; its size and time stay."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


#: The three ways in which a far side is reached.
SIDES: dict[str, Callable[[Path], AbstractContextManager[FarSide]]] = {
    "local": _here,
    "ssh": ssh_side,
    "helper": helper_side,
}
