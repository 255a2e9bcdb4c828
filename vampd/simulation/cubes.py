"""Which cubes a night has: scenes laid one after the other, cut into named cubes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vampd.errors import UsageError
from vampd.simulation.exposures import Exposures, cut_into_cubes, expose, trigger_times_us
from vampd.simulation.scenes import COSTS_ONE_FRAME, WITHOUT_CUBE, WITHOUT_TIMING, Fault, Scene

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400 * 10**9
#: The name is taken this long after the first frame was logged.
_NAMING_NS = 50_068
#: A second logger's names differ, whatever it logs.
_LOGGER_NS = 1_000_001
#: The copy of a cube is named as if it began so much later.
_COPY_S = 7 * 3_600 + 11.25
#: Two logger processes, and the threads of each that save cubes.
_PROCESS, _THREAD, _OVERTAKEN_THREAD = 221, 223, 224
#: A cube for a fault of one row needs good rows on both sides of it.
_FEWEST_FOR_BAD_ROW = 5
#: cnt0 of trigger 0 is at least this times the scene's number. A prime: between scenes the stream
#: counts no whole number of cubes.
_COUNTS_A_SCENE = 1_009


class LaidScene(Struct, frozen=True, kw_only=True, eq=False):
    """A scene with its place in the night."""

    scene: Scene
    number: int  #: what the stamps say; from 1
    start_us: int  #: of trigger 0
    first_count: int  #: cnt0 of trigger 0


class Cube(Struct, frozen=True, kw_only=True, eq=False):
    """One cube of one camera, everything about it but its pixels."""

    scene: Scene
    number: int  #: of the scene
    camera: int
    ordinal: int  #: among the camera's cubes in this scene, from 0
    stem: str  #: vcam1_HH:MM:SS.nnnnnnnnn
    frames: Exposures
    fault: Fault | None
    rows_of: Exposures | None = None  #: frames whose rows lie beside it, if not its own
    copy_of: str | None = None  #: path of the cube whose bytes it has
    is_overtaken: bool = False  #: the cube before has its name

    @property
    def folder(self) -> str:
        """The camera's folder in the night."""
        return f"vcam{self.camera}"

    @property
    def path(self) -> str:
        """Path of the cube in the night's folder."""
        return f"{self.folder}/{self.stem}.fits"

    @property
    def temporary_path(self) -> str:
        """Where it is written before it has its name."""
        thread = _OVERTAKEN_THREAD if self.is_overtaken else _THREAD
        return f"{self.path}.{_PROCESS}{self.camera}.{thread}{self.camera}.tmp"

    @property
    def ahead_ns(self) -> int:
        """By how much the logger's clock is ahead of UTC."""
        return self.scene.logger_ahead_s * 10**9

    @property
    def is_faulty(self) -> bool:
        """Whether something is wrong with it or its name."""
        return self.fault is not None or self.rows_of is not None or self.copy_of is not None

    @property
    def has_cube(self) -> bool:
        """Whether a file ever gets the cube's final name."""
        return self.fault not in WITHOUT_CUBE

    @property
    def has_timing(self) -> bool:
        """Whether there is a .txt."""
        return self.fault not in WITHOUT_TIMING

    @property
    def bad_row(self) -> int | None:
        """Place of the frame that its row costs, if there is one."""
        if self.fault not in COSTS_ONE_FRAME:
            return None
        last = len(self.frames) - 1
        at_the_end = self.fault in {Fault.TORN_ROW, Fault.UNFINISHED_TXT}
        return last if at_the_end else len(self.frames) // 2


def us_since_epoch(date: str, start: str) -> int:
    """Microseconds of the UTC *date* YYYYMMDD at *start* HH:MM:SS[.ffffff].

    Raises UsageError when there is no such date or time.
    """
    try:
        moment = datetime.combine(
            datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC).date(),
            datetime.fromisoformat(f"2000-01-01T{start}").time(),
            tzinfo=UTC,
        )
    except ValueError as error:
        msg = f"{date} {start} is not a date YYYYMMDD and a time HH:MM:SS"
        raise UsageError(msg) from error
    return (moment - _EPOCH) // timedelta(microseconds=1)


