"""Measures against time on plain charts: where each point lies, what stands at the axes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from vampd.commands.screen import duration_text
from vampd.time_units import DAY_US, HOUR_US, HST, MINUTE_US
from vampd.views.exposures import Exposure, Shot

WIDTH, HEIGHT = 400, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 22
_BINS = 100  # of more points the highest and the lowest of each bin are shown
_MOST_TICKS = 5
_STEPS_US = (
    *(MINUTE_US * each for each in (1, 2, 5, 10, 15, 30)),
    *(HOUR_US * each for each in (1, 2, 3, 6, 12)),
    *(DAY_US * each for each in (1, 2, 7, 30, 91, 182, 365, 1826, 3652)),
)


class Measure(Struct, frozen=True, kw_only=True):
    """One value of one exposure, or of its two cameras together."""

    at_us: int
    value: float
    series: str  #: `cam1 A`, `cam2`, `both B`
    exposure: Exposure


class Point(Struct, frozen=True, kw_only=True):
    """Where a measure lies on its chart, and what is said of it."""

    x: float
    y: float
    classes: str
    title: str
    exposure: Exposure


class Tick(Struct, frozen=True, kw_only=True):
    """A line of the grid, and what stands beside it."""

    at: float
    text: str


class Chart(Struct, frozen=True, kw_only=True):
    """Points in a box of WIDTH by HEIGHT."""

    label: str
    points: Sequence[Point]
    across: Sequence[Tick]  #: at the axis of time, in HST
    up: Sequence[Tick]
    left_out: int  #: points between those that are shown


def charts(shots: Sequence[Shot]) -> list[Chart]:
    """A chart of each measure of which there are values."""
    made = (_chart(label, list(measures(shots))) for label, measures in _MEASURES.items())
    return [chart for chart in made if chart is not None]


def flux_ratios(shots: Sequence[Shot]) -> Iterator[Measure]:
    """The flux of camera 2 over that of camera 1, of the same exposures."""
    pairs: dict[tuple[object, ...], dict[int, Exposure]] = defaultdict(dict)
    for shot in shots:
        one = shot.exposure
        if one.synchronised and one.flux_adu is not None and one.flux_adu > 0:
            pairs[one.night, one.batch, one.cube, one.flc_state][one.camera] = one
    for pair in pairs.values():
        if len(pair) == 2:
            ratio = (pair[2].flux_adu or 0.0) / (pair[1].flux_adu or 1.0)
            yield _measure(pair[1], ratio, "both")


def _of(value: Callable[[Exposure], float | None]) -> Callable[[Sequence[Shot]], Iterator[Measure]]:
    def measures(shots: Sequence[Shot]) -> Iterator[Measure]:
        for shot in shots:
            found = value(shot.exposure)
            if found is not None and math.isfinite(found):
                yield _measure(shot.exposure, found, f"cam{shot.exposure.camera}")

    return measures


_MEASURES: Mapping[str, Callable[[Sequence[Shot]], Iterator[Measure]]] = {
    "FWHM / pixels": _of(lambda one: one.fwhm_pixels),
    "peak / ADU": _of(lambda one: one.peak_adu),
    "saturated pixels": _of(lambda one: one.saturated_pixels),
    "median / ADU": _of(lambda one: one.median_adu),
    "flux / ADU": _of(lambda one: one.flux_adu),
    "flux of camera 2 over that of camera 1": flux_ratios,
    "from the last frame to the file / s": _of(
        # Of a night that is made again days later it says nothing.
        lambda one: one.lag_us / 1e6 if one.lag_us is not None and one.lag_us < DAY_US else None
    ),
}


def _measure(one: Exposure, value: float, series: str) -> Measure:
    state = f" {one.flc_state}" if one.flc_state else ""
    return Measure(at_us=one.first_us, value=value, series=f"{series}{state}", exposure=one)


def _chart(label: str, measures: Sequence[Measure]) -> Chart | None:
    if not measures:
        return None
    shown = thinned(measures)
    first_us, last_us = _span([each.at_us for each in measures], least=MINUTE_US)
    low, high = _span([each.value for each in measures], least=0.01)
    rising = value_ticks(low, high)
    low, high = min(low, rising[0]), max(high, rising[-1])

    def across(at_us: float) -> float:
        part = (at_us - first_us) / (last_us - first_us)
        return round(_LEFT + part * (WIDTH - _LEFT - _RIGHT), 1)

    def up(value: float) -> float:
        part = (value - low) / (high - low)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)

    return Chart(
        label=label,
        points=[
            Point(
                x=across(each.at_us),
                y=up(each.value),
                classes=each.series,
                title=f"{each.exposure.file_name}, {each.series}: {each.value:.4g}",
                exposure=each.exposure,
            )
            for each in shown
        ],
        across=[Tick(at=across(us), text=text) for us, text in time_ticks(first_us, last_us)],
        up=[Tick(at=up(value), text=f"{value:.6g}") for value in rising],
        left_out=len(measures) - len(shown),
    )


def thinned(measures: Sequence[Measure]) -> list[Measure]:
    """All of a few; of many, the highest and the lowest of each series in each bin of time.

    What stands out is never left out.
    """
    if len(measures) <= 2 * _BINS:
        return list(measures)
    first_us = min(each.at_us for each in measures)
    bin_us = (max(each.at_us for each in measures) - first_us) // _BINS + 1
    bins: dict[tuple[str, int], list[Measure]] = defaultdict(list)
    for each in measures:
        bins[each.series, (each.at_us - first_us) // bin_us].append(each)
    kept = []
    for own in bins.values():
        low = min(own, key=lambda each: each.value)
        high = max(own, key=lambda each: each.value)
        kept += [low] if low is high else [low, high]
    return kept


def time_ticks(first_us: float, last_us: float) -> list[tuple[int, str]]:
    """Round times in HST, at most a few, each with its text."""
    room = (last_us - first_us) / _MOST_TICKS
    step = next((each for each in _STEPS_US if each >= room), _STEPS_US[-1])
    form = "%H:%M" if step < DAY_US else "%Y-%m-%d"
    shift = 10 * HOUR_US  # HST is behind UT
    begin = -(-(round(first_us) - shift) // step) * step + shift
    return [
        (us, f"{datetime.fromtimestamp(us / 1e6, UTC).astimezone(HST):{form}}")
        for us in range(begin, round(last_us) + 1, step)
    ]


def value_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below *low* to above *high*, at most a few."""
    room = (high - low) / (_MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(room))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= room * (1 - 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [each * step for each in range(first, last + 1)]


def _span(values: Sequence[float], *, least: float) -> tuple[float, float]:
    """The least and the most of *values*, apart by something even where all are one."""
    low, high = min(values), max(values)
    apart = max(least, abs(low) * 1e-6)
    return (low, high) if high - low >= apart else (low - apart, high + apart)


def total_time_text(shots: Sequence[Shot]) -> str:
    """For how long a camera looked, all frames together; of two, the one that did longer."""
    seconds: dict[int, float] = defaultdict(float)
    for shot in shots:
        seconds[shot.exposure.camera] += shot.exposure.frames * (shot.settings.exposure_s or 0.0)
    return duration_text(round(max(seconds.values(), default=0.0) * 1e6))
