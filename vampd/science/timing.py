"""Read the timing files that lie beside the raw cubes, and write the outputs'.

A raw timing file has comment lines (`#`), then a row a frame: index in the cube, main
index, seconds since the cube's start (logging), absolute time of logging, absolute
time of acquisition (both Unix seconds), cnt0, cnt1. Old files lack the acquisition
column. Source: the acquisition logger, milk-org/milk, logshmim.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

_COLUMNS = 7
_OLD_COLUMNS = 6
_LOGGED = 3
_ACQUIRED = 4
_STREAM_COUNT = -2
_MOST_COUNT = 1 << 62  # a thousand frames a second for longer than there are stars
_EARLIEST_US = 946_684_800_000_000  # 2000-01-01
_LATEST_US = 4_102_444_800_000_000  # 2100-01-01
# Acquisition and logging are stamped milliseconds apart. An hour is far beyond any
# queue of the logger's and far below the offset of a clock that was never set.
_LOGGING_LAG_US = 3_600_000_000
# What numbers are made of, "nan" and "infinity" included.
_ORDINARY = b"0123456789+-.eEnNaAiIfFtTyY \t\r"
# Of times that are there twice about half must go, more where frames were lost on one side.
_TWICE_AT_MOST, _TWICE_BESIDES = 4, 4
_UNREADABLE = -1
_US_DECIMALS = 6
_NS_DECIMALS = 9
_SANE_DIGITS = 10  # of whole seconds: until the year 2286

_WHY_NO_TIME = {0: "no acquisition time", _UNREADABLE: "not a number"}

NO_COLUMN = "no acquisition column: the times are the logger's"
SET_BACK = "the clock was set back: its time is there twice"
NO_TIMES = "no acquisition times in any row: the times are the logger's"


class Timing(Struct, frozen=True, kw_only=True):
    """What one raw timing file says, row by row."""

    comments: tuple[str, ...]  #: the lines that begin with '#', without their newline
    rows: tuple[bytes, ...]  #: the data lines as they are, without their newline
    acquired_us: NDArray[np.int64]  #: (rows,); 0 where the row is rejected
    logged_us: NDArray[np.int64]  #: (rows,) the logger's own times; 0 where there is none
    rejected: dict[int, str]  #: row -> why its frame cannot be used
    has_acquisition: bool  #: False: the times are the logger's
    reports: tuple[str, ...]  #: what an operator should know
    lost_frames: int  #: frames of the stream between the first and the last row, never logged
    lag_us: int | None  #: logging time less acquisition time, the median; None without both
    counts: tuple[int, int] | None  #: the stream's own count (cnt0) of the first and the last row

    @property
    def logged_span_us(self) -> tuple[int, int] | None:
        """Logging times of the first and the last row that have one."""
        known = self.logged_us[self.logged_us > 0]
        return (int(known[0]), int(known[-1])) if len(known) else None


def parse_timing(content: bytes) -> Timing:
    """Read a raw timing file.

    A row that cannot be read costs its own frame and no other: too few or too many
    columns, a word, NaN, zero among good times, a year outside 2000 to 2099, hours
    away from its logging time, a last line without its newline. Of rows that are out
    of order as few are rejected as restore the order; where the logging times go back
    with them, all rows whose times are there twice. A file without acquisition
    times (six columns, or none in any row) is read with its logging times.
    """
    comments, rows, torn = _lines(content)
    fields = [row.split() for row in rows]
    columns = _expected_columns(fields)
    rejected = _malformed(rows, fields, columns, torn=torn)
    good = [row for row in range(len(rows)) if row not in rejected]
    logged = _microseconds([fields[row][_LOGGED] for row in good])
    acquired, reports = _acquired(fields, good, columns)
    times = logged if acquired is None else acquired
    rejected |= _unusable(good, times, logged)
    kept = np.array([row not in rejected for row in good], dtype=bool)
    if acquired is not None:
        again = np.flatnonzero(kept)[_set_back(times[kept], logged[kept])]
        rejected |= {good[index]: SET_BACK for index in again.tolist()}
        kept[again] = False
    late = _out_of_order(times[kept], (times - logged)[kept])
    rejected |= {good[index]: "out of order" for index in np.flatnonzero(kept)[late].tolist()}
    acquired_us = np.zeros(len(rows), dtype=np.int64)
    acquired_us[good] = times
    acquired_us[list(rejected)] = 0
    logged_us = np.zeros(len(rows), dtype=np.int64)
    logged_us[good] = np.where(_plausible(logged), logged, 0)
    counted = [row for row in good if row not in rejected]
    counts = _counts(fields, counted)
    return Timing(
        comments=comments,
        rows=rows,
        acquired_us=acquired_us,
        logged_us=logged_us,
        rejected=dict(sorted(rejected.items())),
        has_acquisition=acquired is not None,
        reports=reports,
        lost_frames=0 if counts is None else _lost(counts, counted),
        lag_us=None if acquired is None else _typical_lag(times[kept], logged[kept]),
        counts=None if counts is None else _ends(counts, counted, len(rows)),
    )


def output_timing(
    timing_rows: Sequence[bytes], acquired_us: NDArray[np.int64], comments: Sequence[str]
) -> bytes:
    """The timing file of an output, in the logger's layout.

    *timing_rows* are the raw rows of its frames, *acquired_us* (rows,) their
    acquisition times (of the pair, where synchronised). Column 1 counts from 0; 2, 4,
    6 and 7 are the raw row's own texts; 3 is column 4 less its first value; 5 is
    *acquired_us*. Rows of six columns get their column 5 like all others.
    """
    lines = [comment.encode("latin-1") for comment in comments]
    start_ns = 0
    for index, (row, time_us) in enumerate(zip(timing_rows, acquired_us.tolist(), strict=True)):
        fields = row.split()
        logged = fields[_LOGGED]
        logged_ns = _scaled(logged, 9)
        start_ns = logged_ns if index == 0 else start_ns
        lines.append(
            b"%10d  %10b  %15b   %20b  %17b   %10b   %10b"
            % (
                index,
                fields[1],
                _seconds(logged_ns - start_ns, 9),
                logged,
                _seconds(time_us, 6),
                fields[-2],
                fields[-1],
            )
        )
    return b"".join(line + b"\n" for line in lines)


def _lines(content: bytes) -> tuple[tuple[str, ...], tuple[bytes, ...], bool]:
    """Comments, data lines, and whether the last data line lacks its newline."""
    lines = content.split(b"\n")
    comments = tuple(
        line.rstrip(b"\r").decode("latin-1") for line in lines if line.lstrip().startswith(b"#")
    )
    rows = tuple(line for line in lines if line.strip() and not line.lstrip().startswith(b"#"))
    last = lines[-1].strip()
    return comments, rows, bool(last) and not last.startswith(b"#")


def _expected_columns(fields: Sequence[list[bytes]]) -> int:
    """Seven, unless rows of six are in the majority."""
    widths = Counter(map(len, fields))
    return _OLD_COLUMNS if widths[_OLD_COLUMNS] > widths[_COLUMNS] else _COLUMNS


def _malformed(
    rows: Sequence[bytes], fields: Sequence[list[bytes]], columns: int, *, torn: bool
) -> dict[int, str]:
    """Rows whose shape is wrong."""
    malformed = {
        row: f"{len(columns_of_row)} columns instead of {columns}"
        for row, columns_of_row in enumerate(fields)
        if len(columns_of_row) != columns
    }
    if b"".join(rows).translate(None, _ORDINARY):
        strange = (row for row, text in enumerate(rows) if text.translate(None, _ORDINARY))
        for row in strange:
            malformed.setdefault(row, "not a number")
    if torn:
        malformed[len(rows) - 1] = "torn last line"
    return malformed


def _acquired(
    fields: Sequence[list[bytes]], good: Sequence[int], columns: int
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Acquisition times of the *good* rows, or None and the reason why there are none."""
    if columns == _OLD_COLUMNS:
        return None, (NO_COLUMN,)
    acquired = _microseconds([fields[row][_ACQUIRED] for row in good])
    if not (acquired > 0).any() and good:
        return None, (NO_TIMES,)
    return acquired, ()


