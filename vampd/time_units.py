"""Units of time, and the times that follow from two others. UTC, whole microseconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

SECOND_NS = 1_000_000_000

HST = timezone(timedelta(hours=-10))  #: Hawaii's time; it has no summer time


def date_ends_us(night: date) -> int:
    """When the night's UTC date ends, microseconds since the Unix epoch."""
    # Not "the next day": the last date that Python knows has none.
    begins = datetime(night.year, night.month, night.day, tzinfo=UTC)
    return round(begins.timestamp()) * SECOND_US + DAY_US
