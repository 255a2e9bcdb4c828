"""Power cuts on real file systems: the night must come out as if there had been none.

    python -m tests.campaigns.powercuts [--fs ext4|xfs] [--ledger same|other] [--cuts N]

Each night lies on a new file system in a loop image, and so does the ledger, on the same one or on
another. At a moment that chance chooses the kernel shuts both down (FS_IOC_SHUTDOWN without a last
flush of the journal): what was not made durable is gone, as after a power cut. They are mounted
again, a daemon goes on, and the end is compared with an undisturbed night's. Needs root, loop
devices and mkfs; exits with 69 where the machine does not allow it, and with 1 where a night
differs, or where no cut met a daemon at work.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.faults.rig import CALM
from tests.faults.scenes import Trial

_SHUT_DOWN = 0x8004587D  # FS_IOC_SHUTDOWN, linux/fs.h
_NO_LOG_FLUSH = 2
_IMAGE_MEGABYTES = 400  # the least that XFS takes is 300
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
_LONGEST_SECONDS = 20.0  #: of a life; both hold back what nobody synchronised for longer
_NOT_HERE = 69


class Disk:
    """A file system in an image, which can lose its power."""

    def __init__(self, image: Path, kind: str, place: Path) -> None:
        self._image = image
        self.place = place
        with image.open("wb") as file:
            file.truncate(_IMAGE_MEGABYTES << 20)
        _do([*_MAKE[kind], str(image)])
        place.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self) -> None:
        _do(["mount", "-o", "loop", str(self._image), str(self.place)])

    def cut(self) -> None:
        folder = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUT_DOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def unmount(self) -> None:
        """Without what still is open there: of a killed process that is a moment's matter."""
        for _ in range(100):
            with suppress(subprocess.CalledProcessError):
                _do(["umount", str(self.place)])
                return
            time.sleep(0.1)
        msg = f"{self.place} cannot be unmounted"
        raise OSError(msg)


class Night(Trial):
    """A small archive night on disks that lose their power."""

    kinds = ("archive",)

    def cut_at(self, seconds: float, disks: Sequence[Disk]) -> bool:
        """Let a daemon live for so long, then cut; whether it was still alive."""
        with (self.folder / "fire.log").open("ab") as log:
            daemon = subprocess.Popen(
                self.site.words("admin", "run", "--until-idle"), stdout=log, stderr=log
            )
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(timeout=seconds)
        lived = daemon.poll() is None
        for disk in disks:
            disk.cut()
        daemon.kill()
        daemon.wait()
        for disk in reversed(disks):
            disk.unmount()
        for disk in disks:
            disk.mount()
        return lived


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fs", choices=sorted(_MAKE), default="ext4")
    parser.add_argument("--ledger", choices=("same", "other"), default="same")
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    asked = parser.parse_args()
    os.nice(19 - os.nice(0))
    print(f"seed {asked.seed}", flush=True)
    chance = random.Random(asked.seed)
    bad = at_work = retried = 0
    try:
        with _night(asked.fs, asked.ledger) as (night, _):
            began = time.monotonic()
            night.fire(CALM)
            longest = min(_LONGEST_SECONDS, time.monotonic() - began)
            night.finish()
            calm = night.found()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"this machine does not allow it: {error}")
        return _NOT_HERE
    for number in range(asked.cuts):
        with _night(asked.fs, asked.ledger) as (night, disks):
            after = chance.uniform(0.5, longest)
            at_work += night.cut_at(after, disks)
            retries = night.finish()
            found = night.found()
        differing = [name for name in found | calm if found.get(name) != calm.get(name)]
        bad += bool(differing)
        retried += retries > 0
        told = f"{differing or 'identical'}" + (f", {retries} retries" if retries else "")
        print(f"cut {number + 1}, after {after:.1f} s: {told}", flush=True)
    print(
        f"{asked.cuts} cuts ({at_work} at work) on {asked.fs}, ledger on the {asked.ledger} disk:"
    )
    print(f"{asked.cuts - bad} identical, {retried} by a retry")
    # A cut after the work was done proves nothing.
    return 1 if bad or not at_work else 0


@contextmanager
def _night(kind: str, ledger: str) -> Iterator[tuple[Night, list[Disk]]]:
    """A night as the cameras left it, durable, on new disks.

    Its folder is always the same one: the manifest tells it.
    """
    folder = Path(tempfile.gettempdir()) / f"vampd-cuts-{os.getpid()}"
    folder.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        disks = [Disk(folder / "image", kind, folder / "site")]
        stack.callback(disks[0].unmount)
        if ledger == "other":
            disks.append(Disk(folder / "other", kind, folder / "site" / "state"))
            stack.callback(disks[1].unmount)
        night = Night(folder)
        night.prepare()
        os.sync()
        yield night, disks


def _do(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
