"""Decide a night: which frame goes into which output, and under which name.

Cubes of both cameras come in, a plan comes out; nothing here sees a disk. What the
header cards decide is in `rules`, what becomes of pairs in `synchronised`, of frames
without a partner in `solo`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vampd.errors import IntegrityError
from vampd.records import Plan, PlannedOutput, RawCube, RejectedFrames, Report, Segment
from vampd.science.cutting import CubeLimits
from vampd.science.drafts import Draft
from vampd.science.matching import pair_night
from vampd.science.overlaps import overlap_reports
from vampd.science.remembered import Memory
from vampd.science.rules import (
    DECIDING_CARDS,
    can_synchronise,
    card_complaints,
    flc_applies,
    tolerance_us,
)
from vampd.science.segments import progressions
from vampd.science.solo import solo_drafts
from vampd.science.synchronised import synchronised_drafts
from vampd.science.timeline import Marks, Timeline, usable_frames
from vampd.science.times import name_time

__all__ = [
    "DECIDING_CARDS",
    "CubeLimits",
    "can_synchronise",
    "flc_applies",
    "plan_night",
    "tolerance_us",
]

_STATE_SUFFIX = re.compile(r"\.[ABD]$")
_NO_TIME = "no acquisition time"


def plan_night(
    cubes: Sequence[RawCube],
    limits: CubeLimits,
    *,
    taken_names: Iterable[str] = (),
    begins_us: Sequence[int] = (),
) -> Plan:
    """Put every frame of every cube into one output, or reject it with a reason.

    *cubes* are the whole, good cubes of a night in any order. *taken_names* are names
    of outputs that the night has already, from an earlier batch. *begins_us*: a pair that was
    taken then begins a cube, as it did in an earlier plan of the same night, which shall change no
    more than it must. Raises IntegrityError if any frame were in two places or in none: that is an
    error of this program.
    """
    one, two = (
        Timeline([cube for cube in cubes if cube.camera == camera and _may_have_partners(cube)])
        for camera in (1, 2)
    )
    memory = Memory(cubes)
    pairs = pair_night(one, two, memory)
    drafts, reports, of_states = synchronised_drafts(one, two, pairs, limits, begins_us)
    matched = _matched(one, pairs.marks1) | _matched(two, pairs.marks2)
    of_pairs = pairs.rests
    del pairs  # twelve bytes a frame, which the solo frames need no more
    triggered = {
        camera: Timeline([cube for cube in cubes if cube.camera == camera and _is_triggered(cube)])
        for camera in (1, 2)
    }
    for camera in (1, 2):
        own = [cube for cube in cubes if cube.camera == camera]
        solo, said, of_solo = solo_drafts(own, matched, triggered, memory)
        drafts += solo
        of_states += of_solo
        reports += [*overlap_reports(triggered[camera]), *said]
    outputs, renamed = _named(drafts, taken_names)
    rejected = [fate for cube in cubes for fate in _rejected(cube)]
    _prove_complete(cubes, outputs, rejected)
    complaints = [complaint for cube in cubes for complaint in _complaints(cube)]
    return Plan(
        outputs=tuple(outputs),
        rejected=tuple(rejected),
        reports=(*complaints, *reports, *renamed),
        rests=(of_pairs, tuple(of_states)),
    )


def _may_have_partners(cube: RawCube) -> bool:
    return cube.has_acquisition and can_synchronise(cube.cards)


def _is_triggered(cube: RawCube) -> bool:
    """Whether the intervals of a cube are the trigger's."""
    return cube.has_acquisition and cube.cards.get("EXTTRIG") is True


def _complaints(cube: RawCube) -> Iterator[Report]:
    if not cube.has_acquisition:
        text = f"{cube.path}: no acquisition times; not paired, timed by the logger"
        yield Report(raw_file=cube.raw_file, text=text)
    for complaint in card_complaints(cube.cards):
        yield Report(raw_file=cube.raw_file, text=f"{cube.path}: {complaint}")