def lay_out(
    scenes: Sequence[Scene], *, start_us: int, first_number: int, seed: int
) -> list[LaidScene]:
    """Put *scenes* one after the other; the first pause is left out."""
    laid: list[LaidScene] = []
    count = 0
    for number, scene in enumerate(scenes, start=first_number):
        if laid:
            random = np.random.default_rng([seed, number])
            start_us += round(1e6 * (scene.pause_before_s + random.random()))
        count = max(count, _COUNTS_A_SCENE * number)
        laid.append(LaidScene(scene=scene, number=number, start_us=start_us, first_count=count))
        count += scene.triggers
        start_us = int(trigger_times_us(scene, start_us=start_us)[-1]) + scene.period_us
    return laid


def cubes_of(laid: LaidScene, *, seed: int) -> list[Cube]:
    """All cubes of one scene, camera 1's first.

    Raises UsageError when a cube is too short for the fault that it shall have.
    """
    cubes = []
    for camera in laid.scene.cameras:
        frames = expose(
            laid.scene,
            camera,
            start_us=laid.start_us,
            first_count=laid.first_count,
            random=np.random.default_rng([seed, laid.number, camera]),
        )
        own = [
            _cube(laid, camera, ordinal, part)
            for ordinal, part in enumerate(cut_into_cubes(laid.scene, camera, frames))
        ]
        for ordinal in _ordinals(laid.scene.mixed, camera):
            _mix(own, ordinal)
        cubes += own
        for ordinal in _ordinals(laid.scene.doubled, camera):
            cubes.append(_copy(own[ordinal]))
    return cubes


def _ordinals(chosen: Sequence[tuple[int, int]], camera: int) -> list[int]:
    return [ordinal for of_camera, ordinal in chosen if of_camera == camera]


def _mix(cubes: list[Cube], ordinal: int) -> None:
    """The logger's race, in place: it takes name and rows of the next cube for this one."""
    if ordinal + 1 >= len(cubes):
        msg = f"scene {cubes[0].scene.name}: cube {ordinal} has no next one to be mixed with"
        raise UsageError(msg)
    mixed, following = cubes[ordinal : ordinal + 2]
    cubes[ordinal] = replace(mixed, stem=following.stem, rows_of=following.frames, fault=None)
    cubes[ordinal + 1] = replace(following, fault=Fault.LEFT_OVER_TMP, is_overtaken=True)


def _copy(cube: Cube) -> Cube:
    first_ns = int(cube.frames.logged_ns[0])
    stem = _stem(cube.camera, first_ns, shift_s=cube.scene.name_shift_s + _COPY_S)
    return replace(cube, stem=stem, copy_of=cube.path)


def _cube(laid: LaidScene, camera: int, ordinal: int, frames: Exposures) -> Cube:
    fault = laid.scene.fault_of(camera, ordinal)
    if fault in COSTS_ONE_FRAME and len(frames) < _FEWEST_FOR_BAD_ROW:
        msg = f"scene {laid.scene.name}: a cube of {len(frames)} frames is too short for {fault}"
        raise UsageError(msg)
    later_ns = _LOGGER_NS * ordinal if laid.scene.cube_spans[camera - 1] else 0
    return Cube(
        scene=laid.scene,
        number=laid.number,
        camera=camera,
        ordinal=ordinal,
        stem=_stem(camera, int(frames.logged_ns[0]) + later_ns, shift_s=laid.scene.name_shift_s),
        frames=frames,
        fault=fault,
    )


def _stem(camera: int, logged_ns: int, *, shift_s: float) -> str:
    """The name's time of day, to the nanosecond, on the clock that names the files."""
    of_day_ns = (logged_ns + _NAMING_NS + round(shift_s * 1e9)) % _DAY_NS
    seconds, nanoseconds = divmod(of_day_ns, 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"vcam{camera}_{hours:02d}:{minutes:02d}:{seconds:02d}.{nanoseconds:09d}"
