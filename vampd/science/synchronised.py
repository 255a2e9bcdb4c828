"""The output cubes of frames that both cameras recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.records import CardValue, RawCube, Report
from vampd.science.cutting import CubeLimits, cut_outputs, paired_states, run_starts
from vampd.science.drafts import Draft, Source, draft
from vampd.science.findings import finding_reports
from vampd.science.flc import DUBIOUS, Labels, label_states
from vampd.science.intervals import Noise
from vampd.science.matching import NightPairs
from vampd.science.overlaps import doubtful_pair_seams, pair_seams
from vampd.science.pieces import Rest, long_intervals, rests, sections
from vampd.science.rules import (
    CUTTING_CARDS,
    RUN_CARDS,
    SHARED_CARDS,
    exposure_us,
    flc_applies,
    header_jitter_us,
    tolerance_us,
)
from vampd.science.timeline import Marks, Timeline, closest_us

_WINDOW = 1 << 16  # pairs looked at at a time
_BYTES_PER_PIXEL = 2


class Group(Struct, frozen=True, kw_only=True):
    """Consecutive pairs of one raw cube of either camera."""

    first: int  #: its first pair
    cube1: RawCube
    cube2: RawCube

    @property
    def deinterleaved(self) -> bool:
        """Whether either camera says so: where neither alternates, all is dubious anyway."""
        return flc_applies(self.cube1.cards) or flc_applies(self.cube2.cards)

    @property
    def jitter_us(self) -> int | None:
        """The header's J, camera 1's where both have one."""
        return header_jitter_us(self.cube1.cards) or header_jitter_us(self.cube2.cards)


def synchronised_drafts(
    one: Timeline,
    two: Timeline,
    pairs: NightPairs,
    limits: CubeLimits,
    begins_us: Sequence[int] = (),
) -> tuple[list[Draft], list[Report], list[Rest]]:
    """Merge all pairs in time order and cut them into outputs, at the times *begins_us* too.

    What the states rest on comes with them.
    """
    groups = list(_groups(one, two, pairs))
    states, follows, reports, found = _labelled(groups, pairs, (one, two))
    drafts = []
    for group, first, last in _sections(groups, pairs, limits, begins_us):
        inner = slice(first, last)
        starts = run_starts(states[inner], follows[inner]) if group.deinterleaved else None
        for cut in cut_outputs(
            pairs.times_us[inner],
            starts,
            max_us=round(limits.max_seconds * 1_000_000),
            max_frames=_max_frames(group, limits),
        ):
            rows = slice(first + cut[0], first + cut[1])
            final = paired_states(states[rows], follows[rows]) if group.deinterleaved else None
            drafts.append(_draft(one, two, pairs, rows, final))
    return drafts, [*_disagreements(groups), *reports], found


def _draft(
    one: Timeline,
    two: Timeline,
    pairs: NightPairs,
    rows: slice,
    states: NDArray[np.int8] | None,
) -> Draft:
    frames1 = one.at(pairs.marks1.places(rows.start, rows.stop))
    frames2 = two.at(pairs.marks2.places(rows.start, rows.stop))
    return draft(
        (
            Source(cubes=one.cubes, cube=frames1.cube, frame=frames1.frame),
            Source(cubes=two.cubes, cube=frames2.cube, frame=frames2.frame),
        ),
        states,
        first_us=int(pairs.times_us[rows.start]),
        last_us=int(pairs.times_us[rows.stop - 1]),
    )


def _groups(one: Timeline, two: Timeline, pairs: NightPairs) -> Iterator[Group]:
    before = (-1, -1)
    for first in range(0, len(pairs.times_us), _WINDOW):
        last = min(first + _WINDOW, len(pairs.times_us))
        cube1 = one.at(pairs.marks1.places(first, last)).cube
        cube2 = two.at(pairs.marks2.places(first, last)).cube
        changes = np.flatnonzero((np.diff(cube1) != 0) | (np.diff(cube2) != 0)) + 1
        for place in (0, *changes.tolist()):
            now = (int(cube1[place]), int(cube2[place]))
            if now != before:
                yield Group(first=first + place, cube1=one.cubes[now[0]], cube2=two.cubes[now[1]])
            before = now


def _labelled(
    groups: Sequence[Group], pairs: NightPairs, timelines: Sequence[Timeline]
) -> tuple[NDArray[np.int8], NDArray[np.bool_], list[Report], list[Rest]]:
    """States of all pairs, each judged within the whole run of its trigger."""
    states = np.zeros(len(pairs.times_us), dtype=np.int8)
    follows = np.zeros(len(pairs.times_us), dtype=np.bool_)
    reports: list[Report] = []
    found: list[Rest] = []
    sides = tuple(zip(timelines, (pairs.marks1, pairs.marks2), strict=True))
    parted_at = pair_seams(sides)
    of_clocks = pair_seams(sides, begun_anew=False)
    doubts = doubtful_pair_seams(sides)
    for group, first, last in _changing(groups, len(pairs.times_us), _run_key):
        if not group.deinterleaved:
            continue
        judge = _Judge(pairs=pairs, group=group, timelines=timelines, parted_at=parted_at)
        labels = judge.labels(first, last)
        of_run = of_clocks[(of_clocks > first) & (of_clocks < last)] - first
        if len(of_run):
            begins = [begin for begin, _ in sections(pairs.times_us[first:last])]
            judge.compare(labels, first, np.setdiff1d(of_run, begins), sides)
        states[first:last], follows[first:last] = labels.states, labels.follows
        reports += finding_reports(labels.findings, group.cube1, header_us=group.jitter_us)
        of_run_doubts = [(at - first, us) for at, us in doubts if first < at < last]
        found += rests(pairs.times_us[first:last], labels.pieces, of_run_doubts)
    return states, follows, reports, found


class _Judge(Struct, frozen=True, kw_only=True):
    """Judges the states of pairs of one run of the trigger."""

    pairs: NightPairs
    group: Group
    timelines: Sequence[Timeline]
    parted_at: NDArray[np.intp]

    def labels(
        self,
        first: int,
        last: int,
        times_us: NDArray[np.int64] | None = None,
        noisier: float = 1.0,
    ) -> Labels:
        """States of pairs *first* to *last* (excluded), by their times or by one camera's."""
        inside = self.parted_at[(self.parted_at > first) & (self.parted_at < last)] - first
        return label_states(
            self.pairs.times_us[first:last] if times_us is None else times_us,
            jitter_us=self.group.jitter_us,
            prior=partial(self._prior, first, noisier),
            closest_us=partial(closest_us, self.timelines),
            parted_at=inside,
        )

    def _prior(self, begin: int, noisier: float, first: int, last: int) -> Noise | None:
        limit_us = tolerance_us(self.group.cube1.cards, self.group.cube2.cards)
        noise = self.pairs.noise(limit_us, begin + first, begin + last)
        return noise and replace(noise, variance_us2=noisier * noise.variance_us2)

    def compare(
        self,
        labels: Labels,
        begin: int,
        of_clocks: NDArray[np.intp],
        sides: Sequence[tuple[Timeline, Marks]],
    ) -> None:
        """Where a clock was wrong, let each camera's own times show the same states.

        It was where cubes of a camera overlap, perhaps of one camera alone: frames of different
        pulses may be pairs then. *of_clocks* are such places in a run that begins with pair
        *begin*; what was judged with all frames up to one, or from one on, is compared.
        """
        for piece in labels.pieces:
            if not np.any((of_clocks >= piece.low) & (of_clocks <= piece.high)):
                continue
            first, last = begin + piece.low, begin + piece.high
            inner = slice(piece.first - piece.low, piece.last - piece.low)
            for timeline, marks in sides:
                times_us = timeline.at(marks.places(first, last)).times_us
                own = self.labels(first, last, times_us, noisier=2.0).states[inner]
                told = labels.states[piece.first : piece.last]
                told[own != told] = DUBIOUS


