"""Measure a whole night of small cubes: `./dev bench night --cubes 100 1000`.

Makes nights of so many cubes (20 frames of 16 x 16 pixels, or as many as --frames says, half of the
cubes of each camera), and runs the daemon until each is safe, in its archive beside it. Prints for
each night the daemon's own processor time for a cube, its start apart, that of all its workers, the
peak memory of the daemon and of the largest other process, and how often fsync was called for a
cube, where strace is there and --syncs is given. Exit 1 when a goal is missed: at most 10 ms of the
daemon for a cube, which grow at most 1.5 times from the smallest night to the largest, and 256 MiB.
"""

from __future__ import annotations

import argparse
import compileall
import ctypes
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from msgspec import Struct

import vampd
from tests.support.raw_cubes import COMMON_CARDS, header_bytes, image_cards, timing_bytes

_DATE = "20251106"
_BEGIN_US = 1_762_387_200_000_000  # 2025-11-06 00:00:00 UTC
_DAY_US = 86_400_000_000
_SIDE = 16
_MOST_MS = 10.0
_MOST_GROWTH = 1.5
_MOST_MIB = 256.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_TICK = os.sysconf("SC_CLK_TCK")

_SETTINGS = """\
state_dir = "{folder}/state"
[[roots]]
kind = "archive"
path = "{folder}/archive"
[night]
settle_seconds = 1
quiet_minutes = 0
grace_minutes = 0
[cubes]
max_gap_seconds = 1
[workers]
processes = 2
[frame_ids]
first = 425189
[delivery.archive]
destination = "{folder}/far"
"""


class Cost(Struct, frozen=True, kw_only=True):
    """What one night took."""

    cubes: int
    daemon_seconds: float
    workers_seconds: float
    daemon_mib: float
    worker_mib: float
    wall_seconds: float
    syncs: Counter[str]

    @property
    def daemon_ms(self) -> float:
        return 1000 * self.daemon_seconds / self.cubes

    def __str__(self) -> str:
        told = (
            f"{self.cubes:6d}  {self.daemon_ms:10.2f}"
            f"  {1000 * self.workers_seconds / self.cubes:11.1f}"
            f"  {self.daemon_mib:10.0f}  {self.worker_mib:11.0f}  {self.wall_seconds:8.0f}"
        )
        for name, count in sorted(self.syncs.items()):
            told += f"  {name} {count / self.cubes:.1f}"
        return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench night", description=__doc__)
    parser.add_argument("--cubes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--frames", type=int, default=20, help="of a cube, 100 a second")
    parser.add_argument("--syncs", action="store_true", help="count fsync with strace: slow")
    parser.add_argument("--folder", type=Path, help="where the nights lie (default: a temporary)")
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        start = _start_seconds(Path(folder))
    print(f"a start without a night takes the daemon {start:.2f} s")
    print(" cubes  daemon, ms  workers, ms  daemon MiB  workers MiB  wall, s", flush=True)
    costs = []
    for cubes in arguments.cubes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            costs.append(_measure(Path(folder), cubes, start, arguments))
            print(costs[-1], flush=True)
    growth = costs[-1].daemon_ms / costs[0].daemon_ms
    most = max(cost.daemon_ms for cost in costs)
    memory = max(max(cost.daemon_mib, cost.worker_mib) for cost in costs)
    print(
        f"daemon: at most {most:.1f} ms a cube (goal {_MOST_MS:g}), growth {growth:.2f}"
        f" (goal {_MOST_GROWTH:g}); memory: at most {memory:.0f} MiB (goal {_MOST_MIB:g})"
    )
    kept = most <= _MOST_MS and growth <= _MOST_GROWTH and memory <= _MOST_MIB
    raise SystemExit(0 if kept else 1)


