"""Tell the state of the ferroelectric liquid crystal from the acquisition times alone.

With the crystal on, the trigger lengthens every other interval by the jitter J and
shortens the others: T+J, T-J, T+J, ... The frame before a long interval is in state B,
the one before a short interval in state A. A missing frame flips the parity, so
intervals are first counted in triggers; frames whose distances can be counted form a
chain, and a chain as a whole decides which of its two parities is B. (Public source of
the jittered trigger: scexao-org/vampires_control.)

A wrong label is worse than none. A frame is dubious (D) where J is not well above the
noise of the run's intervals, where a chain's evidence does not reach a million to one,
and where evidence contradicts itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.science.intervals import (
    EVIDENCE,
    OUTLIER_SIGMAS,
    WINDOW,
    IntervalModel,
    Noise,
    Prior,
    believed_model,
    combined_noise,
    mean_period,
    misfit_limit,
    residual_noise,
    rough_model,
)
from vampd.science.pieces import Piece, pieces
from vampd.science.triggers import TriggerCount, chained, count_triggers

#: Shortest interval between two frames of one camera, from a first time to a last one.
Closest: TypeAlias = Callable[[int, int], int]
#: Noise of the intervals of frames of a run, the first to the last (excluded), by other knowledge.
NoiseOf: TypeAlias = Callable[[int, int], Noise | None]

STATE_A = -1
STATE_B = 1
DUBIOUS = 0

MINIMUM_FRAMES = 3  #: a shorter run shows no alternation

_NOWHERE = np.empty(0, dtype=np.intp)
# Intervals in a row that show T, which nothing else tells. Without a header's J it
# takes more: two intervals of which one lacks a frame alternate too, by half a period.
_ALTERNATION = 2
_ALTERNATION_ALONE = 4
_LARGE_JITTER = 0.25  # of a period
_STRANGE_SIGMAS = 5.0  # an interval of a short chain this far from J spoils it


class Finding(Struct, frozen=True, kw_only=True):
    """What was found out about a section of a run, for the operators."""

    frame: int  #: where the section begins
    frames: int
    period_us: float
    jitter_us: float
    noise_us: float
    dubious: int  #: frames that got no state
    contradicts_header: bool


class Labels(Struct, frozen=True, kw_only=True):
    """States of the frames of a run."""

    states: NDArray[np.int8]  #: (frames,) STATE_A, STATE_B or DUBIOUS
    follows: NDArray[np.bool_]  #: (frames,) the frame before is of the trigger before
    findings: tuple[Finding, ...]
    pieces: tuple[Piece, ...] = ()  #: the parts of the run that were judged one at a time


class _Known(Struct, frozen=True, kw_only=True):
    """What is known of a run besides its times."""

    jitter_us: int | None
    prior: Prior | None
    closest_us: Closest | None


def label_states(
    times_us: NDArray[np.int64],
    *,
    jitter_us: int | None,
    prior: NoiseOf | None = None,
    closest_us: Closest | None = None,
    parted_at: NDArray[np.intp] = _NOWHERE,
) -> Labels:
    """States of all frames of a run.

    *times_us* (frames,) are acquisition times in ascending order, of one camera or of
    pairs, over as many cubes as the run has. *jitter_us* is the header's J; None, or a
    value that the intervals contradict, is replaced by what they show. *prior* tells the
    noise of such intervals according to what came before or to the differences between the
    cameras; it serves runs too short to show their own. *closest_us* tells how close
    together any camera timed two frames between two times: of a few frames most may be
    missing, and the rest look like a longer period. *parted_at* are frames, ascending,
    whose interval from the one before is of no trigger: neither side proves anything of
    the other there.
    """
    states = np.zeros(len(times_us), dtype=np.int8)
    follows = np.zeros(len(times_us), dtype=np.bool_)
    findings: list[Finding] = []
    judged: list[Piece] = []
    for begin, end in _parts(len(times_us), parted_at):
        for piece in (piece.moved(begin) for piece in pieces(times_us[begin:end])):
            known = _Known(
                jitter_us=jitter_us,
                prior=None if prior is None else partial(prior, piece.low, piece.high),
                closest_us=closest_us,
            )
            inner = slice(piece.first - piece.low, piece.last - piece.low)
            found = _label_section(times_us[piece.low : piece.high], known)
            states[piece.first : piece.last] = found.states[inner]
            follows[piece.first : piece.last] = found.follows[inner]
            judged.append(piece)
            if end - begin >= min(WINDOW, len(times_us)):  # of shorter parts there may be thousands
                findings += [_of_piece(finding, found, piece) for finding in found.findings]
    # What is too short to be judged at the end of a run may be the beginning of more.
    left = judged[-1].last if judged else 0
    judged += [piece.moved(left) for piece in pieces(times_us[left:])]
    return Labels(states=states, follows=follows, findings=_merged(findings), pieces=tuple(judged))


def _of_piece(finding: Finding, found: Labels, piece: Piece) -> Finding:
    """What was found out about the frames of *piece*, without those that it was judged with."""
    states = found.states[piece.first - piece.low : piece.last - piece.low]
    return replace(
        finding,
        frame=piece.first,
        frames=len(states),
        dubious=int(np.count_nonzero(states == DUBIOUS)),
    )


def _merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding of pieces in a row of which the same would be told: that of the longest one."""
    merged: list[Finding] = []
    for contradicts, same in groupby(findings, lambda one: one.contradicts_header):
        group = list(same)
        longest = max(group, key=lambda one: one.frames)
        merged.append(
            replace(
                longest,
                frame=group[0].frame,
                frames=sum(one.frames for one in group),
                dubious=sum(one.dubious for one in group),
                contradicts_header=contradicts,
            )
        )
    return tuple(merged)


