"""What really happened in a simulated night, to hold every result against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.simulation.cubes import Cube, LaidScene
from vampd.simulation.exposures import flc_states
from vampd.simulation.scenes import QUARANTINING, Fault


class FileTruth(Struct, frozen=True, kw_only=True, eq=False):
    """One cube: whose frames are in it, and when they were taken."""

    path: str  #: in the night's folder
    camera: int
    scene: int
    frames: NDArray[np.int64]  #: trigger numbers
    t_us: NDArray[np.int64]  #: true acquisition times, whatever the timing file says
    fault: str | None = None
    rejected: tuple[int, ...] = ()  #: places of frames that their row costs
    quarantined: bool = False  #: bad as a whole
    written: bool = True  #: False: no file ever has the cube's name
    #: What proves its times may be there or not; or it lies within another cube's times.
    may_be_quarantined: bool = False
    copy_of: str | None = None  #: the cube whose frames it has again, to be delivered once
    #: Places of frames among which in time there are others of the camera, of another cube or taken
    #: before the clock was set back: these may be left without partner and state, of two frames of
    #: one exposure one may be left out, and of times that go back some may be rejected.
    overlapped: tuple[int, ...] = ()


class SceneTruth(Struct, frozen=True, kw_only=True, eq=False):
    """One scene; frames of both cameras with its number and the same trigger are one exposure."""

    scene: int
    name: str
    start: float  #: Unix s of trigger 0
    n: int  #: triggers
    flc: bool
    exttrig: bool
    state: NDArray[np.int64] | None  #: of every trigger: -1 A, +1 B; None without FLC


class Truth(Struct, frozen=True, kw_only=True, eq=False):
    """A whole night."""

    night: str
    seed: int
    files: tuple[FileTruth, ...]
    scenes: tuple[SceneTruth, ...]

    @property
    def usable(self) -> tuple[FileTruth, ...]:
        """Cubes that exist and are not bad as a whole."""
        return tuple(file for file in self.files if file.written and not file.quarantined)

    @property
    def losses(self) -> tuple[LossTruth, ...]:
        """Cubes that have no file of their name, by camera."""
        lost = [file for file in self.files if not file.written]
        return tuple(
            LossTruth(
                camera=camera,
                cubes=len(own),
                frames=sum(len(file.frames) for file in own),
            )
            for camera in sorted({file.camera for file in lost})
            for own in [[file for file in lost if file.camera == camera]]
        )

    @property
    def frames(self) -> int:
        """Frames in all cubes that exist."""
        return sum(len(file.frames) for file in self.files if file.written)

    def scene(self, number: int) -> SceneTruth:
        """The scene of that number."""
        return next(scene for scene in self.scenes if scene.scene == number)

    def state_of(self, scene: int, triggers: NDArray[np.int64]) -> NDArray[np.int64]:
        """True FLC states, -1 A or +1 B, of *triggers*; 0 where the FLC was off."""
        states = self.scene(scene).state
        return np.zeros_like(triggers) if states is None else states[triggers]

    def save(self, path: Path) -> None:
        """Write the truth as JSON."""
        path.write_text(json.dumps(self.as_json()), encoding="ascii")

    def as_json(self) -> dict[str, Any]:
        """The truth as plain values."""
        return {
            "night": self.night,
            "seed": self.seed,
            "profile": "simulated",
            "losses": [
                {"cam": loss.camera, "cubes": loss.cubes, "frames": loss.frames}
                for loss in self.losses
            ],
            "files": [_file_as_json(file) for file in self.files],
            "scenes": [_scene_as_json(scene) for scene in self.scenes],
        }

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote."""
        plain = json.loads(path.read_text(encoding="ascii"))
        return cls(
            night=plain["night"],
            seed=plain["seed"],
            files=tuple(_file_from_json(file) for file in plain["files"]),
            scenes=tuple(_scene_from_json(scene) for scene in plain["scenes"]),
        )


_ON_THE_LOGGERS_CLOCK = frozenset({Fault.NO_ACQUISITION, Fault.SIX_COLUMNS})


class LossTruth(Struct, frozen=True, kw_only=True):
    """What a camera's logger lost outright."""

    camera: int
    cubes: int
    frames: int


