"""What all plots of a night share: colours by day and by night, both clocks, named targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from vampd.time_units import HST
from vampd.views.frame_times import TargetSpan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL = "small"
_LETTER_PIXELS = 6.2  # of a small letter, at the plots' size
_NAME_ROWS = 3
_LEAST_SPAN = timedelta(minutes=1)
_MARGIN = 0.01  # of the time that is shown, at either end


class Palette(Struct, frozen=True, kw_only=True):
    """Colours of a theme; those of A and B are the page's."""

    paper: str
    ink: str
    quiet: str
    line: str
    band: str
    of: Mapping[str, str]  #: of a state of the crystal, or of what became of a frame


LIGHT = Palette(
    paper="#ffffff",
    ink="#1c2329",
    quiet="#5d6a75",
    line="#d9dee2",
    band="#eef1f4",
    of={
        "A": "#1766a6",
        "B": "#d98b1a",
        "D": "#b3261e",
        "": "#8a96a1",
        "solo": "#8a96a1",
        "rejected": "#1c2329",
        "lost": "#a11d96",
    },
)
DARK = Palette(
    paper="#1c2227",
    ink="#e4e8eb",
    quiet="#97a4af",
    line="#333c44",
    band="#252d34",
    of={
        "A": "#74b7ec",
        "B": "#e3ad4f",
        "D": "#ff8a80",
        "": "#7d8a95",
        "solo": "#97a4af",
        "rejected": "#e4e8eb",
        "lost": "#f084e6",
    },
)


def paint(figure: Figure, palette: Palette) -> None:
    """Give *figure*, and all that is drawn in it by now, the colours of *palette*."""
    figure.set_facecolor(palette.paper)
    for axes in figure.axes:
        axes.set_facecolor(palette.paper)
        axes.tick_params(colors=palette.quiet, labelsize=_SMALL)
        for edge in axes.spines.values():
            edge.set_color(palette.line)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(palette.ink)
        legend = axes.get_legend()
        if legend is not None:
            legend.get_frame().set(facecolor=palette.paper, edgecolor=palette.line)
            for text in legend.get_texts():
                text.set_color(palette.ink)


def moments(times_us: Any) -> Any:
    """Times, as an axis takes them."""
    return [datetime.fromtimestamp(us / 1e6, UTC) for us in np.asarray(times_us).tolist()]


def clocks(axes: Axes, palette: Palette, first_us: int, last_us: int) -> None:
    """Let the axis of time show all from *first_us* to *last_us*; HST stands above UT."""
    from matplotlib.dates import AutoDateLocator, num2date

    first, last = moments([first_us, last_us])
    room = max(last - first, _LEAST_SPAN) * _MARGIN
    axes.set_xlim(first - room, max(last, first + _LEAST_SPAN) + room)

    def both(number: float, _: float) -> str:
        moment = num2date(number, tz=UTC)  # type: ignore[no-untyped-call]
        return f"{moment.astimezone(HST):%H:%M}\n{moment:%H:%M}"

    # matplotlib's dates have no types yet.
    axes.xaxis.set_major_locator(AutoDateLocator(tz=UTC))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(both)
    axes.annotate(
        "HST\nUT",
        xy=(0, 0),
        xytext=(-22, -7),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=_SMALL,
        color=palette.quiet,
        linespacing=1.2,
    )


def name_targets(axes: Axes, palette: Palette, spans: Sequence[TargetSpan]) -> None:
    """Shade every second target's time, and write the names above, as far as there is room.

    Call it when the limits of the axis of time stand.
    """
    low, high = axes.get_xlim()
    width_pixels = axes.figure.get_figwidth() * axes.figure.dpi  # type: ignore[union-attr]
    ends = [0.0] * _NAME_ROWS
    for number, span in enumerate(spans):
        begin, end = moments([span.first_us, span.last_us])
        if number % 2 == 0:
            axes.axvspan(begin, end, color=palette.band, linewidth=0, zorder=0)
        left, right = (
            (float(axes.convert_xunits(each)) - low) / (high - low) * width_pixels  # type: ignore[no-untyped-call]
            for each in (begin, end)
        )
        taken = _LETTER_PIXELS * len(span.target)
        place = min(max((left + right - taken) / 2, 0), width_pixels - taken)
        row = next((row for row, used in enumerate(ends) if used <= place), None)
        if row is None:
            continue
        ends[row] = place + taken + _LETTER_PIXELS
        axes.annotate(
            span.target,
            xy=((place + taken / 2) / width_pixels, 1),
            xytext=(0, 2 + 9 * row),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="x-small",
            color=palette.ink,
        )
