"""What the ledger shows of a night's cubes that an operator should know before it is taken.

Nothing here is lost: but none of it may end in a quiet "empty" or "safe".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.records import Unseen
from vampd.states import FileState, UnseenSort
from vampd.time_units import DAY_US, date_ends_us
from vampd.watch.naming import night_date
from vampd.watch.unseen import TOP

# A folder may span more than its date and the next; a logger that nobody stops, some days.
_FAR_US = 7 * DAY_US
_CUBES_LOOKED_AT = 50  # for whether a trigger fired both cameras


class _Timed(Struct, frozen=True, kw_only=True):
    """A whole cube by its own times."""

    path: str
    first_us: int
    size_bytes: int
    is_far: bool  #: from the folder's date


def known_of(ledger: Ledger, night: Night, *, is_closing: bool) -> Iterator[Unseen]:
    """Judge what the ledger holds of a night, as it *is_closing* or before."""
    yield from _unusable(ledger, night)
    yield from _far_off(ledger, night)
    yield from _twice(ledger, night)
    if is_closing or night.closed_us is not None:
        yield from _alone(ledger, night)


def _unusable(ledger: Ledger, night: Night) -> Iterator[Unseen]:
    """Every cube of a first batch is quarantined: nothing would be made of the night."""
    rows = fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and size_bytes > 0"
        " and role in ('cube', 'temporary') and state not in ('gone', 'ignored')"
        " order by role, path",
        [night.id],
    )
    if not rows or night.batch > 1 or any(row.state != FileState.QUARANTINED for row in rows):
        return
    first = rows[0]
    every = "its one cube is" if len(rows) == 1 else f"all {len(rows)} cubes are"
    yield Unseen(
        place=TOP,
        sort=UnseenSort.UNUSABLE,
        text=f"{every} quarantined; {first.path}: {first.reason}",
        is_data=True,
        entries=len(rows),
        size_bytes=sum(row.size_bytes for row in rows),
    )


def _far_off(ledger: Ledger, night: Night) -> Iterator[Unseen]:
    """Cubes whose times are far from the folder's date; where all are, it may be another's."""
    date = night_date(night.date)
    assert date is not None
    ends_us = date_ends_us(date)
    rows = fetch_all(
        _Timed,
        ledger,
        "select path, first_us, size_bytes, (first_us < ? or first_us > ?) as is_far from cube"
        " join raw_file on raw_file.id = cube.raw_file"
        " where night = ? and state = 'whole' and first_us is not null order by path",
        [ends_us - DAY_US - _FAR_US, ends_us + _FAR_US, night.id],
    )
    far = [row for row in rows if row.is_far]
    if not far:
        return
    is_all = len(far) == len(rows)
    yield Unseen(
        place=TOP,
        sort=UnseenSort.DATE,
        text=f"{len(far)} of {len(rows)} cubes were taken far from {night.date} by their own"
        f" times: {far[0].path} on {_day(far[0].first_us)}",
        is_data=is_all,
        entries=len(far),
        size_bytes=sum(row.size_bytes for row in far),
    )


def _twice(ledger: Ledger, night: Night) -> Iterator[Unseen]:
    """The same cubes in a night of the other kind: both are nights, and both are delivered."""
    other = fetch_one(
        Night, ledger, "select * from night where date = ? and kind != ?", [night.date, night.kind]
    )
    if other is None:
        return
    count, size_bytes = ledger.rows(
        "select count(*), coalesce(sum(own.size_bytes), 0) from raw_file own join raw_file other"
        " on other.night = ? and other.path = own.path and other.size_bytes = own.size_bytes"
        " where own.night = ? and own.role = 'cube' and own.state not in ('gone', 'ignored')"
        " and (other.state != 'gone' or ?)",
        [other.id, night.id, other.closed_us is not None],
    )[0]
    if count:
        cubes = "1 cube has" if count == 1 else f"{count} cubes have"
        yield Unseen(
            place=TOP,
            sort=UnseenSort.TWICE,
            text=f"{cubes} name and size of those of {other} ({other.folder})",
            is_data=False,
            entries=count,
            size_bytes=size_bytes,
        )


def _alone(ledger: Ledger, night: Night) -> Iterator[Unseen]:
    """Cubes of one camera alone that were taken with the trigger that fires both."""
    rows = ledger.rows(
        "select camera, count(*) as cubes from raw_file where night = ? and role = 'cube'"
        " and state not in ('gone', 'ignored') group by camera",
        [night.id],
    )
    if len(rows) != 1:
        return
    found = ledger.rows(
        "select cards from cube join raw_file on raw_file.id = cube.raw_file where night = ?"
        " limit ?",
        [night.id, _CUBES_LOOKED_AT],
    )
    if any(json.loads(cards).get("EXTTRIG") is True for (cards,) in found):
        camera, count = rows[0]
        yield Unseen(
            place=TOP,
            sort=UnseenSort.ALONE,
            text=f"camera {camera} alone: {count} cube{'' if count == 1 else 's'} with the trigger"
            f" of both cameras, and none of camera {3 - camera}",
            is_data=False,
            entries=count,
        )


def _day(time_us: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return f"{time_us / 1e6:.0f} s after 1970"
