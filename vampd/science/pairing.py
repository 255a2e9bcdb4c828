"""Match the frames of the two cameras that belong to the same trigger pulse.

Both cameras are fired by one trigger; the framegrabbers' times of one exposure differ
by a static offset and noise. Where the trigger's period is hardly longer than the
tolerance, two or three frames of the other camera lie within it, and the nearest in
time need not be the right one. So the offset is found first, from all frames at once,
and frames are then matched within half the shortest period around it.

A shift by one pulse can leave no trace in a run without jitter. Such a run follows
the offset that most of the night's frames share: it is a property of the readout mode,
not of the period (`shared_offset`).

All answers are symmetric: swapping the cameras swaps them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

# A tenth of all intervals may be glitches, and nearly all may be lengthened by lost
# frames, before this quantile is no longer the shortest period (with the FLC on every
# other interval is short).
_SHORTEST_QUANTILE = 0.1
_FRAMES_TO_SEE_PERIOD = 8
_STARTS_PER_PERIOD = 4  # an attempt from within a quarter period finds its optimum
_REFINEMENTS = 4
_SAMPLE = 4_096  # frames from which the candidates are found; they are judged on all
_NEVER_US = np.iinfo(np.int64).max
_MINIMUM_SPREAD_US = 0.5  # times are whole microseconds
# A wrong hypothesis is dropped without asking the rest of the night when it matches
# less than this part of the best one's frames...
_FEW_MATCHES = 0.8
MATCHES_TO_JUDGE = 16
# ...or when its residuals are wider by more than chance allows: log-likelihoods of n
# frames differ by sqrt(n) by chance alone.
_LIKELIHOOD_MARGIN = 12.0
_LIKELIHOOD_SIGMAS = 5.0
_UNMATCHED_COST = 3.0  # log-likelihood: lost frames are of the order of one in twenty or fewer
_CHANCE_SIGMAS = 3.0
# Offsets of several runs are the same when they differ by less than this: more than a
# single pair's noise, less than any period that leaves two hypotheses.
_REACH_US = 100.0
_HINT = 2.0  # log-likelihood: less than one frame at the end of a run
_HINT_REACH_US = 40.0
_GRID_US = 8.0


class Hypothesis(Struct, frozen=True, kw_only=True):
    """One way in which the frames of a run may belong together."""

    offset_us: int  #: camera 2's time of an exposure less camera 1's
    matches: int  #: frames matched with it
    spread_us: float  #: standard deviation of the frames around it
    first_us: int  #: sum of the first pair's times: settles what is otherwise equal
    period_us: int  #: shortest period of the run; the tolerance where there is none


def match(
    t1_us: NDArray[np.int64],
    t2_us: NDArray[np.int64],
    *,
    hypothesis: Hypothesis,
    tolerance_us: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of frames that are each other's nearest under *hypothesis*.

    They differ from its offset by no more than half the shortest period, and from each
    other by no more than *tolerance_us*. Where another frame of either camera does so
    too, one of the two is false; nobody can tell which, so neither is paired.
    """
    window_us = hypothesis.period_us // 2
    offset_us = hypothesis.offset_us
    one, two = _mutual_nearest(t1_us, t2_us, offset_us, window_us, tolerance_us)
    low_us = max(offset_us - window_us, -tolerance_us)
    high_us = min(offset_us + window_us, tolerance_us)
    rivals = _within(t2_us, t1_us[one] + low_us, t1_us[one] + high_us) > 1
    rivals |= _within(t1_us, t2_us[two] - high_us, t2_us[two] - low_us) > 1
    return one[~rivals], two[~rivals]


def _within(
    times_us: NDArray[np.int64], low_us: NDArray[np.int64], high_us: NDArray[np.int64]
) -> NDArray[np.intp]:
    """How many of the ascending *times_us* lie between each *low_us* and *high_us*.

    All these spans are equally long. Most runs need no search: no two times are so near.
    """
    if not len(low_us) or np.min(np.diff(times_us), initial=_NEVER_US) > high_us[0] - low_us[0]:
        return np.ones(len(low_us), dtype=np.intp)
    return np.searchsorted(times_us, high_us, side="right") - np.searchsorted(times_us, low_us)


def offset_hypotheses(
    t1_us: NDArray[np.int64], t2_us: NDArray[np.int64], *, tolerance_us: int
) -> tuple[Hypothesis, ...]:
    """The offsets that a run leaves possible, the best one first.

    Empty where no two frames lie within the tolerance.
    """
    if not len(t1_us) or not len(t2_us):
        return ()
    period_us = _run_period(t1_us, t2_us, tolerance_us)
    judges = _sample(t1_us, t2_us, tolerance_us)
    offsets = _optima(*judges, period_us, tolerance_us)
    if len(offsets) != 1:
        judges = t1_us, t2_us
        offsets = offsets or _optima(*judges, period_us, tolerance_us)
    judged = [_judged(*judges, offset, period_us, tolerance_us) for offset in offsets]
    return tuple(_possible(_ranked(judged), period_us))


