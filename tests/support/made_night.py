"""Nights made from a trigger, with the truth kept, for the tests of `vampd.science`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.records import CardValue, Plan, PlannedOutput, RawCube
from vampd.states import FlcState

START_US = 1_762_405_800_000_000
SCENE_STEP = 10_000_000  #: more triggers than a scene has


class Scene(Struct, frozen=True, kw_only=True):
    """One run of the trigger, and what the cameras made of it."""

    triggers: int
    period_us: float = 2000.0
    jitter_us: float = 0.0  #: 0: FLC off
    header_jitter_us: int | None = None  #: None: no U_TRIGJT card
    offset_us: float = 119.0
    noise_us: float = 7.0  #: half width of a uniform, or standard deviation of a Gaussian
    gaussian: bool = False
    slow: bool = False
    rows: int = 536
    lost1: frozenset[int] = frozenset()
    lost2: frozenset[int] = frozenset()
    lengths1: tuple[int, ...] = (200,)  #: frames of the cubes, the last one repeats
    lengths2: tuple[int, ...] = (200,)
    pause_s: float = 40.0  #: after the scene
    first_state: int = -1  #: -1 A, +1 B
    cards: dict[str, CardValue] = field(default_factory=dict)


class MadeNight(Struct, frozen=True, kw_only=True):
    """Cubes, and for each of their frames which trigger it is and its true state."""

    scenes: tuple[Scene, ...]
    cubes: tuple[RawCube, ...]
    trigger_of: dict[int, NDArray[np.int64]]  #: raw file -> (frames,) scene * SCENE_STEP + trigger
    state_of: dict[int, NDArray[np.int64]]  #: raw file -> (frames,) -1 A, +1 B
    glitched: frozenset[tuple[int, int]] = frozenset()  #: (raw file, frame) with a false time


def tolerance(scene: Scene) -> int:
    return int(0.868 * scene.rows * (2.5 if scene.slow else 1) + 1e-9)


def make_night(scenes: list[Scene], seed: int = 0) -> MadeNight:
    random = np.random.default_rng(seed)
    cubes: list[RawCube] = []
    trigger_of: dict[int, NDArray[np.int64]] = {}
    state_of: dict[int, NDArray[np.int64]] = {}
    start_us = float(START_US)
    counted = 0
    for number, scene in enumerate(scenes):
        index = np.arange(scene.triggers)
        states = scene.first_state * np.where(index % 2 == 0, 1, -1)
        fired_us = start_us + scene.period_us * index - scene.jitter_us / 2 * states
        for camera, lost, lengths in (
            (1, scene.lost1, scene.lengths1),
            (2, scene.lost2, scene.lengths2),
        ):
            offset_us = scene.offset_us if camera == 2 else 0.0
            times_us = np.rint(fired_us + offset_us + _noise(scene, random)).astype(np.int64)
            seen = np.array([k for k in index.tolist() if k not in lost], dtype=np.int64)
            for part in _parts(len(seen), lengths):
                raw_file = len(cubes) + 1
                kept = seen[part]
                cube = _cube(scene, raw_file, camera, times_us[kept])
                counts = counted + int(kept[0]), counted + int(kept[-1])
                cubes.append(replace(cube, counts=counts))
                trigger_of[raw_file] = number * SCENE_STEP + kept
                state_of[raw_file] = states[kept]
        counted += scene.triggers
        start_us = fired_us[-1] + scene.period_us + scene.pause_s * 1e6
    return MadeNight(
        scenes=tuple(scenes), cubes=tuple(cubes), trigger_of=trigger_of, state_of=state_of
    )


def _noise(scene: Scene, random: np.random.Generator) -> NDArray[np.float64]:
    if scene.gaussian:
        return random.normal(0, scene.noise_us, scene.triggers)
    return random.uniform(-scene.noise_us, scene.noise_us, scene.triggers)


def _parts(frames: int, lengths: tuple[int, ...]) -> Iterator[slice]:
    first, number = 0, 0
    while first < frames:
        length = lengths[min(number, len(lengths) - 1)]
        yield slice(first, min(first + length, frames))
        first, number = first + length, number + 1


def _cube(scene: Scene, raw_file: int, camera: int, times_us: NDArray[np.int64]) -> RawCube:
    cards: dict[str, CardValue] = {
        "DETECTOR": f"VCAM{camera} - OrcaQ",
        "EXTTRIG": True,
        "U_DETMOD": "SLOW" if scene.slow else "FAST",
        "PRD-RNG2": scene.rows,
        "EXPTIME": (scene.period_us - scene.jitter_us - 10) / 1e6,
        "U_FLCEN": scene.jitter_us > 0,
        "U_FLCST": "IN",
        "U_FLC": "NA",
        "U_TRIGJT": scene.header_jitter_us,
        "RET-ANG1": 0.0,
        "FILTER01": "Open",
        "OBJECT": "AB Aur",
    }
    return RawCube(
        raw_file=raw_file,
        path=f"vcam{camera}/{raw_file}.fits",
        camera=camera,
        width=32,
        height=24,
        cards=cards | scene.cards,
        acquired_us=times_us,
    )


def frames_of(output: PlannedOutput) -> Iterator[tuple[int, int]]:
    """Raw file and frame of every frame of an output, in order."""
    for segment in output.segments:
        for place in range(segment.count):
            yield segment.raw_file, segment.first + place * segment.step


def partners_of(output: PlannedOutput) -> Iterator[tuple[int, int]]:
    for segment in output.segments:
        assert segment.partner_file is not None
        for place in range(segment.count):
            yield segment.partner_file, segment.partner_first + place * segment.partner_step


def planned_pairs(plan: Plan) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """All pairs, camera 1's frame first."""
    return {
        pair
        for output in plan.outputs
        if output.synchronised and output.camera == 1
        for pair in zip(frames_of(output), partners_of(output), strict=True)
    }


