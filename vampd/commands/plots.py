"""Plots of a night's timing, as PNG; drawn by matplotlib, which only this needs."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict

from vampd.commands.plot_marks import (
    DARK,
    LIGHT,
    Palette,
    clocks,
    moments,
    name_targets,
    paint,
)
from vampd.errors import OperatorError
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.time_units import MINUTE_US
from vampd.views import quality
from vampd.views.frame_times import flc_intervals, pair_offsets, target_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (9.0, 4.4)
_DOTS_PER_INCH = 110
_BINS = 200
_MINUTE_DAYS = 1 / (24 * 60)
_CUT_PERCENT = 0.5  # of intervals at either end: pauses, which would hide the peaks
_MANY_POINTS = 20_000
_EXCEPTIONS_HEIGHT = 0.45  # of the frames' own panel

#: The states of the crystal, with what the legend says of each.
_STATES = {"A": "A", "B": "B", "D": "dubious", "": "FLC off"}

#: What sets a frame apart, by its sign: told apart without colours, too.
_EXCEPTIONS = {"solo": "s", "dubious": "D", "rejected": "x", "lost": "v"}
_SAID = {"solo": "without a partner", "lost": "lost by the cameras"}


class _Canvas(Struct, frozen=True, kw_only=True):
    """Where a plot is drawn, and of what."""

    figure: Figure
    palette: Palette
    ledger: Reader
    night: Night


def write_plots(
    ledger: Reader, night: Night, folder: Path, *, dark: bool = False
) -> Iterator[Path]:
    """Write each plot of *night* into *folder*; yield their paths.

    OperatorError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTS:
        path = folder / f"{night.kind}_{night.date}_{name}.png"
        path.write_bytes(plot_png(ledger, night, name, dark=dark))
        yield path