def choose(candidates: Sequence[Hypothesis], shared_us: int | None) -> Hypothesis | None:
    """The hypothesis nearest to the offset that the night shares; the best where it shares none.

    None where there are none, and where a few frames lie within the tolerance by chance:
    half a period and more from the shared offset they belong to different pulses.
    """
    if not candidates or shared_us is None:
        return candidates[0] if candidates else None
    nearest = min(candidates, key=lambda found: abs(found.offset_us - shared_us))
    astray = abs(nearest.offset_us - shared_us) > nearest.period_us // 2
    return None if astray and nearest.matches < MATCHES_TO_JUDGE else nearest


def shared_offset(
    runs: Sequence[Sequence[Hypothesis]], *, hint_us: int | None = None
) -> int | None:
    """The offset that most frames of several runs of one readout mode share.

    Each run votes for all offsets that it leaves possible, with what supports them; so
    even runs of which none can tell alone can tell together when their periods differ.
    Votes that are nearly equal are decided by *hint_us*, the offset of other modes.
    None where there are no runs.
    """
    votes = [found for run in runs for found in run]
    if not votes:
        return None
    offsets = np.array([found.offset_us for found in votes], dtype=np.float64)
    weights = np.array([weight for run in runs for weight in _evidence(run)])
    reach = np.array([min(found.period_us / 8, _REACH_US) for found in votes]) + _GRID_US
    run_of = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    places = np.unique(np.round(offsets / _GRID_US)) * _GRID_US
    totals = np.array(
        [_support(np.abs(offsets - place) <= reach, weights, run_of, len(runs)) for place in places]
    )
    if hint_us is not None:
        totals[np.abs(places - hint_us) <= _HINT_REACH_US] += _HINT
    order = np.lexsort((np.abs(places), -np.round(totals, 3)))
    near = np.abs(offsets - places[order[0]]) <= reach
    return round(float(np.average(offsets[near], weights=np.maximum(weights[near], 1.0))))


def shortest_period(times_us: NDArray[np.int64]) -> int:
    """The shortest period of a run of two frames or more, microseconds, glitches apart."""
    intervals = np.diff(times_us)
    # Not the very shortest one: a single time that is off shortens an interval.
    place = min(max(int(_SHORTEST_QUANTILE * len(intervals)), 1), len(intervals) - 1)
    return int(np.partition(intervals, place)[place])


def _run_period(t1_us: NDArray[np.int64], t2_us: NDArray[np.int64], tolerance_us: int) -> int:
    """Shortest period seen by either camera, where there are frames enough to see it.

    Else, the lost ones may hide it. The tolerance is the detector's readout time, and
    nothing can be triggered faster than that.
    """
    seen = [
        shortest_period(times_us)
        for times_us in (t1_us, t2_us)
        if len(times_us) >= _FRAMES_TO_SEE_PERIOD
    ]
    return min((period for period in seen if period > 0), default=tolerance_us)


def _support(
    agrees: NDArray[np.bool_], weights: NDArray[np.float64], run_of: NDArray[np.intp], runs: int
) -> float:
    """What supports an offset, each run counted once."""
    best = np.zeros(runs)
    np.maximum.at(best, run_of[agrees], weights[agrees])
    return float(best.sum())


def _optima(
    t1_us: NDArray[np.int64], t2_us: NDArray[np.int64], period_us: int, tolerance_us: int
) -> set[int]:
    """All offsets to which matching and averaging in turn can lead."""
    if not len(t1_us) or not len(t2_us):
        return set()
    refined = {
        _refined(t1_us, t2_us, start, period_us, tolerance_us)
        for start in _starts(period_us, tolerance_us).tolist()
    }
    return {offset for offset in refined if offset is not None}


def _starts(period_us: int, tolerance_us: int) -> NDArray[np.int64]:
    """Offsets from which to look for optima, symmetric about zero."""
    if period_us > 2 * tolerance_us:
        return np.zeros(1, dtype=np.int64)
    steps = int(np.ceil(tolerance_us * _STARTS_PER_PERIOD / max(period_us, 1)))
    return np.rint(np.linspace(-tolerance_us, tolerance_us, 2 * min(steps, 64) + 1)).astype(
        np.int64
    )