class Verdict(Struct, frozen=True, kw_only=True):
    """How a plan compares with the truth."""

    wrong_pairs: int
    missed_pairs: int  #: common exposures that were not synchronised
    wrong_labels: int
    dubious: int  #: frames labelled D ...
    left_over: int  #: ... of which at most so many have no free neighbour to pair with
    unexplained: int  #: further dubious frames in scenes whose jitter is well above the noise
    frames: int


def clear(scene: Scene, *, synchronised: bool, frames: int) -> bool:
    """Whether the states of a run of so many *frames* can be told, with a margin.

    J must be well above the noise of the intervals; a run without a header's J must be
    long enough to show it.
    """
    deviation_us = scene.noise_us if scene.gaussian else scene.noise_us / 3**0.5
    intervals_us = deviation_us if synchronised else deviation_us * 2**0.5
    enough = 3 if scene.header_jitter_us else 12
    return scene.jitter_us >= 4 * intervals_us and frames >= enough


def judge(night: MadeNight, plan: Plan) -> Verdict:
    trigger = {
        (raw_file, frame): int(value)
        for raw_file, values in night.trigger_of.items()
        for frame, value in enumerate(values)
    }
    pairs = planned_pairs(plan)
    sound = {pair for pair in pairs if night.glitched.isdisjoint(pair)}
    wrong_pairs = sum(trigger[one] != trigger[two] for one, two in sound)
    common = _common(night)
    found = {trigger[one] for one, two in pairs if trigger[one] == trigger[two]}
    wrong_labels = dubious = left_over = unexplained = 0
    true_state = {FlcState.A: -1, FlcState.B: 1}
    of_cube: dict[tuple[int, int], list[PlannedOutput]] = {}
    for output in plan.outputs:
        of_cube.setdefault((output.cube, output.camera), []).append(output)
        expected = true_state.get(output.flc_state)
        if expected is not None:
            wrong_labels += sum(
                night.state_of[raw_file][frame] != expected for raw_file, frame in frames_of(output)
            )
    for files in of_cube.values():
        doubtful = sum(one.frames for one in files if one.flc_state is FlcState.DUBIOUS)
        if doubtful:
            dubious += doubtful
            numbers = sorted(trigger[frame] for one in files for frame in frames_of(one))
            broken = _greedy_left_over(numbers)
            left_over += broken
            scene = night.scenes[numbers[0] // SCENE_STEP]
            if clear(scene, synchronised=files[0].synchronised, frames=len(numbers)):
                unexplained += max(doubtful - broken, 0)
    return Verdict(
        wrong_pairs=wrong_pairs,
        missed_pairs=len(common - found),
        wrong_labels=int(wrong_labels),
        dubious=dubious,
        left_over=left_over,
        unexplained=unexplained,
        frames=len(trigger),
    )


def _common(night: MadeNight) -> set[int]:
    """Triggers whose exposure both cameras timed rightly."""
    seen: dict[int, set[int]] = {1: set(), 2: set()}
    for cube in night.cubes:
        for frame, trigger in enumerate(night.trigger_of[cube.raw_file].tolist()):
            if cube.acquired_us[frame] and (cube.raw_file, frame) not in night.glitched:
                seen[cube.camera].add(trigger)
    return seen[1] & seen[2]


def _greedy_left_over(triggers: list[int]) -> int:
    """Frames without a partner when pairs of consecutive triggers are taken greedily."""
    left, index = 0, 0
    while index < len(triggers):
        if index + 1 < len(triggers) and triggers[index + 1] == triggers[index] + 1:
            index += 2
        else:
            left, index = left + 1, index + 1
    return left


def fates(plan: Plan) -> dict[tuple[int, int], int]:
    """In how many places each frame is."""
    counted: dict[tuple[int, int], int] = {}
    for output in plan.outputs:
        for frame in frames_of(output):
            counted[frame] = counted.get(frame, 0) + 1
    for rejected in plan.rejected:
        for place in range(rejected.count):
            frame = rejected.raw_file, rejected.first + place * rejected.step
            counted[frame] = counted.get(frame, 0) + 1
    return counted
