"""What the intervals of a jittered trigger show: their period, their jitter, their noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.science.pieces import sections

JITTER_OVER_NOISE = 3.0  #: below this ratio the intervals do not tell the states apart
EVIDENCE = 14.0  #: log of the odds of what counts as certain, a million to one
WINDOW = 8  #: intervals that suffice to see a run contradict itself or its header
OUTLIER_SIGMAS = 4.5
_ROUNDING_VARIANCE_US2 = 1 / 6  #: of the difference of two times in whole microseconds

# A fifth of the sums of two intervals may be shortened by glitches and the rest
# lengthened by lost frames before this quantile is no longer two periods.
_PERIOD_QUANTILE = 0.2
_SUM_AGREES = 0.15
_SINGLE_PERIODS = 0.75  # an interval within T(1 +- this) is one trigger: J is at most T/2
_MISFIT_SIGMAS = 6.0
_MISFIT_ROUNDING_US = 2.0
_MANY = 16  # intervals from which J is better known than from the header
_PRIOR_DEGREES = 20.0  # what other runs say weighs no more than this, and nothing beside more
# A run whose variance is so many times what others see is one in a thousand by chance:
# 11 with one degree of freedom, 4 with eight.
_NOISIER = 3.0
_NOISIER_FEW = 8.0
_JITTER_AGREES = 0.3  # of the header's J: a value this near is the header's
_LEAST_DEGREES = 2.0  # one residual is small by chance too often
_DOUBT_SIGMAS = 1.5


class Noise(Struct, frozen=True, kw_only=True):
    """Variance of the intervals of a run, and how well it is known."""

    variance_us2: float
    degrees: float  #: of freedom


#: What is known of the noise of a few intervals besides themselves, found out when it is asked for.
Prior: TypeAlias = Callable[[], Noise | None]


class IntervalModel(Struct, frozen=True, kw_only=True):
    """What the intervals of a section are taken to be: n T, and +-J where n is odd."""

    period_us: float
    jitter_us: float
    noise: Noise

    @property
    def sigma_us(self) -> float:
        """Standard deviation of an interval."""
        return float(np.sqrt(self.noise.variance_us2))

    @property
    def cautious_sigma_us(self) -> float:
        """Noise that the true one hardly exceeds, however few frames it was taken from."""
        if self.noise.degrees <= 0:
            return float("inf")
        return self.sigma_us * (1 + 2 / float(np.sqrt(self.noise.degrees)))

    @property
    def tells_states(self) -> bool:
        """Whether J is well above the noise, within the errors of both.

        Certainty of each label is another matter, and not judged by this.
        """
        doubt = _DOUBT_SIGMAS / float(np.sqrt(max(self.noise.degrees, 1)))
        limit_us = JITTER_OVER_NOISE * self.sigma_us
        return (
            self.noise.degrees >= _LEAST_DEGREES
            and self.jitter_us * (1 + min(doubt, 1 / 2)) >= limit_us
        )


def interval_noise(times_us: NDArray[np.int64]) -> Noise | None:
    """Noise of the intervals of a run, whether its trigger is jittered or not.

    From intervals two apart: they are equally long, so that neither T nor J matter.
    None for runs without three whole intervals in a row.
    """
    pooled = [
        _noise_shown(intervals, mean_period(intervals))
        for first, last in sections(times_us)
        if len(intervals := np.diff(times_us[first:last]).astype(np.float64)) >= 3
    ]
    return _pooled([noise for noise in pooled if noise.degrees > 0])


def difference_noise(differences_us: NDArray[np.int64]) -> Noise | None:
    """Noise of the intervals between pair means, from the *differences_us* of the cameras.

    The noise of the two cameras is independent, so the mean of a pair has a quarter of
    the variance of their difference, and an interval of means half of it.
    """
    if len(differences_us) < 2:
        return None
    variance = _clipped_variance(differences_us - np.median(differences_us), 1)
    # A few differences can be equal by chance.
    variance += _ROUNDING_VARIANCE_US2
    return Noise(variance_us2=variance / 2, degrees=len(differences_us) - 1)


def _pooled(measured: Sequence[Noise]) -> Noise | None:
    """One noise from several measurements of it."""
    degrees = sum(noise.degrees for noise in measured)
    if degrees <= 0:
        return None
    variance = sum(noise.variance_us2 * noise.degrees for noise in measured) / degrees
    return Noise(variance_us2=variance, degrees=degrees)


def rough_model(
    intervals: NDArray[np.float64], jitter_us: int | None, prior: Prior | None
) -> tuple[IntervalModel, bool]:
    """Period, jitter and noise before anything is counted."""
    period_us = mean_period(intervals)
    noise = combined_noise(_noise_shown(intervals, period_us), prior)
    single = _is_single(intervals, period_us)
    shown_us = _alternation(intervals, single)
    return believed_model(period_us, shown_us, int(single.sum()), jitter_us, noise)


def believed_model(
    period_us: float, shown_us: float, intervals: int, jitter_us: int | None, noise: Noise
) -> tuple[IntervalModel, bool]:
    """The model with the jitter that is to be believed, and whether the header's is not."""
    if not jitter_us or jitter_us < 0:
        believed_us, contradicts = shown_us, False
    else:
        error_us = 3 * float(np.sqrt(2 * noise.variance_us2 / max(intervals, 1)))
        contradicts = (
            intervals >= WINDOW
            and abs(shown_us - jitter_us) > _JITTER_AGREES * jitter_us + error_us
        )
        believed_us = shown_us if contradicts or intervals >= _MANY else float(jitter_us)
    return IntervalModel(period_us=period_us, jitter_us=believed_us, noise=noise), contradicts


