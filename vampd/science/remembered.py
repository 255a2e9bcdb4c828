"""How far back a plan remembers: so many cubes, wherever it begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vampd.records import RawCube
from vampd.science.intervals import Noise
from vampd.science.timeline import usable_frames

#: What is more cubes back, of either camera, decides nothing any more. A plan that begins further
#: back than this has the same as the plan of the whole night.
REMEMBERED_CUBES = 1_000
#: So many measurements tell the noise, the last ones.
_MEASUREMENTS = 32


class Memory:
    """From when on what was seen counts for what is decided later."""

    def __init__(self, cubes: Iterable[RawCube]) -> None:
        times = (cube.acquired_us[usable_frames(cube)] for cube in cubes)
        begins = sorted(int(times_us.min()) for times_us in times if len(times_us))
        self._begins_us: NDArray[np.int64] = np.array(begins, dtype=np.int64)

    def since_us(self, time_us: int) -> int:
        """When the earliest cube began that still counts at a time."""
        later = int(np.searchsorted(self._begins_us, time_us))
        return int(self._begins_us[max(later - REMEMBERED_CUBES, 0)]) if later else time_us


class NoiseSeen:
    """Measurements of the noise of one kind, in the order of time; each is made when asked for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._begins_us: list[int] = []
        self._ends_us: list[int] = []
        self._measures: list[Callable[[], Sequence[Noise]]] = []
        self._made: dict[int, Sequence[Noise]] = {}

    def add(self, first_us: int, last_us: int, measure: Callable[[], Sequence[Noise]]) -> None:
        """Add what is to be measured of frames that were taken in that time."""
        self._begins_us.append(first_us)
        self._ends_us.append(last_us)
        self._measures.append(measure)

    def before(self, time_us: int) -> list[Noise]:
        """The last ones that ended before a time and are remembered then."""
        first = bisect_left(self._begins_us, self._memory.since_us(time_us))
        found: list[Noise] = []
        for place in range(bisect_left(self._ends_us, time_us) - 1, first - 1, -1):
            if place not in self._made:
                self._made[place] = self._measures[place]()
            found += self._made[place]
            if len(found) >= _MEASUREMENTS:
                break
        return found
