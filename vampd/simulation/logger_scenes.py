"""Scenes in which the logger fails, by name: what it does to whole cubes, names and clocks.

Source: the acquisition logger, milk-org/milk, logshmim.c.
"""

from __future__ import annotations

from msgspec.structs import replace

from vampd.simulation.scenes import CubeFault, Fault, Scene, both, polarimetry

TAI_S = 37  #: ahead of UTC since 2017
_STEP_BACK_US = 50_000


def _cubes(name: str, *, cubes: int = 4, faults: tuple[CubeFault, ...] = ()) -> Scene:
    """Cubes of 43 frames in each camera, at 200 frames a second.

    Such that what the stream counts between scenes is never whole cubes.
    """
    return Scene(name=name, triggers=43 * cubes, cube_frames=both(43), faults=faults)


def _lost(*ordinals: int, fault: Fault) -> tuple[CubeFault, ...]:
    return tuple(CubeFault(fault=fault, ordinal=ordinal) for ordinal in ordinals)


_SCENES = (
    replace(_cubes("logger-race"), mixed=((1, 1), (2, 1))),
    replace(
        _cubes("tai-proved", cubes=3, faults=_lost(1, fault=Fault.NO_ACQUISITION)),
        logger_ahead_s=TAI_S,
    ),
    replace(
        _cubes("tai-unproved", cubes=2, faults=(CubeFault(fault=Fault.NO_ACQUISITION),)),
        logger_ahead_s=TAI_S,
    ),
    replace(_cubes("doubled-cube", cubes=2), doubled=((1, 0),)),
    replace(
        _cubes("overlap-partly", cubes=3),
        cube_spans=(((0, 60), (45, 100), (100, 129)), ()),
    ),
    replace(
        _cubes("overlap-within", cubes=3),
        cube_spans=(((0, 80), (20, 50), (80, 129)), ()),
    ),
    _cubes("lost-cubes", cubes=7, faults=_lost(2, 3, 4, fault=Fault.VANISHED)),
    replace(
        polarimetry("flc-overlap", 600, cube_frames=both(200)),
        gaps=((199, -_STEP_BACK_US - 2_000),),
    ),
    _cubes("full-disk", cubes=3, faults=_lost(1, 2, fault=Fault.EMPTY_TXT)),
    _cubes("left-over-tmp", cubes=3, faults=_lost(2, fault=Fault.LEFT_OVER_TMP)),
)

#: In the order in which `vampd admin simulate --logger` has them.
LOGGER_SCENES: dict[str, Scene] = {scene.name: scene for scene in _SCENES}
