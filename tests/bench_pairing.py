"""How long pairing and labelling take: `python -m tests.bench_pairing`.

A million frames a camera, in runs as they come: slow enough to pair without thinking,
and so fast that three frames lie within the tolerance. The aim is under a second each.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from vampd.science.flc import label_states
from vampd.science.pairing import pair_frames

FRAMES = 1_000_000
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


def main() -> int:
    slowest = 0.0
    for period_us, jitter_us, offset_us in ((2000.0, 30.0, 119.0), (700.0, 100.0, 370.0)):
        t1_us, t2_us = exposures(period_us, jitter_us, offset_us)
        began = time.perf_counter()
        one, two = pair_frames(t1_us, t2_us, tolerance_us=465)
        paired = time.perf_counter()
        labels = label_states((t1_us[one] + t2_us[two]) // 2, jitter_us=round(jitter_us))
        ended = time.perf_counter()
        slowest = max(slowest, ended - began)
        print(
            f"T {period_us:.0f} us, J {jitter_us:.0f} us: {len(one)} pairs in "
            f"{paired - began:.3f} s, states in {ended - paired:.3f} s, "
            f"{np.count_nonzero(labels.states == 0)} dubious"
        )
    print(f"slowest {slowest:.3f} s of {LIMIT_S} s")
    return int(slowest > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