def _sections(
    groups: Sequence[Group], pairs: NightPairs, limits: CubeLimits, begins_us: Sequence[int]
) -> Iterator[tuple[Group, int, int]]:
    """First and last (excluded) pair between places where a new output begins anyhow."""
    max_gap_us = round(limits.max_gap_seconds * 1_000_000)
    pauses = long_intervals(pairs.times_us, max_gap_us) + 1
    begins = _places(pairs.times_us, begins_us)
    for group, first, last in _changing(groups, len(pairs.times_us), _cutting_key):
        exposed_us = exposure_us(group.cube1.cards)
        inside = pauses[np.searchsorted(pauses, first + 1) : np.searchsorted(pauses, last)]
        dark_us = pairs.times_us[inside] - exposed_us - pairs.times_us[inside - 1]
        again = begins[(begins > first) & (begins < last)]
        cuts = [first, *np.union1d(inside[dark_us > max_gap_us], again).tolist(), last]
        for begin, end in pairwise(cuts):
            yield group, begin, end


def _places(times_us: NDArray[np.int64], begins_us: Sequence[int]) -> NDArray[np.intp]:
    """The pairs that were taken just at one of these times, ascending as these are."""
    wanted = np.array(begins_us, dtype=np.int64)
    places = np.searchsorted(times_us, wanted)
    inside = places < len(times_us)
    found: NDArray[np.intp] = places[inside][times_us[places[inside]] == wanted[inside]]
    return found


def _changing(
    groups: Sequence[Group], pairs: int, key: Callable[[Group], object]
) -> Iterator[tuple[Group, int, int]]:
    """The first group, first and last (excluded) pair of each run of groups of equal *key*."""
    runs = [next(same) for _, same in groupby(groups, key)]
    for index, run in enumerate(runs):
        yield run, run.first, runs[index + 1].first if index + 1 < len(runs) else pairs


def _run_key(group: Group) -> object:
    """What is equal throughout a run of the trigger."""
    cards = [
        tuple(cube.cards.get(card) for card in RUN_CARDS) for cube in (group.cube1, group.cube2)
    ]
    return group.deinterleaved, cards


def _cutting_key(group: Group) -> object:
    """What is equal throughout an output; EXPTIME is part of it."""
    cards = [
        (cube.width, cube.height, tuple(cube.cards.get(card) for card in CUTTING_CARDS))
        for cube in (group.cube1, group.cube2)
    ]
    return group.deinterleaved, cards


def _max_frames(group: Group, limits: CubeLimits) -> int:
    """Frames that fit into an output, before deinterleaving, in the larger camera."""
    pixels = max(cube.width * cube.height for cube in (group.cube1, group.cube2))
    return max(limits.max_bytes // (pixels * _BYTES_PER_PIXEL), 1)


def _disagreements(groups: Sequence[Group]) -> Iterator[Report]:
    """Cards on which the two cameras of a pair differ, each combination once."""
    told: set[tuple[str, CardValue, CardValue]] = set()
    for group in groups:
        for card in SHARED_CARDS:
            said = (card, group.cube1.cards.get(card), group.cube2.cards.get(card))
            if said[1] != said[2] and said not in told:
                told.add(said)
                yield Report(
                    raw_file=group.cube1.raw_file,
                    text=f"{card} is {said[1]!r} in {group.cube1.path} "
                    f"but {said[2]!r} in {group.cube2.path}",
                )
