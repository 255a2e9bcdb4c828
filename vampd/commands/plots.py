"""Plots of a night's timing, as PNG; drawn by matplotlib, which only this needs."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vampd.errors import OperatorError
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.views import quality
from vampd.views.frame_times import flc_intervals, pair_offsets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE_INCHES = (9.0, 4.0)
_DOTS_PER_INCH = 110
_BINS = 200
_MINUTE_DAYS = 1 / (24 * 60)
_CUT_PERCENT = 0.5  # of intervals at either end: pauses, which would hide the peaks

_FATES = {
    "synchronised": "#2a7ab0",
    "solo": "#8fbcd4",
    "rejected": "#c0392b",
    "lost": "#e08e2b",
}


def write_plots(ledger: Reader, night: Night, folder: Path) -> Iterator[Path]:
    """Write each plot of *night* into *folder*; yield their paths.

    OperatorError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTS:
        path = folder / f"{night.kind}_{night.date}_{name}.png"
        path.write_bytes(plot_png(ledger, night, name))
        yield path


def plot_png(ledger: Reader, night: Night, name: str) -> bytes:
    """One plot, a name of PLOTS, as PNG. OperatorError: matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "plots need matplotlib: install.sh --extras plots, or pip install '.[plots]'"
        raise OperatorError(msg) from error
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    title, draw = PLOTS[name]
    axes.set_title(f"{night}: {title}", fontsize="medium")
    if not draw(axes, ledger, night):
        axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DOTS_PER_INCH)
    return content.getvalue()


def _draw_offset(axes: Axes, ledger: Reader, night: Night) -> bool:
    times_us, offsets_us = pair_offsets(ledger, night)
    if not len(times_us):
        return False
    axes.plot(
        _moments(times_us), offsets_us, ".", markersize=2, alpha=0.4, color=_FATES["synchronised"]
    )
    axes.set_xlabel("UT")
    axes.set_ylabel("camera 2 less camera 1 / us")
    _hours(axes)
    return True


def _draw_intervals(axes: Axes, ledger: Reader, night: Night) -> bool:
    intervals_us = flc_intervals(ledger, night)
    if not len(intervals_us):
        return False
    low, high = np.percentile(intervals_us, [_CUT_PERCENT, 100 - _CUT_PERCENT])
    shown = intervals_us[(intervals_us >= low) & (intervals_us <= high)]
    step_us = max(1, round((high - low) / _BINS))  # times are whole microseconds
    bins = (np.arange(np.floor(low), high + step_us, step_us) - 0.5).tolist()
    axes.hist(shown, bins=bins, color=_FATES["synchronised"])
    axes.set_xlabel("interval less the middle of its cube's / us (A: short, B: long)")
    axes.set_ylabel("frames")
    return True


def _draw_frames(axes: Axes, ledger: Reader, night: Night) -> bool:
    found = quality.slices(ledger, night)
    if not found:
        return False
    by_minute: dict[int, Counter[str]] = defaultdict(Counter)
    for each in found:
        for fates in each.cameras.values():
            by_minute[each.minute_us].update(asdict(fates))
    minutes = np.array(sorted(by_minute))
    below = np.zeros(len(minutes))
    for fate, colour in _FATES.items():
        counts = np.array([by_minute[minute][fate] for minute in minutes.tolist()])
        axes.bar(
            _moments(minutes),
            counts,
            width=_MINUTE_DAYS,
            bottom=below,
            align="edge",
            color=colour,
            label=fate,
        )
        below += counts
    axes.set_xlabel("UT")
    axes.set_ylabel("frames a minute, both cameras")
    axes.legend(fontsize="small")
    _hours(axes)
    return True


def _moments(times_us: Any) -> Any:
    return [datetime.fromtimestamp(us / 1e6, UTC) for us in np.asarray(times_us).tolist()]


def _hours(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    # matplotlib's dates have no types yet.
    axes.xaxis.set_major_locator(AutoDateLocator(tz=UTC))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))  # type: ignore[no-untyped-call]


#: Each plot by its name: its title, and what draws it. False: there is nothing to draw.
PLOTS: Mapping[str, tuple[str, Callable[[Axes, Reader, Night], bool]]] = {
    "offset": ("offset of the two cameras' times", _draw_offset),
    "intervals": ("intervals with the FLC on", _draw_intervals),
    "frames": ("frames a minute", _draw_frames),
}
