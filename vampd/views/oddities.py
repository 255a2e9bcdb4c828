"""What is odd about nights and stops nothing: one list, of which all views are made.

What of a night nobody takes, raw files of finished nights that are others now, and frames that came
to less than the limits ask for. What stops a night is its cause, and stands there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import UnseenRow
from vampd.ledger.rows import fetch_all
from vampd.states import FINAL, NightStatus, StrayState, UnseenSort

if TYPE_CHECKING:
    from vampd.ledger.records import Night

T = TypeVar("T")

_STRAY_WORDS = {
    StrayState.OTHER: "is another file now",
    StrayState.MISSING: "is gone, and vampd did not delete it",
    StrayState.UNREADABLE: "cannot be read any more",
}

QUALITY = "quality"
STRAY = "raw file"


class Oddity(Struct, frozen=True, kw_only=True):
    """One finding. *sort*: a word of UnseenSort, QUALITY or STRAY."""

    sort: str
    place: str
    text: str
    found_us: int
    is_told: bool  #: in every view; else where a night is told whole
    is_lasting: bool  #: somebody can mend it, and is told until that is done
    accepted: bool = False


class Beside(Struct, frozen=True, kw_only=True):
    """Something beside the nights of a root that could be the cameras'."""

    place: str
    text: str
    found_us: int


class _UnseenOfNight(UnseenRow, frozen=True, kw_only=True):
    night: int


class _Stray(Struct, frozen=True, kw_only=True):
    """A raw file that does not lie in its folder as it was recorded."""

    night: int
    state: StrayState
    changed_us: int
    path: str


class _Finding(Struct, frozen=True, kw_only=True):
    """What of a whole night was outside its limits."""

    night: int
    text: str


def oddities(reader: Reader, chosen: Sequence[Night]) -> Mapping[int, list[Oddity]]:
    """All of each night of *chosen*; nights without any are left out."""
    nights = {night.id: night for night in chosen}
    found: dict[int, list[Oddity]] = defaultdict(list)
    for unseen in _rows(_UnseenOfNight, reader, _UNSEEN, nights):
        night = nights[unseen.night]
        found[night.id].append(_not_taken(night, unseen))
    final = {number: night for number, night in nights.items() if night.status in FINAL}
    for number, rows in _by_night(_rows(_Stray, reader, _STRAYS, final)).items():
        missing = [row for row in rows if row.state == StrayState.MISSING]
        others = [row for row in rows if row.state != StrayState.MISSING]
        found[number] += [_strays(some) for some in (others, missing) if some]
    for row in _rows(_Finding, reader, _FINDINGS, nights):
        night = nights[row.night]
        found[night.id].append(_finding(night, row.text))
    return found


def beside(reader: Reader) -> Iterator[Beside]:
    """What could be the cameras' and lies beside the nights."""
    query = "select place, text, found_us from unseen where night is null order by place"
    yield from fetch_all(Beside, reader, query)


_UNSEEN = "select * from unseen where night in ({}) order by is_data desc, place, sort"
_STRAYS = (
    "select stray.night, stray.state, stray.changed_us, raw_file.path from stray"
    " join raw_file on raw_file.id = stray.raw_file where stray.night in ({})"
    " and stray.state != 'unread' order by path"
)
_FINDINGS = (
    "select night, text from report where night in ({}) and stage = 'sync' and raw_file is null"
    " order by id"
)


def _rows(
    cls: Callable[..., T], reader: Reader, query: str, nights: Mapping[int, Night]
) -> list[T]:
    if not nights:
        return []
    numbers = sorted(nights)
    return fetch_all(cls, reader, query.format(", ".join("?" * len(numbers))), numbers)


def _by_night(rows: Sequence[_Stray]) -> Mapping[int, list[_Stray]]:
    found: dict[int, list[_Stray]] = defaultdict(list)
    for row in rows:
        found[row.night].append(row)
    return found


def _not_taken(night: Night, row: UnseenRow) -> Oddity:
    is_held_for_it = row.text in (night.hold or "")
    is_quiet = row.sort == UnseenSort.FOREIGN and night.status is not NightStatus.EMPTY
    by = f" (left as it is, {row.changed_by})" if row.accepted else ""
    return Oddity(
        sort=row.sort,
        place=row.place,
        text=row.text + by,
        found_us=row.found_us,
        is_told=not (is_held_for_it or is_quiet or row.accepted),
        is_lasting=row.is_data,
        accepted=row.accepted,
    )


def _strays(rows: Sequence[_Stray]) -> Oddity:
    first = rows[0]
    words = _STRAY_WORDS[first.state]
    more = ""
    if len(rows) > 1:
        more = f", and so {'is' if len(rows) == 2 else 'are'} {len(rows) - 1} more raw file"
        more += "s" if len(rows) > 2 else ""
    return Oddity(
        sort=STRAY,
        place=first.path,
        text=f"{first.path} {words}{more}; what was made of it is as it was",
        found_us=first.changed_us,
        is_told=True,
        is_lasting=first.state is not StrayState.MISSING,  # it may be for good
    )


def _finding(night: Night, text: str) -> Oddity:
    return Oddity(
        sort=QUALITY,
        place=".",
        text=text,
        found_us=night.closed_us or night.changed_us,
        is_told=text not in (night.hold or ""),
        is_lasting=False,
    )
