"""The .txt of a cube: comment lines, then one row a frame, as the logger prints them."""

from __future__ import annotations

from collections.abc import Callable

from vampd.simulation.cubes import Cube
from vampd.simulation.exposures import Exposures
from vampd.simulation.scenes import Fault

_COLUMNS = (
    "datacube frame index",
    "Main index",
    "Time since cube origin (logging)",
    "Absolute time (logging)",
    "Absolute time (acquisition)",
    "stream cnt0 index",
    "stream cnt1 index",
)
_ACQUISITION = 4
#: The stream is a ring of so many frames; cnt1 is the place in it.
_RING = 3


def comment_lines(cube: Cube) -> str:
    """The head of the file; older loggers had no acquisition column."""
    columns = list(_COLUMNS)
    if cube.fault is Fault.SIX_COLUMNS:
        del columns[_ACQUISITION]
    return "".join(
        (
            "# Telemetry stream timing data \n",
            "# File written by function save_telemetry_fits_function in file logshmim.c\n",
            "# \n",
            *(f"# col{place} : {text}\n" for place, text in enumerate(columns, start=1)),
            "# \n",
        )
    )


def rows(cube: Cube) -> list[str]:
    """All rows with their newlines, spoiled as the cube's fault says."""
    frames = cube.rows_of or cube.frames
    acquisition = _acquisition_texts(cube, frames)
    logged = frames.logged_ns + cube.ahead_ns
    origin_ns = int(logged[0])
    lines = [
        f"{place:10d}  {count:10d}  {_seconds(logged_ns - origin_ns):>15}"
        f"   {_seconds(logged_ns):>20}{text}   {count:10d}   {count % _RING:10d}\n"
        for place, (count, logged_ns, text) in enumerate(
            zip(
                frames.counts.tolist(),
                logged.tolist(),
                acquisition,
                strict=True,
            )
        )
    ]
    spoil = _SPOILERS.get(cube.fault) if cube.fault else None
    return spoil(lines) if spoil else lines


def _acquisition_texts(cube: Cube, frames: Exposures) -> list[str]:
    """Column 5 of every row, with the blanks before it."""
    if cube.fault is Fault.SIX_COLUMNS:
        return [""] * len(frames)
    times_us = frames.acquired_us.tolist()
    if cube.fault is Fault.NO_ACQUISITION:
        times_us = [0] * len(times_us)
    bad_row = cube.bad_row
    if bad_row is not None and cube.fault is Fault.ZERO_ROW:
        times_us[bad_row] = 0
    if bad_row is not None and cube.fault is Fault.DISORDER_ROW:
        # Before all others, so that no other frame can be taken for the culprit.
        times_us[bad_row] = times_us[0] - cube.scene.period_us
    texts = [f"{time_us // 10**6}.{time_us % 10**6:06d}" for time_us in times_us]
    if bad_row is not None and cube.fault is Fault.NAN_ROW:
        texts[bad_row] = "nan"
    return [f"  {text:>17}" for text in texts]


def _seconds(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def _half(line: str) -> str:
    """A row cut within its column of acquisition times."""
    return line[:70]


def _with_one_more(lines: list[str]) -> list[str]:
    return [*lines, f"{len(lines):10d}{lines[-1][10:]}"]


_SPOILERS: dict[Fault, Callable[[list[str]], list[str]]] = {
    Fault.SHORT_TXT: lambda lines: lines[:-2],
    Fault.SURPLUS_TXT: _with_one_more,
    Fault.UNFINISHED_TXT: lambda lines: [*lines[:-1], _half(lines[-1])],
    Fault.TORN_ROW: lambda lines: [*lines[:-1], f"{_half(lines[-1])}\n"],
}
