"""Nights of a logger that fails, written and read as on the instrument, against their truth.

Cubes of six pixels a frame are written by the simulation, read and judged by what the daemon reads
and judges them with, timed and planned; then every frame is looked up in the truth.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.io.beneath import Beneath, status
from vampd.records import FileIdentity, Plan, PlannedOutput, RawCube, Segment
from vampd.science.clocks import on_utc
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.doubles import Candidate, Doubles, find_doubles, to_be_compared
from vampd.science.losses import LoggedCube, Trace, find_losses
from vampd.simulation.headers import BLOCK_BYTES
from vampd.simulation.night import SimulatedNight
from vampd.simulation.random_logger import with_a_failing_logger
from vampd.simulation.random_scenes import random_scenes
from vampd.simulation.scenes import Scene
from vampd.simulation.truth import FileTruth, Truth
from vampd.states import FileState, FlcState
from vampd.watch.inspect import Inspection, inspect_cube
from vampd.watch.naming import Role, classify, named_us
from vampd.watch.scan import identity_of
from vampd.watch.settle import TrackedFile, judge_at_close

_LIMITS = CubeLimits()
_STATES = {FlcState.A: -1, FlcState.B: 1}
_LATENCY_US = 20_000  # logging follows acquisition by less
_LATE_NS = 10**12
_LONGER = 8


class ReadNight(Struct, frozen=True, kw_only=True):
    """What was found in a night's folder."""

    cubes: tuple[RawCube, ...]  #: whole, and their times on UTC
    quarantined: Mapping[str, str]  #: path of a cube -> why
    duplicates: Mapping[str, str]  #: path of a cube that is there twice -> of the one that is used
    lost: Mapping[int, tuple[int, int]]  #: camera -> cubes and frames that the logger lost


class Outcome(Struct, kw_only=True):
    """What came out of a night, in frames unless it says otherwise."""

    frames: int = 0
    wrong_times: Counter[str] = field(default_factory=Counter)  #: by kind of scene
    wrong_pairs: Counter[str] = field(default_factory=Counter)
    wrong_labels: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)  #: in no place, or in two
    held_wrongly: Counter[str] = field(
        default_factory=Counter
    )  #: quarantined, rejected for nothing
    twice: Counter[str] = field(default_factory=Counter)  #: exposures delivered twice
    held: Counter[str] = field(default_factory=Counter)  #: by what and why

    def counters(self) -> dict[str, Counter[str]]:
        """All that must not be."""
        return {
            "wrong times": self.wrong_times,
            "wrong pairs": self.wrong_pairs,
            "wrong labels": self.wrong_labels,
            "frames lost": self.lost,
            "held for nothing": self.held_wrongly,
        }

    def wrong(self) -> dict[str, Counter[str]]:
        """All that must not be, where it is."""
        return {what: where for what, where in self.counters().items() if where.total()}

    def __iadd__(self, other: Outcome) -> Self:
        self.frames += other.frames
        self.twice += other.twice
        self.held += other.held
        for mine, its in zip(self.counters().values(), other.counters().values(), strict=True):
            mine.update(its)
        return self


def kind_of(scene: Scene) -> str:
    """What is wrong in a scene, in a few words."""
    kinds = [
        *(("mixed",) if scene.mixed else ()),
        *(("doubled",) if scene.doubled else ()),
        *(("overlapping",) if any(scene.cube_spans) else ()),
        *(("set back",) if any(pause_us < 0 for _, pause_us in scene.gaps) else ()),
        *dict.fromkeys(one.fault.value for one in scene.faults),
        *(("TAI",) if scene.logger_ahead_s else ()),
    ]
    return ", ".join(kinds) or "plain"