def _unusable(
    good: Sequence[int], times: NDArray[np.int64], logged: NDArray[np.int64]
) -> dict[int, str]:
    """Rows among *good* whose time cannot be one."""
    plausible = _plausible(times)
    lag = times - logged
    comparable = plausible & _plausible(logged)
    typical_lag = int(np.median(lag[comparable])) if comparable.any() else 0
    astray = comparable & (np.abs(lag - typical_lag) > _LOGGING_LAG_US)
    unusable = {
        good[index]: "far from its logging time" for index in np.flatnonzero(astray).tolist()
    }
    for index in np.flatnonzero(~plausible).tolist():
        unusable[good[index]] = _WHY_NO_TIME.get(int(times[index]), "implausible year")
    for index in np.flatnonzero(logged == _UNREADABLE).tolist():
        unusable[good[index]] = "not a number"
    return unusable


def _typical_lag(times: NDArray[np.int64], logged: NDArray[np.int64]) -> int | None:
    return int(np.median(logged - times)) if len(times) else None


def _counts(fields: Sequence[list[bytes]], rows: Sequence[int]) -> NDArray[np.int64] | None:
    """The stream's own counts (cnt0) of *rows*; None where they are no numbers, or none."""
    try:
        counts = np.array([fields[row][_STREAM_COUNT] for row in rows], dtype="S20").astype(
            np.int64
        )
    except (ValueError, OverflowError):
        return None
    return counts if len(counts) and counts.min() >= 0 and counts.max() < _MOST_COUNT else None


