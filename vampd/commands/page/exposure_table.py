"""The table of a night's exposures: which rows are wanted, in which order.

The server does it over all rows, not the browser over those of one page: so a filter finds what
stands on page 90, and 10^4 rows cost a browser no more than 100.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from vampd.commands.page.paging import Asked, Paging, paging
from vampd.views.exposures import Shot

_SIZE = 100
_MOST_WORDS = 10

Value = str | float | None


class Column(Struct, frozen=True, kw_only=True):
    """A column by which rows are sorted, and which can be named in a filter."""

    label: str
    value: Callable[[Shot], Value]
    is_number: bool = False


#: By the names that addresses and filters use, in the order of the table.
COLUMNS: Mapping[str, Column] = {
    "time": Column(label="HST", value=lambda shot: shot.exposure.first_us),
    "file": Column(label="file", value=lambda shot: shot.exposure.file_name),
    "target": Column(label="target", value=lambda shot: shot.settings.target),
    "type": Column(label="type", value=lambda shot: shot.settings.data_type),
    "filters": Column(label="filters", value=lambda shot: " ".join(shot.settings.filters)),
    "hwp": Column(label="HWP", value=lambda shot: shot.settings.plate_degrees, is_number=True),
    "cam": Column(label="cam", value=lambda shot: shot.exposure.camera, is_number=True),
    "flc": Column(label="FLC", value=lambda shot: shot.exposure.flc_state.value),
    "exptime": Column(label="EXPTIME", value=lambda shot: shot.settings.exposure_s, is_number=True),
    "frames": Column(label="frames", value=lambda shot: shot.exposure.frames, is_number=True),
    "median": Column(label="median", value=lambda shot: shot.exposure.median_adu, is_number=True),
    "peak": Column(label="peak", value=lambda shot: shot.exposure.peak_adu, is_number=True),
    "saturated": Column(
        label="saturated", value=lambda shot: shot.exposure.saturated_pixels, is_number=True
    ),
    "fwhm": Column(label="FWHM", value=lambda shot: shot.exposure.fwhm_pixels, is_number=True),
    "where": Column(label="where", value=lambda shot: shot.exposure.where.value),
    "lag": Column(label="lag", value=lambda shot: _seconds(shot.exposure.lag_us), is_number=True),
}

_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_COMPARISON = re.compile(r"(?P<column>[a-z]+)(?P<sign><=|>=|<|>|=)(?P<value>\S+)")


class Heading(Struct, frozen=True, kw_only=True):
    """A heading, and the address that sorts by it."""

    label: str
    is_number: bool
    link: str
    sorted: str  #: "ascending", "descending", or "none"


class Table(Struct, frozen=True, kw_only=True):
    """One page of the rows that were asked for."""

    rows: Sequence[Shot]
    headings: Sequence[Heading]
    paging: Paging
    find: str
    total: int  #: of all rows, those that were not asked for included


def table(shots: Sequence[Shot], asked: Asked) -> Table:
    """The rows of *shots* that are *asked* for by `find`, `sort`, `order` and `page`."""
    find = asked.get("find", "").strip()
    sort = asked.get("sort", "") if asked.get("sort") in COLUMNS else "time"
    # Observers look at what came last; of all else the least stands first.
    down = asked.get("order") == "down" or (sort == "time" and asked.get("order") != "up")
    rows = in_order(found(shots, find), sort, down=down)
    kept = {"find": find, "sort": sort, "order": "down" if down else "up"}
    page = paging({**kept, "page": asked.get("page", "1")}, size=_SIZE, total=len(rows))
    return Table(
        rows=rows[page.first : page.first + _SIZE],
        headings=[_heading(name, kept) for name in COLUMNS],
        paging=page,
        find=find,
        total=len(shots),
    )


def found(shots: Sequence[Shot], find: str) -> list[Shot]:
    """Those of which every word of *find* is true.

    A word is a part of what a row says, or compares a column: `fwhm>5`, `flc=A`.
    """
    tests = [_test(word) for word in find.lower().split()[:_MOST_WORDS]]
    return [shot for shot in shots if all(test(shot) for test in tests)]


def in_order(shots: Sequence[Shot], name: str, *, down: bool) -> list[Shot]:
    """Sorted by a column; rows that have no value there stand last, either way."""
    value = COLUMNS[name].value
    having = [shot for shot in shots if value(shot) not in {None, ""}]
    lacking = [shot for shot in shots if value(shot) in {None, ""}]
    return [*sorted(having, key=value, reverse=down), *lacking]  # type: ignore[arg-type]


def _test(word: str) -> Callable[[Shot], bool]:
    match = _COMPARISON.fullmatch(word)
    column = None if match is None else COLUMNS.get(match["column"])
    if match is None or column is None:
        return lambda shot: word in _words(shot)
    compare, value = _SIGNS[match["sign"]], column.value
    if not column.is_number:
        return lambda shot: compare(str(value(shot) or "").lower(), match["value"])
    try:
        number = float(match["value"])
    except ValueError:
        return lambda shot: False  # noqa: ARG005 - no number is like it
    return lambda shot: (own := value(shot)) is not None and compare(own, number)


def _words(shot: Shot) -> str:
    one, said = shot.exposure, shot.settings
    return " ".join(
        (one.file_name, one.name, said.target, said.data_type, *said.filters, one.where.value)
    ).lower()


def _heading(name: str, kept: Asked) -> Heading:
    column, is_here = COLUMNS[name], kept["sort"] == name
    turned = "up" if is_here and kept["order"] == "down" else "down" if is_here else ""
    order = turned or ("down" if column.is_number or name == "time" else "up")
    words = {"up": "ascending", "down": "descending"}
    return Heading(
        label=column.label,
        is_number=column.is_number,
        link=f"?{urlencode({'find': kept['find'], 'sort': name, 'order': order})}",
        sorted=words[kept["order"]] if is_here else "none",
    )


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6
