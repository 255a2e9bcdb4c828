"""Whether a cube and a timing file belong together.

The logger writes MJD-STR, MJD-END, UT-STR and UT-END from the times of the first and the last
frame, the very ones that it then writes into the timing file (milk-org/milk, logshmim.c). With a
slow disk it can move a cube to the name of the next one and write the next one's rows beside it:
then these cards are the only thing that tells.

The cameras' logger takes them from column 4, the logging times; a logger that takes them from
column 5, the acquisition times, is believed as well. Which it is makes less than the length of
any cube. A card that is missing, or that holds no time, says nothing.

Whether a cube lies in the folder of its camera is told by two cards of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from vampd.records import CardValue
from vampd.science.times import moment_text, name_time
from vampd.time_units import DAY_US

#: The cards that are compared, the first row's before the last row's.
STAMP_CARDS: tuple[str, ...] = ("MJD-STR", "UT-STR", "MJD-END", "UT-END")

#: The cards that say which camera took a cube.
CAMERA_CARDS: tuple[str, ...] = ("DETECTOR", "U_CAMERA")

_CAMERAS: Mapping[object, int] = {"VCAM1 - OrcaQ": 1, "VCAM2 - OrcaQ": 2, 1: 1, 2: 2}
_EPOCH_MJD = 40_587
_PLAUSIBLE_MJD = range(51_544, 88_069)  # 2000 to 2099
# A double of days since 1858 is good to 0.6 us, and the logger prints 15 digits: 8.6 us.
_LEAST_TOLERANCE_US = 10
# Logging follows acquisition by less than this. It counts only where the acquisition time of a
# row is not known, so that it cannot be seen from which of the two a card was taken.
_LOGGING_LAG_US = 20_000
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d*))?")


class RowTimes(Struct, frozen=True, kw_only=True):
    """The times of one row, microseconds since the epoch; None where it has none."""

    logged_us: int | None
    acquired_us: int | None


class Belonging(Struct, frozen=True, kw_only=True):
    """What the cards say. Neither: they say nothing."""

    disagreement: str | None = None  #: both values, and how far they are apart
    is_confirmed: bool = False  #: the cards of both ends agree, and no other rows could


class _Stamp(Struct, frozen=True, kw_only=True):
    """The time that a card says."""

    card: str
    time_us: int  #: since the epoch, or of the day
    tolerance_us: int  #: by the number of its decimals
    is_of_day: bool

    def differs_us(self, row_us: int) -> int:
        """How much later the row is."""
        difference = row_us - self.time_us
        if self.is_of_day:
            difference = (difference + DAY_US // 2) % DAY_US - DAY_US // 2
        return difference

    def text(self) -> str:
        return name_time(self.time_us) if self.is_of_day else moment_text(self.time_us)


class _Comparison(Struct, frozen=True, kw_only=True):
    """One card beside the row's time in one column."""

    stamp: _Stamp
    row_us: int
    lag_us: int  #: the row may be so much later

    @property
    def agrees(self) -> bool:
        tolerance_us = self.stamp.tolerance_us
        return -tolerance_us <= self.stamp.differs_us(self.row_us) <= tolerance_us + self.lag_us

    @property
    def apart_us(self) -> int:
        return abs(self.stamp.differs_us(self.row_us))


