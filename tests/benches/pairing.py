"""How long pairing and labelling take: `./dev bench pairing`.

A million frames a camera, in cubes and runs as they come: slow enough to pair without thinking,
and so fast that three frames lie within the tolerance. What is timed is what the plan of a night
calls: `pair_night` and `label_states`. The aim is under a second of processor time for both.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from vampd.records import RawCube
from vampd.science.flc import label_states
from vampd.science.matching import pair_night
from vampd.science.timeline import Timeline

FRAMES = 1_000_000
CUBE_FRAMES = 2_000
LIMIT_S = 1.0
_START_US = 1_762_405_800_000_000


def exposures(period_us: float, jitter_us: float, offset_us: float) -> list[NDArray[np.int64]]:
    """Times of both cameras, a thousandth of the frames lost in each."""
    random = np.random.default_rng(1)
    index = np.arange(FRAMES)
    fired = _START_US + period_us * index + jitter_us / 2 * np.where(index % 2 == 0, 1, -1)
    times = []
    for shift in (0.0, offset_us):
        noise = random.normal(0, 6, FRAMES)
        kept = random.random(FRAMES) > 0.001
        times.append(np.rint(fired + shift + noise).astype(np.int64)[kept])
    return times


def camera(number: int, times_us: NDArray[np.int64]) -> Timeline:
    """The frames of one camera, in cubes of the usual length."""
    firsts = range(0, len(times_us), CUBE_FRAMES)
    return Timeline(
        [
            RawCube(
                raw_file=first,
                path=f"vcam{number}/{first}",
                camera=number,
                width=536,
                height=536,
                cards={"EXTTRIG": True, "U_DETMOD": "FAST", "PRD-RNG2": 536},
                acquired_us=times_us[first : first + CUBE_FRAMES],
            )
            for first in firsts
        ]
    )


def main() -> int:
    slowest = 0.0
    for period_us, jitter_us, offset_us in ((2000.0, 30.0, 119.0), (700.0, 100.0, 370.0)):
        t1_us, t2_us = exposures(period_us, jitter_us, offset_us)
        one, two = camera(1, t1_us), camera(2, t2_us)
        began = time.process_time()
        pairs = pair_night(one, two)
        paired = time.process_time()
        labels = label_states(pairs.times_us, jitter_us=round(jitter_us))
        ended = time.process_time()
        slowest = max(slowest, ended - began)
        print(
            f"T {period_us:.0f} us, J {jitter_us:.0f} us: {len(pairs.times_us)} pairs in "
            f"{paired - began:.3f} s, states in {ended - paired:.3f} s, "
            f"{np.count_nonzero(labels.states == 0)} dubious"
        )
    print(f"slowest {slowest:.3f} s of {LIMIT_S} s")
    return int(slowest > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