def _settled(folder: Path) -> list[str]:
    """Folders and settings; the words that run the daemon there until it is idle."""
    for name in ("archive/lost+found", "far"):
        (folder / name).mkdir(parents=True)
    config = folder / "vampd.toml"
    config.write_text(_SETTINGS.format(folder=folder), encoding="utf-8")
    return [sys.executable, "-m", "vampd", "--config", str(config), "admin", "run", "--until-idle"]


def _start_seconds(folder: Path) -> float:
    compileall.compile_dir(Path(vampd.__file__).parent, quiet=1)  # as it is when installed
    return _watched(subprocess.Popen(_settled(folder)), traced=False)[0]


def _measure(folder: Path, cubes: int, start: float, arguments: argparse.Namespace) -> Cost:
    syncs = arguments.syncs
    words = _settled(folder)
    _make_night(folder / "archive" / _DATE, cubes, arguments.frames)
    traced = ["strace", "-f", "-c", "-S", "name", "-o", str(folder / "syncs")]
    traced += ["-e", "trace=fsync,fdatasync"]
    before, began = _children_seconds(), time.monotonic()
    daemon = subprocess.Popen([*(traced if syncs else []), *words])
    own_seconds, peak_mib = _watched(daemon, traced=syncs)
    _reap_all()
    if daemon.returncode != 0:
        sys.exit(f"the daemon exited {daemon.returncode}")
    _demand_safe(folder, cubes)
    return Cost(
        cubes=cubes,
        daemon_seconds=own_seconds - start,
        workers_seconds=_children_seconds() - before - own_seconds,
        daemon_mib=peak_mib,
        worker_mib=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        wall_seconds=time.monotonic() - began,
        syncs=_counted(folder / "syncs") if syncs else Counter(),
    )


def _watched(daemon: subprocess.Popen[bytes], *, traced: bool) -> tuple[float, float]:
    """The processor time and the peak memory of the daemon itself, as last seen."""
    seconds = mib = 0.0
    while daemon.poll() is None:
        pid = _child_of(daemon.pid) if traced else daemon.pid
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks = sum(int(field) for field in fields.split()[11:13])
        if peak is not None:
            seconds, mib = ticks / _TICK, int(peak[1]) / 1024
        time.sleep(0.1)
    return seconds, mib


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if children else pid


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap_all() -> None:
    """Wait for whatever the daemon left to us."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _counted(summary: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in summary.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields and fields[-1] in {"fsync", "fdatasync"}:
            found[fields[-1]] += int(fields[3])
    return found


def _demand_safe(folder: Path, cubes: int) -> None:
    sent = len(list((folder / "far" / _DATE / "vgen2").glob("*.fits.fz")))
    if sent != cubes:
        sys.exit(f"{sent} outputs of {cubes} arrived")


def _make_night(night: Path, cubes: int, frames: int) -> None:
    for camera in (1, 2):
        (night / f"vcam{camera}").mkdir(parents=True)
    step_us = min(20_000_000, _DAY_US // (cubes // 2 + 1))
    random = np.random.default_rng(1)
    for number in range(cubes):
        pixels = random.integers(30_000, 33_000, (frames, _SIDE, _SIDE))
        block = (pixels - 32768).astype(">i2").tobytes()
        camera, first_us = number % 2 + 1, _BEGIN_US + number // 2 * step_us
        cards = [card.replace("VCAM1", f"VCAM{camera}") for card in COMMON_CARDS]
        header = header_bytes(image_cards(_SIDE, _SIDE, frames, cards))
        path = night / f"vcam{camera}" / f"{_stem(camera, first_us)}.fits"
        path.write_bytes(header + block + b"\0" * (-len(block) % 2880))
        path.with_suffix(".txt").write_bytes(timing_bytes(frames, first_us=first_us))


def _stem(camera: int, first_us: int) -> str:
    seconds, microseconds = divmod(first_us - _BEGIN_US, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"vcam{camera}_{clock}.{microseconds:06}000"


if __name__ == "__main__":
    main()
