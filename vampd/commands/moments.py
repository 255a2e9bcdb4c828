"""Which moment an operator means: a time of the clock, or so long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from vampd.errors import UsageError
from vampd.time_units import HST

_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|h|d)(?: ago)?")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ](.*))?")


def parse_moment(text: str, *, now_us: int) -> int:
    """Microseconds since the epoch, UTC. UsageError: *text* is no moment.

    `2025-11-06T05:10`, `2025-11-06 05:10:00 UT`, `2025-11-05 19:10 HST`, `20251106` (its 0 h UT),
    or a time before *now_us*: `90s`, `15min`, `2h`, `3d`. Without a zone a time is UT.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now_us - round(float(ago[1]) * _SECONDS[ago[2]] * 1_000_000)
    match = _DATE.fullmatch(text.strip())
    try:
        if match is not None:
            return _of_clock("-".join(match.groups()[:3]), match[4] or "00:00")
    except ValueError:
        pass
    msg = (
        f"{text!r} is no time: write 2025-11-06T05:10 (UT), '2025-11-05 19:10 HST', 20251106, or"
        " 90s, 15min, 2h, 3d for so long ago"
    )
    raise UsageError(msg)


def _of_clock(date: str, text: str) -> int:
    zone: timezone = UTC
    for suffix, of_suffix in ((" HST", HST), (" UTC", UTC), (" UT", UTC), ("Z", UTC)):
        if text.endswith(suffix):
            text, zone = text.removesuffix(suffix), of_suffix
            break
    moment = datetime.fromisoformat(f"{date}T{text}")
    moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
