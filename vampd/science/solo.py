"""The output cubes of frames that have no partner: one for each raw cube."""

from __future__ import annotations

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
from vampd.science.overlaps import doubtful_seams, seams
from vampd.science.pieces import PART_US, Rest, rests
from vampd.science.remembered import Memory, NoiseSeen
from vampd.science.rules import RUN_CARDS, flc_applies, header_jitter_us, readout_us
from vampd.science.timeline import Block, Timeline, closest_us, ordered_frames, usable_frames

_NOISE_SAMPLE = 1 << 13  # frames of a part of a run that show its noise well enough for others


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
    memory: Memory,
) -> tuple[list[Draft], list[Report], list[Rest]]:
    """Outputs of the frames of one camera's *cubes* that are not *matched*.

    *matched* has a mask (frames,) for each raw file, *triggered* the timeline of the
    triggered cubes of each camera. States are judged on the complete timeline of this
    camera, matched frames included; outputs are neither merged nor cut. What the states rest on
    comes with them.
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
    found: list[Rest] = []
    seen = _noise_seen(triggered[cubes[0].camera], memory) if told else {}
    closest = partial(closest_us, list(triggered.values()))
    for run in _runs(timeline):
        if any(len(_solo_frames(timeline.cubes[cube], matched)) for cube in _cubes(run)):
            times_us = timeline.times(run.first, run.last)
            noise = None if run.readout_us is None else seen.get(run.readout_us)
            labels = label_states(
                times_us,
                jitter_us=run.jitter_us,
                prior=None if noise is None else partial(_prior, noise, times_us),
                closest_us=closest,
                parted_at=seams(timeline, run.blocks) - run.first,
            )
            reports += finding_reports(labels.findings, run.cube, header_us=run.jitter_us)
            drafts += _labelled_drafts(timeline, run, matched, labels)
            doubts = [(at - run.first, us) for at, us in doubtful_seams(timeline, run.blocks)]
            found += rests(times_us, labels.pieces, doubts)
    return drafts, reports, found


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


def _noise_seen(timeline: Timeline, memory: Memory) -> dict[int, NoiseSeen]:
    """Noise of the camera's intervals in each readout mode, as its runs show it part by part."""
    seen: dict[int, NoiseSeen] = {}
    for run in _runs(timeline):
        if run.readout_us is None:
            continue
        noise = seen.setdefault(run.readout_us, NoiseSeen(memory))
        for _, same in groupby(run.blocks, lambda block: block.first_us // PART_US):
            blocks = tuple(same)
            measure = partial(_noise_shown, timeline, blocks)
            noise.add(blocks[0].first_us, blocks[-1].last_us, measure)
    return seen


def _noise_shown(timeline: Timeline, blocks: Sequence[Block]) -> list[Noise]:
    first, last = blocks[0].start, blocks[-1].start + blocks[-1].frames
    noise = interval_noise(timeline.times(first, min(last, first + _NOISE_SAMPLE)))
    return [] if noise is None else [noise]


def _prior(seen: NoiseSeen, times_us: NDArray[np.int64], first: int, _last: int) -> Noise | None:
    """Noise of a run's frames from the *first* on, by what came before them."""
    return typical_noise(seen.before(int(times_us[first])))
