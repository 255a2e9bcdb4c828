"""The sixteen scenes of the reference night, by name."""

from __future__ import annotations

from msgspec.structs import replace

from vampd.errors import UsageError
from vampd.simulation.logger_scenes import LOGGER_SCENES
from vampd.simulation.scenes import HST_NAME_S, CubeFault, Fault, Scene, both, polarimetry

_DARK = {"OBJECT": "DARK", "DATA-TYP": "DARK", "OBS-MOD": "IMAG"}


def _short(name: str, *, triggers: int = 20, fault: Fault | None = None) -> Scene:
    """One cube in each camera at 200 frames a second."""
    faults = () if fault is None else (CubeFault(fault=fault),)
    return Scene(name=name, triggers=triggers, cube_frames=both(triggers), faults=faults)


_SCENES = (
    Scene(
        name="dark-free-run",
        triggers=40,
        period_us=100_000,
        exptime_s=0.0999,
        external_trigger=False,
        cube_frames=both(20),
        cards=_DARK,
    ),
    Scene(
        name="sync-no-flc",
        triggers=300,
        period_us=10_000,
        exptime_s=0.00998,
        cube_frames=both(100),
        cards={"OBJECT": "HD 31233"},
    ),
    replace(
        polarimetry("pdi-hwp-steps", 800, cube_frames=both(200)),
        cards_of_cube=tuple({"RET-ANG1": angle} for angle in (0.0, 45.0, 22.5, 67.5)),
    ),
    replace(
        polarimetry("pdi-drops-late", 500, cube_frames=((200,), (150,))),
        late_start=(37, 0),
        dropped=((), (40, 41, 133, 290, 421)),
    ),
    Scene(
        name="one-camera",
        triggers=60,
        period_us=20_000,
        exptime_s=0.0199,
        cameras=(1,),
        cube_frames=both(30),
        cards={"OBJECT": "HD 31233"},
    ),
    Scene(
        name="slow-half-second",
        triggers=60,
        period_us=500_000,
        exptime_s=0.4999,
        detector_mode="SLOW",
        cube_frames=both(30),
        cards={"OBJECT": "HD 32633"},
    ),
    Scene(
        name="slow-15s",
        triggers=4,
        period_us=15_000_000,
        exptime_s=14.999,
        detector_mode="SLOW",
        cube_frames=both(4),
        cards={"OBJECT": "HD 32633"},
    ),
    Scene(
        name="filter-change",
        triggers=120,
        cube_frames=both(60),
        cards_of_cube=({"FILTER01": "625-50"}, {"FILTER01": "675-50"}),
    ),
    polarimetry("pdi-short", 7, cube_frames=both(7)),
    replace(polarimetry("pdi-medium", 22, cube_frames=both(22)), first_state=1),
    _short("no-txt", fault=Fault.NO_TXT),
    _short("short-txt", fault=Fault.SHORT_TXT),
    _short("no-exptime", fault=Fault.NO_EXPTIME),
    replace(_short("hst-filename", triggers=40), name_shift_s=HST_NAME_S),
    _short("one-frame", triggers=1),
    replace(
        polarimetry("pdi-gap", 400, cube_frames=both(400)),
        gaps=((177, 500_000),),
    ),
)

#: In the order in which the reference night has them.
REFERENCE_SCENES: dict[str, Scene] = {scene.name: scene for scene in _SCENES}


def scene_named(name: str) -> Scene:
    """The scene *name*, of the reference night or of a logger that fails.

    Raises UsageError, naming all scenes, when there is none of that name.
    """
    scenes = REFERENCE_SCENES | LOGGER_SCENES
    try:
        return scenes[name]
    except KeyError:
        msg = f"no scene is called {name!r}; there are: {', '.join(scenes)}"
        raise UsageError(msg) from None
