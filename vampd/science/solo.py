"""The output cubes of frames that have no partner: one for each raw cube."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.records import CardValue, RawCube, Report
from vampd.science.cutting import paired_states
from vampd.science.drafts import Draft, Source, draft
from vampd.science.findings import finding_reports
from vampd.science.flc import DUBIOUS, Labels, label_states
from vampd.science.intervals import Noise, interval_noise, typical_noise
from vampd.science.overlaps import seams
from vampd.science.rules import RUN_CARDS, flc_applies, header_jitter_us, readout_us
from vampd.science.timeline import Block, Timeline, closest_us, ordered_frames, usable_frames

_NOISE_SAMPLE = 1 << 13  # frames of a run that show its noise well enough for others


class _Run(Struct, frozen=True, kw_only=True):
    """Blocks of one run of the trigger."""

    cube: RawCube  #: the first one
    blocks: tuple[Block, ...]
    agrees: bool  #: whether the cards of all its cubes do

    @property
    def jitter_us(self) -> int | None:
        """The header's J."""
        return header_jitter_us(self.cube.cards) if self.agrees else None

    @property
    def readout_us(self) -> int | None:
        """The readout time of its mode."""
        return readout_us(self.cube.cards) if self.agrees else None

    @property
    def first(self) -> int:
        return self.blocks[0].start

    @property
    def last(self) -> int:
        return self.blocks[-1].start + self.blocks[-1].frames


def solo_drafts(
    cubes: Sequence[RawCube],
    matched: Mapping[int, NDArray[np.bool_]],
    triggered: Mapping[int, Timeline],
) -> tuple[list[Draft], list[Report]]:
    """Outputs of the frames of one camera's *cubes* that are not *matched*.

    *matched* has a mask (frames,) for each raw file, *triggered* the timeline of the
    triggered cubes of each camera. States are judged on the complete timeline of this
    camera, matched frames included; outputs are neither merged nor cut.
    """
    told = [
        cube
        for cube in cubes
        if flc_applies(cube.cards) and cube.has_acquisition and len(ordered_frames(cube))
    ]
    labelled = {cube.raw_file for cube in told}
    drafts = []
    for cube in cubes:
        frames = _solo_frames(cube, matched)
        if len(frames) and cube.raw_file not in labelled:
            unknown = np.full(len(frames), DUBIOUS, dtype=np.int8)
            drafts.append(_draft(cube, frames, unknown if flc_applies(cube.cards) else None))
    timeline = Timeline(told)
    reports: list[Report] = []
    noise_of = _noise_of(triggered[cubes[0].camera]) if told else {}
    closest = partial(closest_us, list(triggered.values()))
    for run in _runs(timeline):
        if any(len(_solo_frames(timeline.cubes[cube], matched)) for cube in _cubes(run)):
            labels = label_states(
                timeline.times(run.first, run.last),
                jitter_us=run.jitter_us,
                prior=noise_of.get(run.readout_us),
                closest_us=closest,
                parted_at=seams(timeline, run.blocks) - run.first,
            )
            reports += finding_reports(labels.findings, run.cube, header_us=run.jitter_us)
            drafts += _labelled_drafts(timeline, run, matched, labels)
    return drafts, reports


def _labelled_drafts(
    timeline: Timeline, run: _Run, matched: Mapping[int, NDArray[np.bool_]], labels: Labels
) -> Iterator[Draft]:
    """The drafts of a run's cubes, from the states of all of its frames."""
    for block in run.blocks:
        frames = timeline.take(block.start, block.start + block.frames)
        inner = slice(block.start - run.first, block.start - run.first + block.frames)
        states, follows = labels.states[inner], labels.follows[inner]
        for index in block.cubes:
            cube = timeline.cubes[index]
            solo = _solo_frames(cube, matched)
            places = np.flatnonzero(np.isin(frames.frame, solo) & (frames.cube == index))
            if not len(solo):
                continue
            # Disputed frames are in no timeline: they have no state, and nothing follows them.
            at = np.searchsorted(solo, frames.frame[places])
            of_solo = np.full(len(solo), DUBIOUS, dtype=np.int8)
            adjacent = np.zeros(len(solo), dtype=np.bool_)
            of_solo[at] = states[places]
            adjacent[at] = follows[places]
            adjacent[at[:1]] &= at[:1] == 0
            adjacent[at[1:]] &= (np.diff(places) == 1) & (np.diff(at) == 1)
            yield _draft(cube, solo, paired_states(of_solo, adjacent))


def _draft(cube: RawCube, frames: NDArray[np.int32], states: NDArray[np.int8] | None) -> Draft:
    times_us = cube.acquired_us[frames]
    source = Source(cubes=(cube,), cube=np.zeros(len(frames), dtype=np.int32), frame=frames)
    return draft((source,), states, first_us=int(times_us.min()), last_us=int(times_us.max()))


def _solo_frames(cube: RawCube, matched: Mapping[int, NDArray[np.bool_]]) -> NDArray[np.int32]:
    frames = usable_frames(cube)
    if cube.raw_file in matched:
        frames = frames[~matched[cube.raw_file][frames]]
    return frames.astype(np.int32)


def _cubes(run: _Run) -> Iterator[int]:
    for block in run.blocks:
        yield from block.cubes


def _runs(timeline: Timeline) -> Iterator[_Run]:
    """Blocks in a row whose cubes have the same trigger.

    A block of cubes that overlap, and differ in it, is a run of its own.
    """
    for keys, same in groupby(timeline.blocks, lambda block: _run_keys(timeline, block)):
        blocks = tuple(same)
        first = timeline.cubes[blocks[0].cubes[0]]
        yield _Run(cube=first, blocks=blocks, agrees=len(keys) == 1)


def _run_keys(timeline: Timeline, block: Block) -> list[tuple[CardValue, ...]]:
    keys = (
        tuple(timeline.cubes[cube].cards.get(card) for card in RUN_CARDS) for cube in block.cubes
    )
    return list(dict.fromkeys(keys))


def _noise_of(timeline: Timeline) -> dict[int | None, Noise]:
    """Noise of the camera's intervals in each readout mode, from all of its runs."""
    measured: defaultdict[int, list[Noise]] = defaultdict(list)
    for run in _runs(timeline):
        if run.readout_us is None:
            continue
        last = min(run.last, run.first + _NOISE_SAMPLE)
        noise = interval_noise(timeline.times(run.first, last))
        if noise is not None:
            measured[run.readout_us].append(noise)
    pooled = {readout: typical_noise(noises) for readout, noises in measured.items()}
    return {readout: noise for readout, noise in pooled.items() if noise is not None}
