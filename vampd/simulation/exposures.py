"""When each camera sees each trigger, and which cube each frame falls into.

The trigger lengthens every other interval with the FLC on: intervals alternate T+J,
T-J. The frame before the long interval is B (+1), the one before the short is A (-1).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.simulation.scenes import Scene

#: From the framegrabber's time of a frame to the logger's: never less, and on average
#: a little more.
_LATENCY_NS = 60_000
_LATENCY_TAIL_NS = 12_000
#: Clocks of cameras that run freely start apart and drift apart.
_FREE_RUN_OFFSET_US = 310
_FREE_RUN_DRIFT_US = 3
#: Times further from the mean than this would be another effect than noise.
_NOISE_LIMIT = 4.0


class Exposures(Struct, frozen=True, kw_only=True, eq=False):
    """Frames of one camera, in order; all arrays are (frames,) of int64."""

    triggers: NDArray[np.int64]
    acquired_us: NDArray[np.int64]  #: the framegrabber's time
    logged_ns: NDArray[np.int64]  #: the logger's time
    counts: NDArray[np.int64]  #: cnt0 of the stream

    def __len__(self) -> int:
        return len(self.triggers)

    def part(self, first: int, last: int) -> Exposures:
        """Frames *first* up to and without *last*."""
        return Exposures(
            triggers=self.triggers[first:last],
            acquired_us=self.acquired_us[first:last],
            logged_ns=self.logged_ns[first:last],
            counts=self.counts[first:last],
        )


def flc_states(scene: Scene) -> NDArray[np.int64]:
    """State of every trigger: -1 is A, +1 is B, alternating."""
    alternating = 1 - 2 * (np.arange(scene.triggers, dtype=np.int64) % 2)
    return scene.first_state * alternating


def trigger_times_us(scene: Scene, *, start_us: int) -> NDArray[np.int64]:
    """Times of all triggers of *scene*, the first at *start_us*."""
    intervals_us = np.full(scene.triggers, scene.period_us, dtype=np.int64)
    if scene.alternates:
        intervals_us += scene.jitter_us * flc_states(scene)
    for trigger, pause_us in scene.gaps:
        intervals_us[trigger] += pause_us
    return start_us + np.concatenate(([0], np.cumsum(intervals_us[:-1])))


def expose(
    scene: Scene, camera: int, *, start_us: int, first_count: int, random: np.random.Generator
) -> Exposures:
    """All frames that *camera* logs of *scene*. *first_count* is cnt0 of trigger 0."""
    triggers = np.arange(scene.triggers, dtype=np.int64)
    times_us = trigger_times_us(scene, start_us=start_us)
    if scene.external_trigger:
        noise = random.standard_normal(scene.triggers).clip(-_NOISE_LIMIT, _NOISE_LIMIT)
        times_us += np.rint((camera - 1) * scene.offset_us + scene.noise_us * noise).astype(int)
    else:
        times_us += camera * (_FREE_RUN_OFFSET_US + _FREE_RUN_DRIFT_US * triggers)
    tail_ns = random.exponential(_LATENCY_TAIL_NS, scene.triggers).astype(np.int64)
    unseen = np.isin(triggers, scene.unseen[camera - 1])
    logged = ~unseen & ~np.isin(triggers, scene.dropped[camera - 1])
    logged &= triggers >= scene.late_start[camera - 1]
    frames = Exposures(
        triggers=triggers,
        acquired_us=times_us,
        logged_ns=_ascending(times_us * 1_000 + _LATENCY_NS + tail_ns, scene),
        counts=first_count + triggers - np.cumsum(unseen),
    )
    return Exposures(
        triggers=frames.triggers[logged],
        acquired_us=frames.acquired_us[logged],
        logged_ns=frames.logged_ns[logged],
        counts=frames.counts[logged],
    )


def _ascending(times_ns: NDArray[np.int64], scene: Scene) -> NDArray[np.int64]:
    """No frame is logged before the one before it, unless the clock was set back."""
    set_back = sorted(trigger + 1 for trigger, pause_us in scene.gaps if pause_us < 0)
    parts = np.split(times_ns, set_back)
    return np.concatenate([np.maximum.accumulate(part) for part in parts])


def cut_into_cubes(scene: Scene, camera: int, frames: Exposures) -> Iterator[Exposures]:
    """The frames of each cube: the last may be shorter, as from a stopped logger."""
    spans = scene.cube_spans[camera - 1]
    if spans:
        yield from (frames.part(*span) for span in spans if span[0] < len(frames))
        return
    first = ordinal = 0
    while first < len(frames):
        last = min(first + scene.length_of(camera, ordinal), len(frames))
        yield frames.part(first, last)
        first, ordinal = last, ordinal + 1