def belonging(stamps: Mapping[str, str], first: RowTimes, last: RowTimes) -> Belonging:
    """Compare the texts of the STAMP_CARDS with the times of the first and the last row."""
    span_us = _span_us(first, last)
    # Shorter than half a cube, by which even neighbouring cubes differ.
    lag_us = min(_LOGGING_LAG_US, span_us // 2)
    found = list(_stamps(stamps))
    by_column = {
        4: [
            _Comparison(
                stamp=stamp,
                row_us=row.logged_us,
                lag_us=lag_us if row.acquired_us is None else 0,
            )
            for stamp in found
            if (row := _row(stamp, first, last)).logged_us is not None
        ],
        5: [
            _Comparison(stamp=stamp, row_us=row.acquired_us, lag_us=0)
            for stamp in found
            if (row := _row(stamp, first, last)).acquired_us is not None
        ],
    }
    compared = {column: each for column, each in by_column.items() if each}
    for each in compared.values():
        if all(one.agrees for one in each):
            return Belonging(is_confirmed=_is_telling(each, span_us))
    for column, each in compared.items():
        return Belonging(disagreement=_disagreement(column, each))
    return Belonging()


def wrong_camera(camera: int, cards: Mapping[str, CardValue]) -> str | None:
    """Why a cube in the folder of *camera* is one of the other camera, by CAMERA_CARDS.

    A card that is missing or names neither camera says nothing; nor do two that contradict.
    """
    said = {card: _CAMERAS.get(_plain(cards.get(card))) for card in CAMERA_CARDS}
    if {number for number in said.values() if number is not None} != {3 - camera}:
        return None
    shown = " and ".join(f"{card} is {cards[card]!r}" for card, number in said.items() if number)
    return f"{shown}, but it lies in the folder of camera {camera}"


def _plain(value: CardValue) -> object:
    """What can be looked up; T and F are no numbers."""
    if isinstance(value, bool):
        return None
    return value.strip() if isinstance(value, str) else value


def _row(stamp: _Stamp, first: RowTimes, last: RowTimes) -> RowTimes:
    return first if stamp.card.endswith("-STR") else last


def _span_us(first: RowTimes, last: RowTimes) -> int:
    if first.logged_us is None or last.logged_us is None:
        return 0
    return max(last.logged_us - first.logged_us, 0)


def _is_telling(each: list[_Comparison], span_us: int) -> bool:
    """Whether both ends are compared finely enough to tell a cube from its neighbour."""
    fine = [
        one.stamp.card
        for one in each
        if one.stamp.tolerance_us <= max(_LEAST_TOLERANCE_US, span_us // 4)
    ]
    return all(any(card.endswith(end) for card in fine) for end in ("-STR", "-END"))


def _disagreement(column: int, each: list[_Comparison]) -> str:
    told = next(one for one in each if not one.agrees)
    end = "first" if told.stamp.card.endswith("-STR") else "last"
    return (
        f"{told.stamp.card} of the cube is {told.stamp.text()}, but the {end} row of its timing"
        f" file is of {moment_text(told.row_us)} (column {column}), {told.apart_us / 1e6:.6f} s"
        " apart: they do not belong together"
    )


def _stamps(texts: Mapping[str, str]) -> Iterator[_Stamp]:
    for card in STAMP_CARDS:
        text = texts.get(card, "").strip()
        stamp = _date(card, text) if card.startswith("MJD") else _time_of_day(card, text)
        if stamp is not None:
            yield stamp


def _date(card: str, text: str) -> _Stamp | None:
    """A modified Julian date; None where the text is none of these decades."""
    try:
        days = Decimal(text.upper().replace("D", "E"))
    except InvalidOperation:
        return None
    if not days.is_finite() or days.adjusted() > 4 or int(days) not in _PLAUSIBLE_MJD:
        return None
    return _Stamp(
        card=card,
        time_us=round((days - _EPOCH_MJD) * DAY_US),
        tolerance_us=_tolerance_us(DAY_US, max(0, -int(days.as_tuple().exponent))),
        is_of_day=False,
    )


def _time_of_day(card: str, text: str) -> _Stamp | None:
    """A time of the day; None where the text is none."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, decimals = match.groups(default="")
    fraction_us = round(Decimal(f"0.{decimals or 0}") * 1_000_000)
    return _Stamp(
        card=card,
        time_us=((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + fraction_us,
        tolerance_us=_tolerance_us(1_000_000, len(decimals)),
        is_of_day=True,
    )


def _tolerance_us(unit_us: float, decimals: int) -> int:
    """One of the last decimal: nobody says whether it was rounded or cut."""
    return max(_LEAST_TOLERANCE_US, math.ceil(unit_us * 0.1**decimals))