def logger_night(seed: int, *, count: int = 6, most_triggers: int = 1_500) -> SimulatedNight:
    """A random night of a failing logger, six pixels a frame; of every other one cubes are long."""
    random = np.random.default_rng([seed, count])
    longer = 1 if seed % 4 == 0 else _LONGER
    scenes = [
        replace(
            scene,
            width=6,
            height=1,
            cube_frames=_longer(scene.cube_frames, longer),
        )
        for scene in random_scenes(
            seed, count=count, most_triggers=longer * most_triggers, with_faults=True
        )
    ]
    return SimulatedNight(with_a_failing_logger(scenes, random), seed=seed)


def _longer(
    lengths: tuple[tuple[int, ...], tuple[int, ...]], longer: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    one, two = (tuple(longer * length for length in camera) for camera in lengths)
    return one, two


def carried_out(night: SimulatedNight) -> tuple[Truth, ReadNight, Plan]:
    """Write, read and plan a night."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        truth = night.write(Path(folder))
        read = read_night(Path(folder) / truth.night)
    return truth, read, plan_night(read.cubes, _LIMITS)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def read_night(folder: Path) -> ReadNight:
    """Read a night's folder as at its close."""
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    written = {classify(path).stem for path in paths if classify(path).role is Role.TEMPORARY}
    whole: list[RawCube] = []
    quarantined: dict[str, str] = {}
    inspections: dict[str, Inspection] = {}
    for path in paths:
        named = classify(path)
        if named.role is not Role.CUBE:
            continue
        timing = path.removesuffix(".fits") + ".txt"
        has_timing = timing in paths
        inspection = inspect_cube(folder, path, timing)
        inspections[path] = inspection
        verdict = judge_at_close(
            _watched(folder, path),
            _watched(folder, timing) if has_timing else None,
            inspection if has_timing else None,
            now_ns=_LATE_NS,
            settle_seconds=0.0,
            is_rewritten=named.stem in written,
        )
        if verdict.state is FileState.WHOLE:
            whole.append(_raw_cube(len(whole) + 1, path, int(path[4]), inspection))
        else:
            quarantined[path] = verdict.reason
    proved, clocks = on_utc(whole)
    known = {cube.raw_file for cube in proved}
    quarantined |= {
        cube.path: clocks[cube.raw_file].text for cube in whole if cube.raw_file not in known
    }
    doubles = _doubles(folder, proved)
    return ReadNight(
        cubes=doubles.cubes,
        quarantined=quarantined | {one.path: one.reason for one in doubles.contradictions},
        duplicates={one.path: one.used for one in doubles.duplicates},
        lost=_lost(folder, paths, inspections),
    )


def _doubles(folder: Path, cubes: Sequence[RawCube]) -> Doubles:
    """What becomes of the cubes, by the digests of their files and pixels."""
    contents = {cube.raw_file: (folder / cube.path).read_bytes() for cube in cubes}
    candidates = [
        Candidate(
            cube=cube,
            sha256=hashlib.sha256(contents[cube.raw_file]).hexdigest(),
            modified_ns=(folder / cube.path).stat().st_mtime_ns,
        )
        for cube in cubes
    ]
    frames = {cube.raw_file: len(cube.acquired_us) * 2 * cube.width * cube.height for cube in cubes}
    pixels = {}
    for number in {number for pair in to_be_compared(candidates) for number in pair}:
        padded = -(-frames[number] // BLOCK_BYTES) * BLOCK_BYTES
        pixels[number] = hashlib.sha256(contents[number][-padded:]).hexdigest()
    return find_doubles(candidates, pixels)


def _watched(folder: Path, path: str) -> TrackedFile:
    found: FileIdentity = identity_of(status(Beneath(folder, tuple(path.split("/")))))
    return TrackedFile(identity=found, since_ns=0, looks=2)


def _raw_cube(number: int, path: str, camera: int, inspection: Inspection) -> RawCube:
    return RawCube(
        raw_file=number,
        path=path,
        camera=camera,
        width=inspection.width,
        height=inspection.height,
        cards=inspection.cards,
        acquired_us=inspection.acquired_us,
        rejected=inspection.rejected,
        has_acquisition=inspection.has_acquisition,
        is_old=inspection.is_old,
        lag_us=inspection.lag_us,
        written_us=inspection.written_us,
        counts=inspection.counts,
    )


def _lost(
    folder: Path, paths: Sequence[str], inspections: Mapping[str, Inspection]
) -> dict[int, tuple[int, int]]:
    logged: list[LoggedCube] = []
    traces: list[Trace] = []
    for path in paths:
        named = classify(path)
        assert named.camera is not None
        assert named.stem is not None
        cube = path.removesuffix(".txt") + ".fits"
        has_cube = cube in inspections
        if named.role is Role.TIMING:
            found = inspections.get(cube) or inspect_cube(folder, cube, path)
            if found.counts is not None and found.logged_span_us is not None:
                logged.append(_logged(named.camera, cube, found, has_cube=has_cube))
            elif not has_cube:
                traces.append(_trace(path, named.camera, named.stem, "empty"))
        elif named.role is Role.TEMPORARY:
            traces.append(_trace(path, named.camera, named.stem, "left over"))
        elif path.removesuffix(".fits") + ".txt" not in paths:
            traces.append(_trace(path, named.camera, named.stem, ""))
    toll: dict[int, tuple[int, int]] = {}
    for loss in find_losses(logged, traces):
        cubes, frames = toll.get(loss.camera, (0, 0))
        toll[loss.camera] = cubes + loss.cubes, frames + loss.frames
    return toll


def _logged(camera: int, path: str, found: Inspection, *, has_cube: bool) -> LoggedCube:
    assert found.counts is not None
    assert found.logged_span_us is not None
    return LoggedCube(
        path=path,
        camera=camera,
        frames=found.rows,
        first_count=found.counts[0],
        last_count=found.counts[1],
        first_us=found.logged_span_us[0],
        last_us=found.logged_span_us[1],
        settings=None,
        has_cube=has_cube,
    )


def _trace(path: str, camera: int, stem: str, why: str) -> Trace:
    return Trace(path=path, camera=camera, named_us=named_us(stem), why=why)


class Judge:
    """Holds a plan against the truth, frame by frame."""

    def __init__(self, night: SimulatedNight, truth: Truth, read: ReadNight, plan: Plan) -> None:
        self.truth, self.read, self.plan = truth, read, plan
        self.kinds = {laid.number: kind_of(laid.scene) for laid in night.laid}
        self.scenes = {laid.number: laid.scene for laid in night.laid}
        self.files = {file.path: file for file in truth.files if file.written}
        self.cubes = {cube.raw_file: cube for cube in read.cubes}
        self.file_of = {cube.raw_file: self.files[cube.path] for cube in read.cubes}
        self.outcome = Outcome(frames=truth.frames)

    def judge(self) -> Outcome:
        """Everything."""
        self._count_quarantined()
        self._check_times()
        self._check_places()
        for output in self.plan.outputs:
            self._check_output(output)
        self._count_solo()
        return self.outcome

    def _kind(self, file: FileTruth) -> str:
        return self.kinds[file.scene]

    def _count_quarantined(self) -> None:
        for path, file in self.files.items():
            if path in self.read.duplicates:
                self._count_duplicate(file, self.files[self.read.duplicates[path]])
                continue
            if path not in self.read.quarantined:
                if file.quarantined:
                    self.outcome.wrong_times[f"{self._kind(file)}: not quarantined"] += 1
                continue
            why = "must be" if file.quarantined else "clock not proved"
            if not file.quarantined and file.fault is None:
                why = "one cube within another"
            self.outcome.held[f"quarantined: {why}"] += len(file.frames)
            if not file.quarantined and not file.may_be_quarantined:
                told = f"{self._kind(file)}: {self.read.quarantined[path]}"
                self.outcome.held_wrongly[told] += len(file.frames)

    def _count_duplicate(self, file: FileTruth, used: FileTruth) -> None:
        """A cube is left out only for one of the same exposures, which is used."""
        self.outcome.held["rejected: there twice"] += len(file.frames)
        same = (file.camera, file.scene) == (used.camera, used.scene)
        if not (same and np.array_equal(file.frames, used.frames)):
            self.outcome.held_wrongly[f"{self._kind(file)}: not a duplicate"] += len(file.frames)
        if used.path not in {cube.path for cube in self.read.cubes}:
            self.outcome.lost[f"{self._kind(file)}: duplicate of nothing"] += len(file.frames)

    def _check_times(self) -> None:
        """Every frame that is used has the time at which it was taken."""
        for raw_file, cube in self.cubes.items():
            file = self.file_of[raw_file]
            used = np.ones(len(cube.acquired_us), dtype=np.bool_)
            used[list(cube.rejected)] = False
            late_us = cube.acquired_us - file.t_us
            most_us = 0 if cube.has_acquisition else _LATENCY_US
            wrong = used & ((late_us < 0) | (late_us > most_us))
            if wrong.any():
                self.outcome.wrong_times[self._kind(file)] += int(wrong.sum())
            # Both columns of times tell an overlap; at its ends they may differ by a frame.
            ends = {frame + step for frame in file.overlapped for step in (-1, 0, 1)}
            expected = {*file.rejected, *ends}
            spare = [frame for frame in cube.rejected if frame not in expected]
            if spare:
                self.outcome.held_wrongly[f"{self._kind(file)}: rejected"] += len(spare)
            self.outcome.held["rejected: its row"] += len(cube.rejected)

    def _check_places(self) -> None:
        """Every frame of a whole cube is in one place, and no exposure is delivered twice."""
        places = {
            raw_file: np.zeros(len(cube.acquired_us), dtype=np.int64)
            for raw_file, cube in self.cubes.items()
        }
        delivered: Counter[tuple[int, int, int]] = Counter()
        for output in self.plan.outputs:
            for segment in output.segments:
                frames = _frames(segment)
                places[segment.raw_file][frames] += 1
                file = self.file_of[segment.raw_file]
                if file.overlapped or file.copy_of:
                    delivered.update(
                        (file.camera, file.scene, trigger)
                        for trigger in file.frames[frames].tolist()
                    )
        for fate in self.plan.rejected:
            places[fate.raw_file][fate.first :: fate.step][: fate.count] += 1
        for raw_file, found in places.items():
            if (found != 1).any():
                kind = self._kind(self.file_of[raw_file])
                self.outcome.lost[kind] += int((found != 1).sum())
        for (_, scene, _), times in delivered.items():
            if times > 1:
                self.outcome.twice[self.kinds[scene]] += times - 1
                if self.scenes[scene].doubled:
                    self.outcome.lost[f"{self.kinds[scene]}: delivered twice"] += times - 1

    def _check_output(self, output: PlannedOutput) -> None:
        who, times_us, is_overlapped = self._who(output, partner=False)
        kind = self.kinds[int(who[0, 0])]
        # The ends of a cube are those before deinterleaving, so a file lies within them.
        first_us, last_us = times_us, times_us
        if output.synchronised:
            partners, partner_us, _ = self._who(output, partner=True)
            wrong = (partners != who).any(axis=0)
            if wrong.any():
                self.outcome.wrong_pairs[kind] += int(wrong.sum())
            first_us = last_us = (times_us + partner_us) // 2
        inside = (first_us >= output.first_us) & (last_us <= output.last_us)
        if not inside.all() and self._are_exact(output):
            self.outcome.wrong_times[f"{kind}: name"] += int((~inside).sum())
        expected = _STATES.get(output.flc_state)
        if expected is not None:
            states = self._states(who)
            if (states != expected).any():
                self.outcome.wrong_labels[kind] += int((states != expected).sum())
        elif output.flc_state is FlcState.DUBIOUS:
            self._count_undetermined(output, who, is_overlapped)

    def _are_exact(self, output: PlannedOutput) -> bool:
        return all(self.cubes[segment.raw_file].has_acquisition for segment in output.segments)

    def _who(
        self, output: PlannedOutput, *, partner: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(2, frames) scenes and triggers, true times, and whether another cube overlaps there."""
        scenes, triggers, times, overlapped = [], [], [], []
        for segment in output.segments:
            raw_file = segment.partner_file if partner else segment.raw_file
            assert raw_file is not None
            file = self.file_of[raw_file]
            frames = _partners(segment) if partner else _frames(segment)
            scenes.append(np.full(len(frames), file.scene))
            triggers.append(file.frames[frames])
            times.append(file.t_us[frames])
            overlapped.append(np.isin(frames, file.overlapped))
        who = np.stack([np.concatenate(scenes), np.concatenate(triggers)])
        return who, np.concatenate(times), np.concatenate(overlapped)

    def _states(self, who: NDArray[np.int64]) -> NDArray[np.int64]:
        states = np.zeros(who.shape[1], dtype=np.int64)
        for scene in np.unique(who[0]).tolist():
            own = who[0] == scene
            states[own] = self.truth.state_of(scene, who[1, own])
        return states

    def _count_undetermined(
        self, output: PlannedOutput, who: NDArray[np.int64], is_overlapped: NDArray[np.bool_]
    ) -> None:
        held = self.outcome.held
        scene = self.scenes[int(who[0, 0])]
        untimed = not self._are_exact(output)
        spread_us = scene.noise_us if output.synchronised else scene.noise_us * 2**0.5
        held["undetermined: overlap"] += int(is_overlapped.sum())
        rest = int((~is_overlapped).sum())
        if untimed:
            held["undetermined: no acquisition times"] += rest
        elif scene.jitter_us < 4 * spread_us:
            held["undetermined: J not well above the noise"] += rest
        elif output.frames == 1:
            held["undetermined: a single frame of its cube"] += rest
        else:
            held["undetermined: gaps, short runs"] += rest

    def _count_solo(self) -> None:
        """Frames without a partner, and whether they should have one."""
        seen: dict[int, set[tuple[int, int]]] = {1: set(), 2: set()}
        for raw_file, cube in self.cubes.items():
            file = self.file_of[raw_file]
            if self.scenes[file.scene].external_trigger and cube.has_acquisition:
                good = np.delete(np.arange(len(file.frames)), list({*cube.rejected}))
                good = good[~np.isin(good, file.overlapped)]
                seen[file.camera] |= {(file.scene, k) for k in file.frames[good].tolist()}
        common = seen[1] & seen[2]
        for output in self.plan.outputs:
            if output.synchronised:
                continue
            who, _, is_overlapped = self._who(output, partner=False)
            alone = [(scene, k) for scene, k in who.T[~is_overlapped].tolist()]
            missed = sum(one in common for one in alone)
            self.outcome.held["solo: overlap"] += int(is_overlapped.sum())
            self.outcome.held["solo: no partner there"] += len(alone) - missed
            self.outcome.held["solo: a partner was there"] += missed


def _frames(segment: Segment) -> NDArray[np.int64]:
    return segment.first + segment.step * np.arange(segment.count)


def _partners(segment: Segment) -> NDArray[np.int64]:
    return segment.partner_first + segment.partner_step * np.arange(segment.count)


def judged(
    seed: int, *, count: int = 6, most_triggers: int = 1_500
) -> tuple[SimulatedNight, Outcome, ReadNight, Truth]:
    """The outcome of the random night *seed*."""
    night = logger_night(seed, count=count, most_triggers=most_triggers)
    truth, read, plan = carried_out(night)
    return night, Judge(night, truth, read, plan).judge(), read, truth


def losses(read: ReadNight, truth: Truth) -> Iterator[tuple[int, int, int]]:
    """Camera, cubes lost in truth, cubes told as lost."""
    true = {loss.camera: loss.cubes for loss in truth.losses}
    for camera in (1, 2):
        yield camera, true.get(camera, 0), read.lost.get(camera, (0, 0))[0]
