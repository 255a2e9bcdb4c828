"""Our Rice coder against CFITSIO's, and against damage: `python -m tests.campaigns.rice`.

1. Frames of all kinds: both coders make the same bytes, and give back the pixels from them.
2. The C source by itself, with every buffer exactly as large as its content: with the address and
   undefined-behaviour sanitizers, and for another and a big-endian processor, where Debian's cross
   compilers and qemu are there. All print the same sum of what they made.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.io import _rice, rice, rice_cfitsio
from vampd.io.pixels import STORED
from vampd.io.rice import Coder

_CHECKOUT = Path(__file__).parents[2]
_SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


class Build(Struct, frozen=True, kw_only=True):
    """A way to compile the trial, and to run it."""

    name: str
    command: str
    runner: str = ""

    @property
    def is_here(self) -> bool:
        programs = [self.command.split()[0], *self.runner.split()]
        return all(shutil.which(program) for program in programs)


BUILDS = (
    Build(name="this machine", command="gcc -O3"),
    Build(name="sanitizers", command=f"gcc {_SANITIZERS}"),
    Build(
        name="aarch64",
        command="aarch64-linux-gnu-gcc -O3 -static",
        runner="qemu-aarch64-static",
    ),
    Build(
        name="s390x, big-endian",
        command="s390x-linux-gnu-gcc -O3 -static",
        runner="qemu-s390x-static",
    ),
)


def trial_sum(build: Build, folder: Path, *, seed: int, tiles: int) -> str:
    """What the trial prints; CalledProcessError if it does not compile, or fails."""
    program = folder / "trial"
    sources = [str(_CHECKOUT / "tests/rigs/rice_trial.c"), str(_CHECKOUT / "csrc/rice.c")]
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    include = f"-I{_CHECKOUT / 'csrc'}"
    subprocess.run(
        [*build.command.split(), *warnings, include, *sources, "-o", str(program)], check=True
    )
    return subprocess.run(
        [*build.runner.split(), str(program), str(seed), str(tiles)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def frames(seed: int, count: int) -> Iterator[NDArray[np.int16]]:
    """Frames of all kinds, (tiles, pixels of a tile)."""
    random = np.random.default_rng(seed)
    for number in range(count):
        width = int(random.integers(1, 300)) if number % 20 else int(random.integers(300, 40_000))
        tiles = int(random.integers(1, 4))
        yield _values(random, number % 8, (tiles, width)).astype(np.uint16).astype(STORED)


def _values(random: np.random.Generator, kind: int, shape: tuple[int, int]) -> NDArray[np.integer]:
    wide = 10 ** random.uniform(0, 4.3)
    sky = np.rint(random.normal(200, 3, shape))
    kinds = (
        lambda: random.integers(0, 65536, shape),
        lambda: np.full(shape, random.integers(0, 65536)),
        lambda: sky,
        lambda: np.where(random.random(shape) < 0.01, 65535, sky),
        lambda: np.cumsum(random.integers(-3, 4, shape), axis=1) & 0xFFFF,
        lambda: np.rint(random.normal(30_000, wide, shape)),
        lambda: np.where(random.random(shape) < random.random(), 0, 65535),
        lambda: np.where(random.random(shape) < 1 / shape[1], 32768, 0),
    )
    return np.clip(kinds[kind](), 0, 65535).astype(np.int64)


def disagreement(frame: NDArray[np.int16]) -> str:
    """What the two coders make differently of *frame*; nothing where they agree."""
    made = [_encoded(coder, frame) for coder in (_rice, rice_cfitsio)]
    if made[0] != made[1]:
        return f"other bytes of {frame.shape}"
    coded, lengths = made[0]
    for coder in (_rice, rice_cfitsio):
        again = np.zeros_like(frame)
        coder.decode(memoryview(coded), np.array(lengths), frame.shape[1], again)
        if not np.array_equal(again, frame):
            return f"other pixels of {frame.shape}"
    return ""


def _encoded(coder: Coder, frame: NDArray[np.int16]) -> tuple[bytes, list[int]]:
    tiles, tile_pixels = frame.shape
    lengths = np.zeros(tiles, dtype=np.int64)
    coded = memoryview(bytearray(rice.room_bytes(tile_pixels, tiles)))
    return bytes(coded[: coder.encode(frame, tile_pixels, coded, lengths)]), lengths.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.rice", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--tiles", type=int, default=100_000, help="of each build of the source")
    arguments = parser.parse_args()
    found = [
        text for frame in frames(arguments.seed, arguments.frames) if (text := disagreement(frame))
    ]
    print(f"{arguments.frames} frames by both coders: {len(found)} differ {found[:3]}")
    sums = {}
    for build in BUILDS:
        if not build.is_here:
            print(f"{build.name}: not tried, for want of {build.command.split()[0]} {build.runner}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            sums[build.name] = trial_sum(
                build, Path(folder), seed=arguments.seed, tiles=arguments.tiles
            )
        print(f"{build.name}: {arguments.tiles} tiles, each damaged 8 times: {sums[build.name]}")
    raise SystemExit(bool(found) or len(set(sums.values())) != 1)


if __name__ == "__main__":
    main()