def _matched(timeline: Timeline, marks: Marks) -> dict[int, NDArray[np.bool_]]:
    """For each raw file, which of its frames have a partner."""
    masks = {
        cube.raw_file: np.zeros(len(cube.acquired_us), dtype=np.bool_) for cube in timeline.cubes
    }
    for block in timeline.blocks:
        span = slice(block.start, block.start + block.frames)
        frames = timeline.take(span.start, span.stop)
        for index in block.cubes:
            paired = marks.chosen[span] & (frames.cube == index)
            masks[timeline.cubes[index].raw_file][frames.frame[paired]] = True
    return masks


def _named(
    drafts: list[Draft], taken_names: Iterable[str]
) -> tuple[list[PlannedOutput], list[Report]]:
    """The outputs in the order of their frame IDs, each under a name of its own.

    Where a name is taken, the later cube's time moves on by a microsecond until it is free.
    """
    drafts.sort(key=lambda one: (one.first_us, not one.synchronised, one.parts[0].camera))
    outputs: list[PlannedOutput] = []
    reports: list[Report] = []
    taken = {_STATE_SUFFIX.sub("", name) for name in taken_names}
    for ordinal, one in enumerate(drafts):
        named_us = one.first_us
        while not taken.isdisjoint(_stems(one, named_us)):
            named_us += 1
        stems = _stems(one, named_us)
        taken.update(stems)
        if named_us != one.first_us:
            text = f"{_stems(one, one.first_us)[0]} was taken; this one is {stems[0]}"
            reports.append(Report(raw_file=one.parts[0].header_file, text=text))
        outputs += _outputs(one, ordinal, stems)
    return outputs, reports


def _stems(one: Draft, named_us: int) -> list[str]:
    """The names of a cube's files, without their states, if its time is *named_us*."""
    time = name_time(named_us)
    return [
        f"vsync_{time}.cam{part.camera}" if one.synchronised else f"vcam{part.camera}_{time}"
        for part in one.parts
    ]


def _outputs(one: Draft, ordinal: int, stems: Sequence[str]) -> Iterator[PlannedOutput]:
    for part, stem in zip(one.parts, stems, strict=True):
        yield PlannedOutput(
            cube=ordinal,
            camera=part.camera,
            synchronised=one.synchronised,
            flc_state=part.flc_state,
            name=f"{stem}.{part.flc_state}" if part.flc_state else stem,
            frames=part.frames,
            width=part.width,
            height=part.height,
            first_us=one.first_us,
            last_us=one.last_us,
            header_file=part.header_file,
            segments=part.segments,
        )


def _rejected(cube: RawCube) -> Iterator[RejectedFrames]:
    """Frames of a cube that have no time, and why."""
    good = np.zeros(len(cube.acquired_us), dtype=np.bool_)
    good[usable_frames(cube)] = True
    frames_of: defaultdict[str, list[int]] = defaultdict(list)
    for frame in np.flatnonzero(~good).tolist():
        frames_of[cube.rejected.get(frame, _NO_TIME)].append(frame)
    for reason, frames in frames_of.items():
        columns = np.array([frames], dtype=np.int64)
        for run in progressions(np.zeros_like(columns), columns):
            yield RejectedFrames(
                raw_file=cube.raw_file,
                first=frames[run.first],
                step=run.steps[0],
                count=run.last - run.first,
                reason=reason,
            )


def _prove_complete(
    cubes: Sequence[RawCube],
    outputs: Sequence[PlannedOutput],
    rejected: Sequence[RejectedFrames],
) -> None:
    """Count for every raw frame in how many places it is."""
    places = {cube.raw_file: np.zeros(len(cube.acquired_us), dtype=np.uint8) for cube in cubes}
    fates: list[Segment | RejectedFrames] = [*rejected]
    fates += [segment for output in outputs for segment in output.segments]
    for fate in fates:
        last = fate.first + fate.step * (fate.count - 1) + 1
        places[fate.raw_file][fate.first : last : fate.step] += 1
    for cube in cubes:
        wrong = np.flatnonzero(places[cube.raw_file] != 1)
        if len(wrong):
            msg = (
                f"{cube.path}: {len(wrong)} of {len(cube.acquired_us)} frames planned into no "
                f"output or into several, the first is frame {wrong[0]}; nothing was planned"
            )
            raise IntegrityError(msg)