def _lost(counts: NDArray[np.int64], rows: Sequence[int]) -> int:
    """How many frames the count goes over between *rows* that follow each other.

    A count that goes back, as when the stream was begun anew, tells nothing.
    """
    steps = np.diff(counts) - np.diff(np.asarray(rows, dtype=np.int64))
    return int(steps[steps > 0].sum())


def _ends(counts: NDArray[np.int64], rows: Sequence[int], number: int) -> tuple[int, int]:
    """The counts of the first and the last of *number* rows, of which *rows* could be read."""
    return int(counts[0]) - rows[0], int(counts[-1]) + number - 1 - rows[-1]


def _plausible(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (times >= _EARLIEST_US) & (times < _LATEST_US)


def _set_back(times: NDArray[np.int64], logged: NDArray[np.int64]) -> NDArray[np.intp]:
    """The rows whose times are there twice, before and after the clock was set back.

    A row whose time is off alone is logged in its turn. Where both times go back it was the clock,
    and which exposure of the other camera has the same time is not to be told. None where that
    were many more rows than are out of order: then a few rows were ahead, and the rest is right.
    """
    back = np.flatnonzero((np.diff(times) < 0) & (np.diff(logged) < 0))
    found = np.zeros(len(times), dtype=np.bool_)
    for row in back.tolist():
        for column in (times, logged):
            found[: row + 1] |= column[: row + 1] >= column[row + 1]
            found[row + 1 :] |= column[row + 1 :] <= column[row]
    if not found.any():
        return np.empty(0, dtype=np.intp)
    fewest = len(_out_of_order(times, times - logged))
    again = np.flatnonzero(found)
    return again if len(again) <= _TWICE_AT_MOST * fewest + _TWICE_BESIDES else again[:0]


def _out_of_order(times: NDArray[np.int64], lag: NDArray[np.int64]) -> NDArray[np.intp]:
    """The fewest rows without which *times* increase strictly.

    Of equally small sets the one is taken whose rows' *lag* behind their logging times
    is the least usual: that is where the glitch is.
    """
    if len(times) < 2 or np.all(np.diff(times) > 0):
        return np.empty(0, dtype=np.intp)
    strangeness = np.abs(lag - int(np.median(lag)))
    keep = _longest_increasing(np.unique(times, return_inverse=True)[1], strangeness)
    return np.setdiff1d(np.arange(len(times)), keep)


def _longest_increasing(ranks: NDArray[np.intp], cost: NDArray[np.int64]) -> list[int]:
    """Indices of a longest strictly increasing subsequence of *ranks*, of least *cost*.

    A Fenwick tree over the ranks holds the best chain that ends at or below each rank,
    as (length, -cost, last index): n log n, and only for files that need it.
    """
    size = int(ranks.max()) + 1
    best: list[tuple[int, int, int]] = [(0, 0, -1)] * (size + 1)
    previous: list[int] = []
    longest = (0, 0, -1)
    for index, (rank, price) in enumerate(zip(ranks.tolist(), cost.tolist(), strict=True)):
        chain = (0, 0, -1)
        node = rank
        while node > 0:
            chain = max(chain, best[node])
            node &= node - 1
        previous.append(chain[2])
        chain = (chain[0] + 1, chain[1] - price, index)
        longest = max(longest, chain)
        node = rank + 1
        while node <= size:
            best[node] = max(best[node], chain)
            node += node & -node
    kept = [longest[2]]
    while previous[kept[-1]] >= 0:
        kept.append(previous[kept[-1]])
    return kept


def _microseconds(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """Decimal texts of seconds as whole microseconds; UNREADABLE where a text is no number.

    No float on the way: 1762405945.326055 has no exact one. The usual shape, all texts
    of one length with their point at one place, is read at once.
    """
    usual = _same_shape(texts)
    if usual is not None:
        return usual
    return np.array([_readable(text) for text in texts], dtype=np.int64)


def _same_shape(texts: Sequence[bytes]) -> NDArray[np.int64] | None:
    """Microseconds of *texts* that are alike in shape; None where they are not."""
    points = {text.find(b".") for text in texts}
    lengths = set(map(len, texts))
    if len(points) != 1 or len(lengths) != 1:
        return None
    point, length = points.pop(), lengths.pop()
    decimals = length - point - 1
    if not 1 <= point <= _SANE_DIGITS or not _US_DECIMALS <= decimals <= _NS_DECIMALS:
        return None
    digits = np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(texts), length) - ord("0")
    value = np.zeros(len(texts), dtype=np.int64)
    for column in (*range(point), *range(point + 1, length)):
        if digits[:, column].max() > 9:
            return None
        value = value * 10 + digits[:, column]
    unit = 10 ** (decimals - _US_DECIMALS)
    microseconds: NDArray[np.int64] = (value + unit // 2) // unit
    return microseconds


def _readable(text: bytes) -> int:
    try:
        return _scaled(text, _US_DECIMALS)
    except ValueError:
        return _UNREADABLE


def _scaled(text: bytes, decimals: int) -> int:
    """A decimal text times 10**decimals, rounded, exactly.

    Raises ValueError for anything but a number of a sane size.
    """
    whole, _, fraction = text.partition(b".")
    if (whole + fraction).isdigit() and len(fraction) <= decimals and len(whole) <= _SANE_DIGITS:
        return int(whole + fraction.ljust(decimals, b"0"))
    try:
        value = Decimal(text.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        value = Decimal("nan")
    # The exponent is looked at before anything is computed with it: 1e999999999 is text, too.
    if b"_" in text or not value.is_finite() or value.adjusted() >= _SANE_DIGITS:
        msg = f"{text!r} is not a number of seconds"
        raise ValueError(msg)
    return int(value.scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


def _seconds(value: int, decimals: int) -> bytes:
    """A whole number of 10**-decimals seconds as a decimal text."""
    whole, fraction = divmod(abs(value), 10**decimals)
    return b"%s%d.%0*d" % (b"-" if value < 0 else b"", whole, decimals, fraction)