def _sample(
    t1_us: NDArray[np.int64], t2_us: NDArray[np.int64], tolerance_us: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The frames of a stretch of time in which both cameras ran."""
    since = max(t1_us[0], t2_us[0]) - tolerance_us
    first1, first2 = np.searchsorted(t1_us, since), np.searchsorted(t2_us, since)
    last1, last2 = first1 + _SAMPLE, first2 + _SAMPLE
    return t1_us[first1:last1], t2_us[first2:last2]


def _refined(
    t1_us: NDArray[np.int64],
    t2_us: NDArray[np.int64],
    start_us: int,
    period_us: int,
    tolerance_us: int,
) -> int | None:
    """The offset to which the frames matched around *start_us* lead; None where none match.

    Frames a little out of tolerance count here: without them the mean would be drawn inwards.
    """
    offset_us = start_us
    for _ in range(_REFINEMENTS):
        one, two = _mutual_nearest(t1_us, t2_us, offset_us, period_us // 2, 2 * tolerance_us)
        if not len(one):
            return None
        # Half to even rounds both signs alike, so that swapped cameras swap the answer.
        refined_us = round(float(np.mean(t2_us[two] - t1_us[one])))
        if refined_us == offset_us:
            break
        offset_us = refined_us
    return offset_us


def _judged(
    t1_us: NDArray[np.int64],
    t2_us: NDArray[np.int64],
    offset_us: int,
    period_us: int,
    tolerance_us: int,
) -> Hypothesis:
    """How well *offset_us* explains a run.

    The spread is that of all frames near it: of a wrong offset the tolerance often lets
    through only the part of the noise that suits it.
    """
    one, two = _mutual_nearest(t1_us, t2_us, offset_us, period_us // 2, 2 * tolerance_us)
    differences = t2_us[two] - t1_us[one]
    matched = np.flatnonzero(np.abs(differences) <= tolerance_us)
    return Hypothesis(
        offset_us=offset_us,
        matches=len(matched),
        spread_us=_spread(differences),
        first_us=int(t1_us[one[matched[0]]] + t2_us[two[matched[0]]]) if len(matched) else 0,
        period_us=period_us,
    )


def _spread(differences_us: NDArray[np.int64]) -> float:
    """Standard deviation, with times that are off drawn in to where the others end.

    They are told by the width that four fifths of the frames take, and not by a median
    deviation, which would see but one of the two peaks that a wrong offset makes of
    the jitter.
    """
    if not len(differences_us):
        return _MINIMUM_SPREAD_US
    low_us, high_us = np.quantile(differences_us, (0.1, 0.9))
    width_us = high_us - low_us + 1
    drawn_in = np.clip(differences_us, low_us - width_us, high_us + width_us)
    return max(float(np.std(drawn_in)), _MINIMUM_SPREAD_US)


def _ranked(judged: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Those that match anything, the best supported first."""
    found = [one for one in judged if one.matches]
    weight = dict(zip(found, _evidence(found), strict=True))
    return sorted(found, key=lambda one: (-weight[one], abs(one.offset_us), one.first_us))


def _evidence(run: Sequence[Hypothesis]) -> list[float]:
    """How well the hypotheses of one run are supported, in units of log-likelihood.

    A frame left without partner costs as much as a rare event. Of a wider spread only
    what exceeds chance counts, and only against hypotheses that match as many frames.
    """
    most = max((found.matches for found in run), default=0)
    least_us = min(
        (found.spread_us for found in run if found.matches >= _FEW_MATCHES * most), default=0.0
    )
    return [_UNMATCHED_COST * found.matches - _excess(found, least_us) for found in run]


def _excess(found: Hypothesis, least_us: float) -> float:
    """What a spread wider than *least_us* says against a hypothesis, chance taken off."""
    likelihood = found.matches * float(np.log(found.spread_us / least_us))
    return max(0.0, likelihood - _CHANCE_SIGMAS * float(np.sqrt(found.matches)))


def _possible(ranked: Sequence[Hypothesis], period_us: int) -> list[Hypothesis]:
    """Without doubles of a better hypothesis, and without what the run itself refutes."""
    distinct: list[Hypothesis] = []
    for found in ranked:
        if all(abs(found.offset_us - other.offset_us) > period_us // 4 for other in distinct):
            distinct.append(found)
    # Numbers first: the few frames that a wrong offset matches can lie close together.
    most = max((found.matches for found in distinct), default=0)
    if most < MATCHES_TO_JUDGE:
        return distinct
    many = [found for found in distinct if found.matches >= _FEW_MATCHES * most]
    return [found for found in many if not any(_narrower(other, found) for other in many)]


def _narrower(better: Hypothesis, worse: Hypothesis) -> bool:
    """Whether the residuals of *worse* are wider than those of *better* beyond chance."""
    frames = min(better.matches, worse.matches)
    likelihood = frames * float(np.log(worse.spread_us / better.spread_us))
    return likelihood > _LIKELIHOOD_MARGIN + _LIKELIHOOD_SIGMAS * float(np.sqrt(frames))


def _mutual_nearest(
    t1_us: NDArray[np.int64],
    t2_us: NDArray[np.int64],
    offset_us: int,
    window_us: int,
    tolerance_us: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Frames that are each other's nearest once camera 1 is moved by *offset_us*.

    Of equally near frames the earlier one counts. Nearest neighbours in ascending times
    ascend, so the pairs are in order and one to one.
    """
    moved = t1_us + offset_us
    after = np.searchsorted(t2_us, moved)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(t2_us) - 1)
    nearest = np.where(np.abs(moved - t2_us[before]) <= np.abs(t2_us[after] - moved), before, after)
    times = t2_us[nearest]
    distance = np.abs(times - moved)
    good = (distance <= window_us) & (np.abs(times - t1_us) <= tolerance_us)
    # The neighbours decide whether the choice is mutual: times ascend.
    good[1:] &= np.abs(times[1:] - moved[:-1]) > distance[1:]
    good[:-1] &= np.abs(times[:-1] - moved[1:]) >= distance[:-1]
    one = np.flatnonzero(good)
    return one, nearest[one]
