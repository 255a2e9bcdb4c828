"""How well a night was taken: what its frames came to, against what could be expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.records import Plan, PlannedOutput, RawCube, Segment
from vampd.science.rules import can_synchronise, readout_us
from vampd.states import FlcState

# A median of fewer differences moves by more than what is looked for.
_FEWEST_PAIRS = 10


class Quality(Struct, frozen=True, kw_only=True):
    """What the frames of one plan came to."""

    expected: int  #: frames taken while the other camera could see the same pulses
    synchronised: int
    with_flc: int  #: frames that were sorted by the FLC's state, the dubious ones included
    a: int
    b: int
    dubious: int
    drift_us: int  #: of the cameras' offset, within the readout mode where it moves most
    frames: int = 0  #: of all cubes that are used
    rejected: int = 0  #: of *frames*: in no output


class QualityLimits(Struct, frozen=True, kw_only=True):
    """Outside of these a night is reported; of *hold*, held as well."""

    least_synchronised_percent: float
    most_dubious_percent: float
    most_drift_us: float
    most_state_difference_percent: float
    most_rejected_percent: float = 5.0
    hold: tuple[str, ...] = ()  #: measures


class OutOfLimits(Struct, frozen=True, kw_only=True):
    """One measure that is outside its limit."""

    measure: str  #: synchronised, dubious, drift, states, rejected
    text: str


def measure(cubes: Sequence[RawCube], plan: Plan) -> Quality:
    """Count what the *plan* makes of the *cubes*.

    Frames of cubes that are not among them (doubles, those that were given up) count nowhere.
    """
    frames = dict.fromkeys(FlcState, 0)
    synchronised = 0
    for output in plan.outputs:
        frames[output.flc_state] += output.frames
        synchronised += output.frames if output.synchronised else 0
    used = {cube.raw_file for cube in cubes}
    return Quality(
        frames=sum(len(cube.acquired_us) for cube in cubes),
        rejected=sum(fate.count for fate in plan.rejected if fate.raw_file in used),
        expected=_expected(cubes),
        synchronised=synchronised,
        with_flc=sum(frames.values()) - frames[FlcState.NONE],
        a=frames[FlcState.A],
        b=frames[FlcState.B],
        dubious=frames[FlcState.DUBIOUS],
        drift_us=_drift_us(cubes, plan.outputs),
    )


def out_of_limits(quality: Quality, limits: QualityLimits) -> Iterator[OutOfLimits]:
    """What is outside its limits, in sentences."""
    percent = _percent(quality.synchronised, quality.expected)
    if quality.expected and percent < limits.least_synchronised_percent:
        yield OutOfLimits(
            measure="synchronised",
            text=f"{quality.synchronised} of {quality.expected} frames that could have a partner"
            f" have one: {percent:.1f} %, less than {limits.least_synchronised_percent:g} %",
        )
    percent = _percent(quality.dubious, quality.with_flc)
    if percent > limits.most_dubious_percent:
        yield OutOfLimits(
            measure="dubious",
            text=f"the FLC's state of {quality.dubious} of {quality.with_flc} frames cannot be"
            f" told: {percent:.1f} %, more than {limits.most_dubious_percent:g} %",
        )
    if quality.drift_us > limits.most_drift_us:
        yield OutOfLimits(
            measure="drift",
            text=f"the cameras' offset moves by {quality.drift_us} us within one readout mode,"
            f" more than {limits.most_drift_us:g} us",
        )
    percent = _percent(abs(quality.a - quality.b), quality.a + quality.b)
    if percent > limits.most_state_difference_percent:
        yield OutOfLimits(
            measure="states",
            text=f"{quality.a} A and {quality.b} B frames differ by {percent:.1f} %,"
            f" more than {limits.most_state_difference_percent:g} %",
        )
    percent = _percent(quality.rejected, quality.frames)
    if percent > limits.most_rejected_percent:
        yield OutOfLimits(
            measure="rejected",
            text=f"{quality.rejected} of {quality.frames} frames are rejected: {percent:.1f} %,"
            f" more than {limits.most_rejected_percent:g} %",
        )


def pair_times(
    segments: Iterable[Segment], times: Mapping[int, NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Acquisition times of an output's frames, and of their partners, (frames,) each, us.

    *times* holds the cameras' own times of each raw cube. Solo frames are left out.
    """
    own, partners = [], []
    for segment in segments:
        if segment.partner_file is None:
            continue
        steps = np.arange(segment.count, dtype=np.int64)
        own.append(times[segment.raw_file][segment.first + steps * segment.step])
        partner = times[segment.partner_file]
        partners.append(partner[segment.partner_first + steps * segment.partner_step])
    if not own:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(own), np.concatenate(partners)


def _expected(cubes: Sequence[RawCube]) -> int:
    """Frames taken while a cube of the other camera was taken, both of which can be paired.

    The cameras' times of one exposure differ by less than the readout time.
    """
    able = [cube for cube in cubes if cube.has_acquisition and can_synchronise(cube.cards)]
    count = 0
    for camera in (1, 2):
        spans = sorted(
            (int(times[0]) - readout_us(cube.cards), int(times[-1]) + readout_us(cube.cards))
            for cube in able
            if cube.camera != camera and len(times := _readable(cube))
        )
        starts = np.array([first for first, _ in spans], dtype=np.int64)
        ends = np.maximum.accumulate(np.array([last for _, last in spans], dtype=np.int64))
        for cube in able:
            if cube.camera == camera and spans:
                times = _readable(cube)
                place = np.searchsorted(starts, times, side="right") - 1
                count += int(((place >= 0) & (times <= ends[place])).sum())
    return count


def _readable(cube: RawCube) -> NDArray[np.int64]:
    return cube.acquired_us[cube.acquired_us > 0]


def _drift_us(cubes: Sequence[RawCube], outputs: Sequence[PlannedOutput]) -> int:
    """Between the least and the greatest median offset of the output cubes of a readout mode."""
    times = {cube.raw_file: cube.acquired_us for cube in cubes}
    cards = {cube.raw_file: cube.cards for cube in cubes}
    medians: dict[tuple[object, object], list[float]] = defaultdict(list)
    for output in outputs:
        if output.synchronised and output.camera == 1:
            own_us, partner_us = pair_times(output.segments, times)
            if len(own_us) >= _FEWEST_PAIRS:
                mode = cards[output.header_file]
                key = (str(mode.get("U_DETMOD")).strip().upper(), mode.get("PRD-RNG2"))
                medians[key].append(float(np.median(partner_us - own_us)))
    return max((round(max(each) - min(each)) for each in medians.values()), default=0)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