def _parts(frames: int, parted_at: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """First and last (excluded) frame of each part that is long enough to be judged."""
    inside = parted_at[(parted_at > 0) & (parted_at < frames)]
    edges = np.concatenate(([0], inside, [frames]))
    long = np.flatnonzero(np.diff(edges) >= MINIMUM_FRAMES)
    for part in long.tolist():
        yield int(edges[part]), int(edges[part + 1])


def _label_section(times_us: NDArray[np.int64], known: _Known) -> Labels:
    """States of frames that are not parted by a long gap."""
    frames = len(times_us)
    states = np.zeros(frames, dtype=np.int8)
    follows = np.zeros(frames, dtype=np.bool_)
    if frames < MINIMUM_FRAMES:
        return Labels(states=states, follows=follows, findings=())
    intervals = np.diff(times_us).astype(np.float64)
    rough, _ = rough_model(intervals, known.jitter_us, known.prior)
    count = count_triggers(intervals, rough)
    if rough.tells_states:
        count = _without_contradictions(count, rough)
    model, contradicts = _refined_model(count, rough, known)
    needed = _ALTERNATION if known.jitter_us and not contradicts else _ALTERNATION_ALONE
    if (
        model.tells_states
        and _longest_alternation(count) >= needed
        and not (needed == _ALTERNATION_ALONE and _may_be_losses(model, frames))
        and not _hides_triggers(times_us, model, known)
    ):
        states = _decided(count, model)
    follows[1:] = count.triggers == 1
    finding = Finding(
        frame=0,
        frames=frames,
        period_us=model.period_us,
        jitter_us=model.jitter_us,
        noise_us=model.sigma_us,
        dubious=int(np.count_nonzero(states == DUBIOUS)),
        contradicts_header=contradicts,
    )
    labels = Labels(states=states, follows=follows, findings=(finding,))
    _label_rest(times_us, labels, model, known)
    return labels


def _hides_triggers(times_us: NDArray[np.int64], model: IntervalModel, known: _Known) -> bool:
    """Whether a few frames are what is left of a run with a shorter period."""
    if known.closest_us is None or len(times_us) >= WINDOW:
        return False
    shortest_us = model.period_us - model.jitter_us - misfit_limit(model)
    return known.closest_us(int(times_us[0]), int(times_us[-1])) < shortest_us


def _may_be_losses(model: IntervalModel, frames: int) -> bool:
    """Whether a few frames of which every third is missing alternate like this.

    Such intervals are T, 2T, T, 2T, ...: nothing but the header's J tells them from a large jitter.
    """
    return frames < 2 * WINDOW and model.jitter_us > _LARGE_JITTER * model.period_us


def _longest_alternation(count: TriggerCount) -> int:
    """Most intervals of one trigger in a row that alternate as they should."""
    broken = np.flatnonzero(~(count.telling & (count.triggers == 1)))
    return int(np.max(np.diff(broken, prepend=-1, append=len(count.telling)))) - 1


def _label_rest(
    times_us: NDArray[np.int64],
    labels: Labels,
    model: IntervalModel,
    known: _Known,
) -> None:
    """Judge stretches without states again on their own: their period may be another."""
    undecided = np.concatenate(([False], labels.states == DUBIOUS, [False]))
    edges = np.flatnonzero(np.diff(undecided.astype(np.int8))).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if not WINDOW <= last - first < len(times_us):
            continue
        period_us = mean_period(np.diff(times_us[first:last]).astype(np.float64))
        if abs(period_us - model.period_us) <= misfit_limit(model):
            continue
        found = _label_section(times_us[first:last], known)
        labels.states[first:last] = found.states
        labels.follows[first + 1 : last] = found.follows[1:]


def _refined_model(
    count: TriggerCount, rough: IntervalModel, known: _Known
) -> tuple[IntervalModel, bool]:
    """Jitter and noise from what the chains leave when their alternation is taken out."""
    evidence = _evidence(count, rough)
    several = evidence.intervals >= 2
    intervals = int(evidence.intervals[several].sum())
    if intervals < 2:
        return rough, False
    shown_us = float(np.abs(evidence.total_us[several]).sum()) / intervals
    model, contradicts = believed_model(
        rough.period_us, shown_us, intervals, known.jitter_us, rough.noise
    )
    sign = (np.sign(evidence.total_us) * several)[count.chain[:-1]]
    used = count.telling & (sign != 0)
    left = (count.misfit_us - model.jitter_us * sign * _parity(count.place[:-1]))[used]
    own = residual_noise(left, jitter_fitted=model.jitter_us == shown_us)
    return replace(model, noise=combined_noise(own, known.prior)), contradicts


class _Evidence(Struct, frozen=True, kw_only=True):
    """What the telling intervals of each group add up to."""

    intervals: NDArray[np.int64]  #: (groups,)
    total_us: NDArray[np.float64]  #: (groups,) positive where frames of even place are B


def _parity(place: NDArray[np.int64]) -> NDArray[np.int64]:
    return 1 - 2 * (place & 1)


def _votes(count: TriggerCount, model: IntervalModel) -> NDArray[np.float64]:
    """Misfits turned so that all of a chain should be equal: J where even places are B."""
    limit_us = model.jitter_us + OUTLIER_SIGMAS * min(model.cautious_sigma_us, model.jitter_us)
    votes: NDArray[np.float64] = np.where(
        count.telling,
        np.clip(count.misfit_us, -limit_us, limit_us) * _parity(count.place[:-1]),
        0.0,
    )
    return votes


def _evidence(count: TriggerCount, model: IntervalModel) -> _Evidence:
    return _summed(count.chain[:-1], count, model)


def _summed(group: NDArray[np.int64], count: TriggerCount, model: IntervalModel) -> _Evidence:
    """Evidence of each *group* (intervals,)."""
    groups = max(int(group.max()), int(count.chain[-1])) + 1
    total = np.bincount(group, weights=_votes(count, model), minlength=groups)
    return _Evidence(
        intervals=np.bincount(group[count.telling], minlength=groups).astype(np.int64),
        total_us=total.astype(np.float64),
    )


def _log_odds(
    total_us: NDArray[np.float64], intervals: NDArray[np.int64], model: IntervalModel
) -> NDArray[np.float64]:
    """Log of the odds that even places are B.

    Neighbouring intervals share a time, and turned like this its noise adds up: the
    variance of the sum of n is 2 n - 1 times that of one.
    """
    variance = (
        model.cautious_sigma_us**2 * np.maximum(2 * intervals - 1, 1) / np.maximum(intervals, 1)
    )
    odds: NDArray[np.float64] = 2 * total_us * model.jitter_us / variance
    return odds


def _decided(count: TriggerCount, model: IntervalModel) -> NDArray[np.int8]:
    """States of all frames: each chain has the parity that its evidence demands.

    A short chain must suit its verdict throughout: one time that is off can turn it.
    """
    evidence = _evidence(count, model)
    odds = _log_odds(evidence.total_us, evidence.intervals, model)
    sign = np.where(np.abs(odds) >= EVIDENCE, np.sign(odds), 0)
    chain = count.chain[:-1]
    strange_us = np.abs(_votes(count, model) * sign[chain] - model.jitter_us) * count.telling
    strange = strange_us > _STRANGE_SIGMAS * model.cautious_sigma_us
    spoilt = np.bincount(chain[strange], minlength=len(sign)) > 0
    sign[spoilt & (evidence.intervals < 2 * WINDOW)] = 0
    states: NDArray[np.int8] = (sign[count.chain] * _parity(count.place)).astype(np.int8)
    return states


def _without_contradictions(count: TriggerCount, model: IntervalModel) -> TriggerCount:
    """Cut chains where their evidence changes sides: there the count must be wrong."""
    triggers = count.triggers.copy()
    votes, telling = _votes(count, model), np.flatnonzero(count.telling)
    _cut_turns(votes[telling], telling, count.chain[telling], model, triggers)
    _cut_odd_stretches(count, model, triggers)
    if np.array_equal(triggers, count.triggers):
        return count
    return chained(count.misfit_us, triggers, count.telling)


def _cut_turns(
    votes: NDArray[np.float64],
    interval: NDArray[np.intp],
    chain: NDArray[np.int64],
    model: IntervalModel,
    triggers: NDArray[np.int64],
) -> None:
    """Cut, in place, between windows of one chain that plainly say the opposite."""
    if len(votes) < 2 * WINDOW:
        return
    sums = np.convolve(votes, np.ones(WINDOW), mode="valid")
    odds = _log_odds(sums, np.full(len(sums), WINDOW), model)
    whole = chain[: len(sums)] == chain[WINDOW - 1 :]
    plain = np.flatnonzero((np.abs(odds) >= EVIDENCE) & whole)
    side = np.sign(odds[plain])
    turns = np.flatnonzero((side[1:] != side[:-1]) & (chain[plain[1:]] == chain[plain[:-1]]))
    for turn in turns.tolist():
        first = interval[plain[turn]]
        last = interval[plain[turn + 1] + WINDOW - 1]
        triggers[first : last + 1] = 0


def _cut_odd_stretches(
    count: TriggerCount, model: IntervalModel, triggers: NDArray[np.int64]
) -> None:
    """Cut off, in place, stretches without a missing frame that contradict their chain.

    A long one may decide for itself, a short one is dubious.
    """
    parted = count.triggers != 1
    links = np.flatnonzero(parted)
    stretch = np.cumsum(parted)
    evidence = _summed(stretch, count, model)
    odds = _log_odds(evidence.total_us, evidence.intervals, model)
    of_chain = np.sign(_evidence(count, model).total_us)[count.chain[:-1]]
    contradicts = (odds[stretch] * of_chain <= -EVIDENCE) & ~parted
    odd = np.unique(stretch[contradicts])
    triggers[links[odd[odd > 0] - 1]] = 0
    triggers[links[odd[odd < len(links)]]] = 0
    triggers[contradicts & (evidence.intervals[stretch] < 2 * WINDOW)] = 0