def plot_png(ledger: Reader, night: Night, name: str, *, dark: bool = False) -> bytes:
    """One plot, a name of PLOTS, as PNG. OperatorError: matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "plots need matplotlib: install.sh --extras plots, or pip install '.[plots]'"
        raise OperatorError(msg) from error
    palette = DARK if dark else LIGHT
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    title, draw = PLOTS[name]
    heading = figure.suptitle(f"{night}: {title}", fontsize="medium", color=palette.ink)
    if not draw(_Canvas(figure=figure, palette=palette, ledger=ledger, night=night)):
        heading.set_text(f"{night}: {title}: nothing to show")
    paint(figure, palette)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_offset(canvas: _Canvas) -> bool:
    found = pair_offsets(canvas.ledger, canvas.night)
    if not len(found.times_us):
        return False
    axes = canvas.figure.add_subplot()
    size = 7.0 if len(found.times_us) < _MANY_POINTS else 2.0
    for dubious in (False, True):  # the few above the many; A and B as they came
        chosen = (found.states == "D") == dubious
        axes.scatter(
            moments(found.times_us[chosen]),
            found.offsets_us[chosen],
            s=size * (3 if dubious else 1),
            marker="D" if dubious else "o",
            linewidths=0,
            color=[canvas.palette.of[state] for state in found.states[chosen].tolist()],
        )
    for state in (each for each in _STATES if each in found.states):
        axes.scatter([], [], s=25, color=canvas.palette.of[state], label=_STATES[state])
    axes.set_ylabel("camera 2 less camera 1 / us", fontsize="small")
    axes.legend(fontsize="small", loc="upper right")
    _along_the_night(axes, canvas, int(found.times_us[0]), int(found.times_us[-1]))
    return True


def _draw_intervals(canvas: _Canvas) -> bool:
    by_state = flc_intervals(canvas.ledger, canvas.night)
    if not by_state:
        return False
    every = np.concatenate(list(by_state.values()))
    low, high = np.percentile(every, [_CUT_PERCENT, 100 - _CUT_PERCENT])
    step_us = max(1, round((high - low) / _BINS))  # times are whole microseconds
    bins = (np.arange(np.floor(low), high + step_us, step_us) - 0.5).tolist()
    axes = canvas.figure.add_subplot()
    axes.hist(
        [each[(each >= low) & (each <= high)] for each in by_state.values()],
        bins=bins,
        stacked=True,
        color=[canvas.palette.of[state] for state in by_state],
        label=[f"after {_STATES[state]}: {len(each)}" for state, each in by_state.items()],
    )
    axes.set_xlabel(
        "interval to the next frame, less the middle of its cube's / us", fontsize="small"
    )
    axes.set_ylabel("frames", fontsize="small")
    axes.legend(fontsize="small")
    return True


def _draw_frames(canvas: _Canvas) -> bool:
    by_minute: dict[int, Counter[str]] = defaultdict(Counter)
    for each in quality.slices(canvas.ledger, canvas.night):
        for fates in each.cameras.values():
            by_minute[each.minute_us].update(asdict(fates))
    if not by_minute:
        return False
    minutes = np.array(sorted(by_minute))
    counts = {
        fate: np.array([by_minute[minute][fate] for minute in minutes.tolist()])
        for fate in asdict(quality.FrameTally())
    }
    upper, lower = canvas.figure.subplots(
        2, 1, sharex=True, height_ratios=[1, _EXCEPTIONS_HEIGHT]
    ).tolist()
    _draw_taken(upper, canvas.palette, minutes, counts)
    _draw_exceptions(lower, canvas.palette, minutes, counts)
    _along_the_night(lower, canvas, int(minutes[0]), int(minutes[-1]) + MINUTE_US, named=upper)
    return True


def _draw_taken(axes: Axes, palette: Palette, minutes: Any, counts: Mapping[str, Any]) -> None:
    """Frames of both cameras in outputs, a bar a minute."""
    states = {"A": counts["a"], "B": counts["b"], "D": counts["dubious"]}
    states[""] = counts["synchronised"] + counts["solo"] - sum(states.values())
    below = np.zeros(len(minutes))
    for state, values in states.items():
        if values.any():
            axes.bar(
                moments(minutes),
                values,
                width=_MINUTE_DAYS,
                bottom=below,
                align="edge",
                color=palette.of[state],
                label=_STATES[state],
            )
        below += values
    axes.set_ylabel("frames a minute,\nboth cameras", fontsize="small")
    if below.any():
        axes.legend(fontsize="small", loc="upper right")


def _draw_exceptions(axes: Axes, palette: Palette, minutes: Any, counts: Mapping[str, Any]) -> None:
    """What sets frames apart, a sign a minute: as large for five frames as for five thousand."""
    most = 1
    for fate, sign in _EXCEPTIONS.items():
        happened = counts[fate] > 0
        if happened.any():
            total = int(counts[fate].sum())
            most = max(most, int(counts[fate].max()))
            axes.plot(
                moments(minutes[happened] + MINUTE_US // 2),
                counts[fate][happened],
                sign,
                markersize=6,
                markeredgewidth=1.5 if sign == "x" else 0,
                color=palette.of["D" if fate == "dubious" else fate],
                label=f"{total} {_SAID.get(fate, fate)}",
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0.6, 3 * most)
    axes.set_ylabel("exceptions", fontsize="small")
    if axes.lines:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.32), ncols=4)
    else:
        axes.text(
            0.5,
            0.5,
            "nothing",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=palette.quiet,
        )


def _along_the_night(
    axes: Axes, canvas: _Canvas, first_us: int, last_us: int, *, named: Axes | None = None
) -> None:
    clocks(axes, canvas.palette, first_us, last_us)
    name_targets(named or axes, canvas.palette, target_spans(canvas.ledger, canvas.night))


#: Each plot by its name: its title, and what draws it. False: there is nothing to draw.
PLOTS: Mapping[str, tuple[str, Callable[[_Canvas], bool]]] = {
    "frames": ("frames, and exceptions", _draw_frames),
    "offset": ("offset of the two cameras' times", _draw_offset),
    "intervals": ("intervals with the FLC on", _draw_intervals),
}
