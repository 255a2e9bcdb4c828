"""A simulated night: scenes in, files as the cameras write them, and the truth."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from vampd.errors import OperatorError
from vampd.io.clock import Clock, SystemClock
from vampd.simulation.camera import Logger, Step
from vampd.simulation.cubes import cubes_of, lay_out, us_since_epoch
from vampd.simulation.pixels import FramePainter
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.simulation.scenes import Scene
from vampd.simulation.truth import Truth, truth_of_cube, truth_of_scene

DEFAULT_DATE = "20251106"
DEFAULT_START = "05:10:00"

_HOST_CLOCK = SystemClock()


class SimulatedNight:
    """*scenes* one after the other on the UTC *date*, the first at *start*.

    The same arguments give the same bytes. *first_number* is the number that the first
    scene's stamps carry: give another to a second batch for the same night.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        seed: int = 1,
        date: str = DEFAULT_DATE,
        start: str = DEFAULT_START,
        first_number: int = 1,
        grows_in_place: bool = False,
    ) -> None:
        self.date = date
        self.seed = seed
        self.grows_in_place = grows_in_place
        start_us = us_since_epoch(date, start)
        self.laid = lay_out(scenes, start_us=start_us, first_number=first_number, seed=seed)
        self.cubes = [cube for laid in self.laid for cube in cubes_of(laid, seed=seed)]

    @property
    def truth(self) -> Truth:
        """What really happened."""
        return Truth(
            night=self.date,
            seed=self.seed,
            files=tuple(
                truth_of_cube(cube, others)
                for _, same in groupby(self.cubes, lambda cube: (cube.number, cube.camera))
                for others in [list(same)]
                for cube in others
            ),
            scenes=tuple(truth_of_scene(laid) for laid in self.laid),
        )

    def steps(self, folder: Path) -> Iterator[Step]:
        """Everything that both loggers do below *folder*/YYYYMMDD, in the order of time."""
        logger = Logger(
            night=folder / self.date, seed=self.seed, grows_in_place=self.grows_in_place
        )
        painter = cache(lambda width, height: FramePainter(width, height, seed=self.seed))
        return heapq.merge(
            *(
                logger.steps(cube, painter(cube.scene.width, cube.scene.height))
                for cube in self.cubes
            ),
            key=lambda step: step.at_us,
        )

    def write(
        self,
        folder: Path,
        *,
        speed: float = math.inf,
        clock: Clock = _HOST_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Truth:
        """Write the night into *folder*, *speed* times as fast as the cameras do.

        Raises OperatorError, before anything is written, when a file is there already.
        """
        there = [cube.path for cube in self.cubes if (folder / self.date / cube.path).exists()]
        if there:
            msg = f"{folder / self.date / there[0]} exists already ({len(there)} such files)"
            raise OperatorError(msg)
        play(self.steps(folder), speed=speed, clock=clock, sleep=sleep)
        return self.truth


def play(
    steps: Iterator[Step],
    *,
    speed: float,
    clock: Clock = _HOST_CLOCK,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Perform *steps*, each at its time on a clock that runs *speed* times too fast."""
    began_ns = clock.monotonic_ns()
    first_us: int | None = None
    for step in steps:
        first_us = step.at_us if first_us is None else first_us
        passed_s = (clock.monotonic_ns() - began_ns) / 1e9
        wait_s = (step.at_us - first_us) / 1e6 / speed - passed_s
        if wait_s > 0:
            sleep(wait_s)
        step()


def reference_night(*, seed: int = 1, date: str = DEFAULT_DATE) -> SimulatedNight:
    """The sixteen scenes of the reference night."""
    return SimulatedNight(tuple(REFERENCE_SCENES.values()), seed=seed, date=date)
