"""Count the triggers between frames, so that a missing frame flips the parity."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.science.intervals import EVIDENCE, IntervalModel, bounded_sigma, misfit_limit

_COUNTABLE_TRIGGERS = 32  # over longer gaps the count rests on too little
_CLOCK_ERROR = 5e-6  # of an interval: the trigger's clock against the host's
_DISPLACED_SIGMAS = 3.0


class TriggerCount(Struct, frozen=True, kw_only=True):
    """Intervals counted in triggers."""

    triggers: NDArray[np.int64]  #: (intervals,); 0 where they cannot be counted
    misfit_us: NDArray[np.float64]  #: (intervals,) interval less n T
    telling: NDArray[np.bool_]  #: (intervals,) odd, and between two sound times
    place: NDArray[np.int64]  #: (frames,) trigger number, from the section's first
    chain: NDArray[np.int64]  #: (frames,) which chain


def count_triggers(intervals: NDArray[np.float64], model: IntervalModel) -> TriggerCount:
    """Count the triggers of each interval, with the help of its neighbours."""
    triggers = _nearest_triggers(intervals, model)
    _count_by_neighbours(intervals, model, triggers)
    misfit = intervals - triggers * model.period_us
    _cut_off_displaced(misfit, model, triggers)
    sound = np.abs(np.abs(misfit) - model.jitter_us) <= misfit_limit(model)
    return chained(misfit, triggers, (triggers % 2 == 1) & sound)


def _cut_off_displaced(
    misfit_us: NDArray[np.float64], model: IntervalModel, triggers: NDArray[np.int64]
) -> None:
    """Cut off, in place, frames beside a gap whose time is off.

    One interval is then too long by what the next is too short, and the lost trigger may
    have been on either side of the frame.
    """
    odd = triggers % 2 == 1
    residual = misfit_us - np.where(odd, np.sign(misfit_us) * model.jitter_us, 0.0)
    opposite = residual[:-1] * residual[1:] < 0
    smaller = np.minimum(np.abs(residual[:-1]), np.abs(residual[1:]))
    counted = (triggers[:-1] > 0) & (triggers[1:] > 0) & (triggers[:-1] + triggers[1:] > 2)
    limit_us = _DISPLACED_SIGMAS * bounded_sigma(model) + 1
    displaced = np.flatnonzero(counted & opposite & (smaller > limit_us))
    triggers[displaced] = 0
    triggers[displaced + 1] = 0


def chained(
    misfit_us: NDArray[np.float64], triggers: NDArray[np.int64], telling: NDArray[np.bool_]
) -> TriggerCount:
    """Place the frames by their trigger numbers; a chain ends where these are unknown."""
    start = np.zeros(1, dtype=np.int64)
    return TriggerCount(
        triggers=triggers,
        misfit_us=misfit_us,
        telling=telling & (triggers > 0),
        place=np.concatenate((start, np.cumsum(triggers))),
        chain=np.concatenate((start, np.cumsum(triggers == 0))),
    )


def _nearest_triggers(intervals: NDArray[np.float64], model: IntervalModel) -> NDArray[np.int64]:
    """The one number of triggers that explains each interval; 0 where none or two do.

    J is no more than half a period, so only the two nearest multiples come into question.
    """
    periods = np.rint(intervals / model.period_us)
    misfit = intervals - periods * model.period_us
    other = periods + np.sign(misfit)
    near = np.abs(misfit)
    far = model.period_us - near
    odd = periods % 2 == 1
    near = np.where(odd, np.abs(near - model.jitter_us), near)
    far = np.where(odd, far, np.abs(far - model.jitter_us))
    counted = np.where(near <= far, periods, other)
    clock = model.period_us * _CLOCK_ERROR + model.sigma_us / float(np.sqrt(len(intervals)))
    limit = misfit_limit(model) + clock * counted
    odds = np.abs(far**2 - near**2) / (2 * (bounded_sigma(model) ** 2 + clock**2))
    good = (np.minimum(near, far) <= limit) & (odds >= EVIDENCE)
    good &= (counted >= 1) & (counted <= _COUNTABLE_TRIGGERS)
    return np.where(good, counted, 0).astype(np.int64)


def _count_by_neighbours(
    intervals: NDArray[np.float64], model: IntervalModel, triggers: NDArray[np.int64]
) -> None:
    """Count, in place, what a frame whose time is off leaves doubtful on both its sides.

    Two intervals that together take two triggers take one each. An interval shorter
    than any has one false end. Where either end could be the false one, or neither can
    be put right, both frames are cut off. Where noise reaches half way from a long interval
    to two triggers, neighbours prove nothing: rather no label than a wrong one.
    """
    limit_us = misfit_limit(model)
    if model.period_us - model.jitter_us < 2 * limit_us:
        return
    pair_fits = np.abs(intervals[:-1] + intervals[1:] - 2 * model.period_us) <= limit_us
    short = intervals < model.period_us - model.jitter_us - limit_us
    left_fits = np.concatenate(([False], pair_fits))
    right_fits = np.concatenate((pair_fits, [False]))
    mended = short & (left_fits ^ right_fits)
    hopeless = np.flatnonzero(short & ~mended)
    triggers[(triggers == 0) & (left_fits | right_fits)] = 1
    for interval, beside in ((mended & left_fits, -1), (mended & right_fits, 1)):
        triggers[np.flatnonzero(interval) + beside] = 1
    for near in (-1, 0, 1):
        triggers[np.clip(hopeless + near, 0, len(triggers) - 1)] = 0
