"""A logger that fails at random: what it does to whole cubes, names and clocks of a night."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace

from vampd.simulation.logger_scenes import TAI_S
from vampd.simulation.scenes import CubeFault, Fault, Scene, Spans

_MOST_LOST = 5  # cubes in a row
_LONGEST_STEP_BACK_US = 200_000


def with_a_failing_logger(scenes: Sequence[Scene], random: np.random.Generator) -> list[Scene]:
    """The same *scenes*, two in three of them with something that the logger does wrong.

    Its clock is on UTC, on TAI, or learns TAI in mid-night.
    """
    learns = len(scenes)
    if random.random() < 0.5:
        learns = 0 if random.random() < 0.5 else int(random.integers(len(scenes)))
    failing = []
    for number, scene in enumerate(scenes):
        told = replace(scene, logger_ahead_s=TAI_S if number >= learns else 0)
        if random.random() < 2 / 3:
            told = _TROUBLES[random.integers(len(_TROUBLES))](told, random)
        failing.append(told)
    return failing


def logged_frames(scene: Scene, camera: int) -> int:
    """How many frames of *scene* come to the disk of *camera*."""
    lost = {*scene.dropped[camera - 1], *scene.unseen[camera - 1]}
    lost |= set(range(scene.late_start[camera - 1]))
    return scene.triggers - len(lost)


def _cubes(scene: Scene, camera: int) -> int:
    frames, cubes = logged_frames(scene, camera), 0
    while frames > 0:
        frames -= scene.length_of(camera, cubes)
        cubes += 1
    return cubes


def _some_cube(scene: Scene, random: np.random.Generator) -> tuple[int, int]:
    camera = int(random.choice(scene.cameras))
    return camera, int(random.integers(_cubes(scene, camera)))


def _mixed(scene: Scene, random: np.random.Generator) -> Scene:
    chosen = [
        (camera, int(random.integers(cubes - 1)))
        for camera in scene.cameras
        if (cubes := _cubes(scene, camera)) > 1
    ]
    alone = bool(random.random() < 0.5)
    return replace(scene, faults=(), mixed=tuple(chosen[:1] if alone else chosen))


def _doubled(scene: Scene, random: np.random.Generator) -> Scene:
    return replace(scene, faults=(), doubled=(_some_cube(scene, random),))


def _overlapping(scene: Scene, random: np.random.Generator) -> Scene:
    """Cubes of one camera of which one begins within another, and ends in it or after it."""
    camera = int(random.choice(scene.cameras))
    frames = logged_frames(scene, camera)
    first, begin, end = (int(random.integers(1, frames + 1)) for _ in range(3))
    begin, end = min(begin, end) - 1, max(begin, end)
    spans: Spans = ((0, first), (min(begin, first), max(end, min(begin, first) + 1)))
    taken = max(last for _, last in spans)
    if taken < frames:
        spans = (*spans, (taken, frames))
    both: tuple[Spans, Spans] = (spans, ()) if camera == 1 else ((), spans)
    return replace(scene, faults=(), cube_spans=both)


def _losing(fault: Fault) -> Callable[[Scene, np.random.Generator], Scene]:
    def changed(scene: Scene, random: np.random.Generator) -> Scene:
        camera, first = _some_cube(scene, random)
        faults = tuple(
            CubeFault(fault=fault, camera=camera if random.random() < 0.7 else None, ordinal=lost)
            for lost in range(first, first + int(random.integers(1, _MOST_LOST + 1)))
        )
        return replace(scene, faults=faults)

    return changed


def _set_back(scene: Scene, random: np.random.Generator) -> Scene:
    """The clock is set back between two cubes of both cameras, so that they overlap."""
    length = max(2, scene.triggers // int(random.integers(2, 5)))
    back_us = scene.period_us + int(random.integers(1, _LONGEST_STEP_BACK_US))
    return replace(
        scene,
        faults=(),
        triggers=max(scene.triggers, 2 * length),
        cube_frames=((length,), (length,)),
        late_start=(0, 0),
        dropped=((), ()),
        unseen=((), ()),
        gaps=((length - 1, -back_us),),
    )


def _set_back_anywhere(scene: Scene, random: np.random.Generator) -> Scene:
    """The clock is set back, wherever either camera's cubes begin."""
    trigger = int(random.integers(scene.triggers))
    back_us = scene.period_us + int(random.integers(1, _LONGEST_STEP_BACK_US))
    return replace(scene, faults=(), gaps=((trigger, -back_us),))


_TROUBLES: tuple[Callable[[Scene, np.random.Generator], Scene], ...] = (
    _mixed,
    _doubled,
    _overlapping,
    _losing(Fault.VANISHED),
    _losing(Fault.EMPTY_TXT),
    _losing(Fault.LEFT_OVER_TMP),
    _losing(Fault.NO_ACQUISITION),
    _set_back,
    _set_back_anywhere,
)
