"""Measure whether the cameras notice vampd: `./dev bench cameras`.

Two processes write frames at a fixed rate to the disk on which the nights lie, as the loggers do,
and count those that were not written when the next one was due: alone, while vampd's workers build,
and while as many `fpack` pack the same raw cube. Exit 1 when more are late beside vampd than alone,
by more than one in a thousand.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from tests.support.raw_cubes import build_job, write_raw_cube

_SIDE = 536
_MOST_MORE = 0.001

_CAMERA = """
import os, sys, time
path, rate, seconds, size = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
frame, late, worst = os.urandom(size), 0, 0.0
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
begun = time.monotonic()
count = round(rate * seconds)
for number in range(count):
    due = begun + number / rate
    time.sleep(max(0.0, due - time.monotonic()))
    if number % 1000 == 0:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
    os.write(file, frame)
    behind = time.monotonic() - due
    worst = max(worst, behind)
    late += behind > 1 / rate
print(late, count, worst)
"""

_VAMPD = """
import contextlib, os, pickle, sys

from itertools import count
from multiprocessing.connection import wait
from vampd.schedule.workers import Workers
from vampd.stages.build import work
os.nice(10)  # as the unit has it; and its CPUWeight of 20, of a session
with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as session:
    session.write("7")
workers = Workers(nice=19)
numbers = count()
def begin():
    job = pickle.load(open(sys.argv[1], "rb"))
    names = [each.file_name.replace(".000000", f".{next(numbers):06d}") for each in job.outputs]
    renamed = zip(job.outputs, names)
    workers.submit(work, replace(job, outputs=tuple(replace(a, file_name=b) for a, b in renamed)))
for _ in range(int(sys.argv[2])):
    begin()
while True:
    wait(workers.pipes())
    for outcome in workers.finished():
        assert outcome.error is None and not outcome.crashed, outcome
        print("at work", flush=True)
        begin()
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench cameras", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="frames a second of each camera")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=200, help="of the raw cube that is packed")
    parser.add_argument("--folder", type=Path, help="where all is written (default: a temporary)")
    raise SystemExit(_measure(parser.parse_args()))


def _measure(arguments: argparse.Namespace) -> int:
    """Measure all three; return the exit status."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        night = Path(folder) / "night"
        night.mkdir()
        cube = _cube(night, arguments.frames)
        job = night / "job.pickle"
        job.write_bytes(pickle.dumps(replace(build_job(night, [cube]), read_whole=())))
        vampd = [[sys.executable, "-c", _VAMPD, str(job), str(arguments.workers)]]
        pack = f"echo at work; while fpack -r -S {cube} > /dev/null; do :; done"
        fpack = [["sh", "-c", pack]] * arguments.workers
        shares = {
            name: _measured(name, Path(folder), load, arguments)
            for name, load in (("alone", []), ("vampd", vampd), ("fpack", fpack))
        }
    return 1 if shares["vampd"] > shares["alone"] + _MOST_MORE else 0


def _cube(night: Path, frames: int) -> Path:
    noise = np.random.default_rng(20251106).normal(300, 10, (frames, _SIDE, _SIDE))
    return write_raw_cube(night, iter(noise.astype(np.uint16)), declared_frames=frames)


def _begun(*words: str, **how: Any) -> subprocess.Popen[str]:
    """Begin a program that dies with this one, in a session of its own, as services and users are.

    Between sessions the kernel shares the processor evenly, whatever their processes' classes.
    """
    bound = ["setpriv", "--pdeathsig", "KILL", *words]
    return subprocess.Popen(bound, start_new_session=True, text=True, **how)


def _measured(
    name: str, folder: Path, load: Sequence[Sequence[str]], arguments: argparse.Namespace
) -> float:
    """The share of late frames beside a *load*."""
    with _running(load):
        size = 2 * _SIDE * _SIDE
        numbers = [str(arguments.rate), str(arguments.seconds), str(size)]
        cameras = [
            _begun(
                *(sys.executable, "-c", _CAMERA, str(folder / f"camera{number}"), *numbers),
                stdout=subprocess.PIPE,
            )
            for number in (1, 2)
        ]
        told = [camera.communicate()[0].split() for camera in cameras]
    late, count = (sum(int(words[place]) for words in told) for place in (0, 1))
    worst_ms = 1000 * max(float(words[2]) for words in told)
    print(f"{name}: {late} of {count} frames late, the worst by {worst_ms:.1f} ms", flush=True)
    return late / count


@contextlib.contextmanager
def _running(load: Sequence[Sequence[str]]) -> Iterator[None]:
    running = [_begun(*words, stdout=subprocess.PIPE) for words in load]
    try:
        for each in running:
            assert each.stdout is not None
            assert each.stdout.readline(), "the load did not begin"
        yield
        assert all(each.poll() is None for each in running), "the load ended"
    finally:
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


if __name__ == "__main__":
    main()
