"""Measure what a build costs: `./dev bench build`.

Processor time of builds, all their verification included, against `fpack -r` alone on the same raw
cubes; and the peak memory of a building process. The builders are started as the daemon starts
them, by a fork server, which is counted too: every process is reaped by this one.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from tests.support.raw_cubes import build_job, write_raw_cube
from vampd.layout import OUTPUT_FOLDER

_SIDE = 536  # pixels; the cameras' standard crop
_FRAME_BYTES = 2 * _SIDE * _SIDE
_POOL_FRAMES = 64
_PROMISED_RATIOS = {"sample": 0.60, "all": 0.80}
_PROMISED_QUICK_LOOK = 1.05
_PR_SET_CHILD_SUBREAPER = 36
_PROMISED_KIB = 256 << 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench build", description=__doc__)
    parser.add_argument("--size-gb", type=float, default=0.5, help="raw bytes of a cube")
    parser.add_argument("--cubes", type=int, default=4, help="built one after the other")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verify", choices=("sample", "all"), default="sample")
    parser.add_argument("--whole", action="store_true", help="let funpack read each output whole")
    parser.add_argument("--tiles", choices=("frame", "row"), default="frame")
    parser.add_argument("--states", action="store_true", help="deinterleave into A and B")
    parser.add_argument("--quick-look", action="store_true", help="compare with and without one")
    parser.add_argument("--folder", type=Path, help="where the cubes lie (default: a temporary)")
    parser.add_argument("--memory", action="store_true", help="only the peaks of memory")
    raise SystemExit(_measure(parser.parse_args()))


def _measure(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        night = Path(folder)
        if arguments.quick_look:
            return _compare_quick_look(night, arguments)
        kept = True
        if not arguments.memory:
            kept &= _compare_with_fpack(night, arguments)
        for size_gb, sparse in ((1.2, False), (5.0, True)):
            kept &= _measure_memory(night, size_gb, arguments, sparse=sparse)
    return 0 if kept else 1


def _compare_with_fpack(night: Path, arguments: argparse.Namespace) -> bool:
    cube = _noisy_cube(night, arguments.size_gb)
    ours: list[float] = []
    theirs: list[float] = []
    promised = _PROMISED_RATIOS[arguments.verify]
    for round_number in range(arguments.rounds):
        ours.append(_run_workers(night, cube, arguments))
        theirs.append(sum(_run_fpack(cube) for _ in range(arguments.cubes)))
        print(f"round {round_number + 1}: build {ours[-1]:.2f} s, fpack {theirs[-1]:.2f} s of CPU")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"verify = {arguments.verify}, {arguments.tiles} tiles: "
        f"medians {statistics.median(ours):.2f}"
        f" and {statistics.median(theirs):.2f} s, least {min(ours):.2f} and {min(theirs):.2f} s; "
        f"ratio {ratio:.2f} (least {min(ours) / min(theirs):.2f}; promised: at most {promised:.2f})"
    )
    return ratio <= promised


def _compare_quick_look(night: Path, arguments: argparse.Namespace) -> int:
    """Processor time of builds with a quick look against that of builds without."""
    cube = _noisy_cube(night, arguments.size_gb)
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(arguments.rounds):
        for with_one, seconds in taken.items():
            seconds.append(_run_workers(night, cube, arguments, quick_look=with_one))
    ratio = min(taken[True]) / min(taken[False])
    print(
        f"least {min(taken[True]):.2f} s with a quick look, {min(taken[False]):.2f} s without;"
        f" ratio {ratio:.3f} (promised: at most {_PROMISED_QUICK_LOOK:.2f})"
    )
    return 0 if ratio <= _PROMISED_QUICK_LOOK else 1


def _measure_memory(
    night: Path, size_gb: float, arguments: argparse.Namespace, *, sparse: bool
) -> bool:
    cube = _sparse_cube(night, size_gb) if sparse else _noisy_cube(night, size_gb)
    seconds, peak_kib = _run_work(night, cube, arguments)
    kind = "sparse" if sparse else "noisy"
    print(
        f"{kind} cube of {cube.stat().st_size / 1e9:.2f} GB: peak {peak_kib / 1024:.0f} MiB "
        f"(promised: at most {_PROMISED_KIB >> 10}), {seconds:.2f} s of CPU"
    )
    return peak_kib <= _PROMISED_KIB


def _noisy_cube(night: Path, size_gb: float) -> Path:
    """Sky, read noise and a star, as the photons come: compresses to some 0.4."""
    random = np.random.default_rng(20251106)
    y, x = np.mgrid[:_SIDE, :_SIDE] - _SIDE / 2
    light = 40 + 3000 * np.exp(-(x**2 + y**2) / (2 * 12.0**2))
    shape = (_POOL_FRAMES, _SIDE, _SIDE)
    pool = random.poisson(light, shape) / 0.103 / 10 + random.normal(200, 6, shape)
    frames = pool.astype(np.uint16)
    count = round(size_gb * 1e9 / _FRAME_BYTES)
    repeated = (frames[index % _POOL_FRAMES] for index in range(count))
    return write_raw_cube(night, repeated, declared_frames=count)


def _sparse_cube(night: Path, size_gb: float) -> Path:
    """A cube whose pixels are a hole in the file."""
    count = round(size_gb * 1e9 / _FRAME_BYTES)
    first = np.full((1, _SIDE, _SIDE), 32768, dtype=np.uint16)
    return write_raw_cube(night, first, declared_frames=count)


def _run_work(night: Path, cube: Path, arguments: argparse.Namespace) -> tuple[float, int]:
    """CPU seconds and peak KiB of a fresh process that builds *cube*."""
    shutil.rmtree(night / OUTPUT_FOLDER, ignore_errors=True)
    job = night / "job.pickle"
    _describe(job, night, cube, arguments)
    seconds, printed = _measured([sys.executable, "-c", _WORK, str(job)])
    return seconds, int(printed)


def _run_workers(
    night: Path, cube: Path, arguments: argparse.Namespace, *, quick_look: bool = False
) -> float:
    """CPU seconds of a process whose workers build *cube* several times."""
    shutil.rmtree(night / OUTPUT_FOLDER, ignore_errors=True)
    job = night / "job.pickle"
    _describe(job, night, cube, arguments, quick_look=quick_look)
    return _measured([sys.executable, "-c", _SERVED, str(job), str(arguments.cubes)])[0]


def _describe(
    job: Path, night: Path, cube: Path, arguments: argparse.Namespace, *, quick_look: bool = False
) -> None:
    described = build_job(
        night, [cube], tiles=arguments.tiles, verify=arguments.verify, states=arguments.states
    )
    if not arguments.whole:  # of a night, only the first output of each shape is
        described = replace(described, read_whole=())
    job.write_bytes(pickle.dumps(replace(described, quick_look=quick_look)))


_WORK = """
import pickle, sys
from vampd.stages.build import work
work(pickle.load(open(sys.argv[1], "rb")))
# Not ru_maxrss: exec hands the parent's peak on to the child.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]))
"""


_SERVED = """
import pickle, sys
from multiprocessing.connection import wait
from msgspec.structs import replace
from vampd.schedule.workers import Workers
from vampd.stages.build import work
workers = Workers(nice=0)
for number in range(int(sys.argv[2])):
    job = pickle.load(open(sys.argv[1], "rb"))
    names = [each.file_name.replace(".000000", f".{number:06d}") for each in job.outputs]
    renamed = zip(job.outputs, names)
    job = replace(job, outputs=tuple(replace(each, file_name=name) for each, name in renamed))
    workers.submit(work, job)
    while not (outcomes := workers.finished()):
        wait(workers.pipes())
    assert outcomes[0].error is None and not outcomes[0].crashed, outcomes
workers.stop()
"""


def _run_fpack(cube: Path) -> float:
    """CPU seconds of `fpack -r`."""
    packed = cube.with_name(f"{cube.name}.fz")
    packed.unlink(missing_ok=True)
    seconds, _ = _measured(["fpack", "-r", str(cube)])
    packed.unlink()
    return seconds


def _measured(command: list[str]) -> tuple[float, str]:
    """CPU seconds, user and system, of *command* and all that it left behind; what it printed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, finished.stdout


if __name__ == "__main__":
    main()
