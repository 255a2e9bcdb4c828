"""How much may be sent a second, by the time of day at the telescope. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from vampd.time_units import HST, SECOND_US

_WINDOW = re.compile(
    r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9]) ([0-9]{1,9})"
)


class Window(Struct, frozen=True, kw_only=True):
    """A part of every day, in HST, and its limit; it may go over midnight."""

    begins_minute: int  #: of the day; belongs to it
    ends_minute: int  #: does not; the same as the beginning: all day
    kib_per_second: int  #: 0 is no limit

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read `18:00-06:00 20000`. ValueError: it is not like that."""
        found = _WINDOW.fullmatch(text)
        if found is None:
            raise ValueError(text)
        begin_hour, begin_minute, end_hour, end_minute, kib_per_second = map(int, found.groups())
        return cls(
            begins_minute=60 * begin_hour + begin_minute,
            ends_minute=60 * end_hour + end_minute,
            kib_per_second=kib_per_second,
        )

    def holds_at(self, minute: int) -> bool:
        """Whether the *minute* of the day is in it."""
        if self.begins_minute < self.ends_minute:
            return self.begins_minute <= minute < self.ends_minute
        return minute >= self.begins_minute or minute < self.ends_minute


def limit_at(windows: Iterable[Window], usual_kib: int, now_us: int) -> int:
    """KiB a second that may be sent at *now_us*: of the first window that holds, else the usual."""
    now = datetime.fromtimestamp(now_us // SECOND_US, UTC).astimezone(HST)
    minute = 60 * now.hour + now.minute
    return next((each.kib_per_second for each in windows if each.holds_at(minute)), usual_kib)