def mean_period(intervals: NDArray[np.float64]) -> float:
    """Mean period T: half of what two intervals in a row usually take; J cancels."""
    if len(intervals) < 2:
        return float(intervals[0]) if len(intervals) else 0.0
    sums = intervals[:-1] + intervals[1:]
    typical = float(np.quantile(sums, _PERIOD_QUANTILE, method="lower"))
    # A lost frame makes a sum a quarter longer at least, where J is half a period.
    sums = sums[np.abs(sums - typical) <= _SUM_AGREES * typical]
    deviation = np.abs(sums - np.median(sums))
    limit = OUTLIER_SIGMAS * 1.4826 * float(np.median(deviation)) + 1
    sums = sums[deviation <= limit]
    return float(np.mean(sums)) / 2


def _is_single(intervals: NDArray[np.float64], period_us: float) -> NDArray[np.bool_]:
    single: NDArray[np.bool_] = np.abs(intervals - period_us) < _SINGLE_PERIODS * period_us
    return single


def _noise_shown(intervals: NDArray[np.float64], period_us: float) -> Noise:
    """Noise according to intervals two apart, of which the first and last are equal."""
    single = _is_single(intervals, period_us)
    whole = single[:-2] & single[1:-1] & single[2:]
    apart = (intervals[:-2] - intervals[2:])[whole]
    if not len(apart):
        return Noise(variance_us2=0.0, degrees=0)
    # Each time enters up to four differences: half of them are independent.
    variance = _clipped_variance(apart, 0) / 2 + _ROUNDING_VARIANCE_US2
    return Noise(variance_us2=variance, degrees=len(apart) / 2)


def residual_noise(left_us: NDArray[np.float64], *, jitter_fitted: bool) -> Noise:
    """Noise from what is left of alternating intervals without their period and jitter.

    Neighbouring intervals share a time: the period takes 1/n of a degree of freedom out
    of their squares, a jitter taken from them nearly two.
    """
    intervals = len(left_us)
    degrees = max(intervals - (2 if jitter_fitted else 1), 0)
    if not degrees:
        return Noise(variance_us2=0.0, degrees=0)
    taken = 2.0 if jitter_fitted else 1 / intervals
    variance = _clipped_variance(left_us, taken) + _ROUNDING_VARIANCE_US2
    return Noise(variance_us2=variance, degrees=degrees)


def _clipped_variance(values: NDArray[np.float64], fitted: float) -> float:
    """Variance about zero, without glitches, *fitted* parameters taken off.

    Not from the median deviation: its factor is one of a Gaussian, and off by a third
    for the detector's uniform noise.
    """
    squares = np.square(values, dtype=np.float64)
    if len(values) >= _MANY:
        limit = (OUTLIER_SIGMAS * 1.4826) ** 2 * float(np.median(squares))
        squares = squares[squares <= limit + 1]
    return float(squares.sum()) / max(len(squares) - fitted, 1)


def typical_noise(measured: Sequence[Noise]) -> Noise | None:
    """The noise that most of several runs show: their median, by degrees of freedom.

    Not the mean: a short run whose period was mistaken seems noisier without limit.
    """
    known = sorted(
        (noise for noise in measured if noise.degrees > 0), key=lambda noise: noise.variance_us2
    )
    if not known:
        return None
    degrees = np.cumsum([noise.degrees for noise in known])
    middle = known[int(np.searchsorted(degrees, degrees[-1] / 2))]
    return Noise(variance_us2=middle.variance_us2, degrees=float(degrees[-1]))


def combined_noise(own: Noise, prior_of: Prior | None) -> Noise:
    """A run's noise and what others say of it; a run that is plainly noisier counts alone."""
    prior = None if prior_of is None or own.degrees >= _PRIOR_DEGREES else prior_of()
    if prior is None:
        return own
    noisier = own.degrees > 0 and own.variance_us2 > prior.variance_us2 * (
        _NOISIER + _NOISIER_FEW / own.degrees
    )
    if noisier:
        return own
    limited = replace(prior, degrees=min(prior.degrees, _PRIOR_DEGREES))
    return _pooled([own, limited]) or own


def _alternation(intervals: NDArray[np.float64], single: NDArray[np.bool_]) -> float:
    """J from half the differences of intervals in a row, which are +J, -J, +J, ...

    Products of every other one are J squared, and noise hardly biases them.
    """
    halves = (intervals[:-1] - intervals[1:]) / 2
    whole = single[:-1] & single[1:]
    products = np.sort((halves[:-2] * halves[2:])[whole[:-2] & whole[2:]])
    if len(products) < 2:
        return float(np.median(np.abs(halves[whole]))) if whole.any() else 0.0
    trimmed = products[len(products) // 20 : len(products) - len(products) // 20]
    return float(np.sqrt(max(float(np.mean(trimmed)), 0.0)))


def misfit_limit(model: IntervalModel) -> float:
    """How far an interval may be from what so many triggers take."""
    return _MISFIT_SIGMAS * bounded_sigma(model) + _MISFIT_ROUNDING_US


def bounded_sigma(model: IntervalModel) -> float:
    """Cautious noise, no larger than the largest with which there are labels at all."""
    return min(model.cautious_sigma_us, model.jitter_us / JITTER_OVER_NOISE)