def truth_of_cube(cube: Cube, others: Sequence[Cube] = ()) -> FileTruth:
    """What is true of one cube among *others* of its scene and camera."""
    return FileTruth(
        path=cube.temporary_path if cube.is_overtaken else cube.path,
        camera=cube.camera,
        scene=cube.number,
        frames=cube.frames.triggers,
        t_us=cube.frames.acquired_us,
        fault=None if cube.fault is None else cube.fault.value,
        rejected=() if cube.bad_row is None else (cube.bad_row,),
        quarantined=cube.fault in QUARANTINING or cube.rows_of is not None,
        written=cube.has_cube,
        may_be_quarantined=cube.fault in _ON_THE_LOGGERS_CLOCK or _within(cube, others),
        copy_of=cube.copy_of,
        overlapped=tuple(np.flatnonzero(_overlapped(cube, others)).tolist()),
    )


def _within(cube: Cube, others: Sequence[Cube]) -> bool:
    """Whether its times lie within another's, or another's within its: one of both is false."""
    return any(
        _overlapped(inner, [outer]).all()
        for other in others
        if other is not cube and other.has_cube and cube.path not in {other.copy_of, other.path}
        for inner, outer in ((cube, other), (other, cube))
        if other.path != cube.copy_of
    )


def _twice(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which times are there before and after a clock was set back."""
    earliest = np.minimum.accumulate(times[::-1])[::-1]
    return (times < np.maximum.accumulate(times)) | (times > earliest)


def _overlapped(cube: Cube, others: Sequence[Cube]) -> NDArray[np.bool_]:
    """(frames,) which lie within the time of one of the *others*, copies included."""
    times_us = cube.frames.acquired_us
    # Where the clock is set back within the cube, its own frames overlap, by either clock.
    found = _twice(times_us) | _twice(cube.frames.logged_ns)
    for other in others:
        if other is not cube and other.has_cube:
            first_us, last_us = other.frames.acquired_us.min(), other.frames.acquired_us.max()
            found |= (times_us >= first_us) & (times_us <= last_us)
    return found


def truth_of_scene(laid: LaidScene) -> SceneTruth:
    """What is true of one scene."""
    return SceneTruth(
        scene=laid.number,
        name=laid.scene.name,
        start=laid.start_us / 1e6,
        n=laid.scene.triggers,
        flc=laid.scene.alternates,
        exttrig=laid.scene.external_trigger,
        state=flc_states(laid.scene) if laid.scene.alternates else None,
    )


def _file_as_json(file: FileTruth) -> dict[str, Any]:
    return {
        "path": file.path,
        "cam": file.camera,
        "scene": file.scene,
        "frames": file.frames.tolist(),
        "t_us": file.t_us.tolist(),
        "fault": file.fault,
        "rejected": list(file.rejected),
        "quarantined": file.quarantined,
        "written": file.written,
        "may_be_quarantined": file.may_be_quarantined,
        "copy_of": file.copy_of,
        "overlapped": list(file.overlapped),
    }


def _file_from_json(plain: Mapping[str, Any]) -> FileTruth:
    fault = plain["fault"]
    return FileTruth(
        path=plain["path"],
        camera=plain["cam"],
        scene=plain["scene"],
        frames=np.array(plain["frames"], dtype=np.int64),
        t_us=np.array(plain["t_us"], dtype=np.int64),
        fault=fault,
        rejected=tuple(plain.get("rejected", ())),
        quarantined=plain.get("quarantined", fault is not None and Fault(fault) in QUARANTINING),
        written=plain.get("written", True),
        may_be_quarantined=plain.get("may_be_quarantined", False),
        copy_of=plain.get("copy_of"),
        overlapped=tuple(plain.get("overlapped", ())),
    )


def _scene_as_json(scene: SceneTruth) -> dict[str, Any]:
    return {
        "scene": scene.scene,
        "name": scene.name,
        "start": scene.start,
        "n": scene.n,
        "flc": scene.flc,
        "exttrig": scene.exttrig,
        "state": None if scene.state is None else scene.state.tolist(),
    }


def _scene_from_json(plain: Mapping[str, Any]) -> SceneTruth:
    state = plain["state"]
    return SceneTruth(
        scene=plain["scene"],
        name=plain["name"],
        start=plain["start"],
        n=plain["n"],
        flc=plain["flc"],
        exttrig=plain["exttrig"],
        state=None if state is None else np.array(state, dtype=np.int64),
    )
