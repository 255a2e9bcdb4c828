"""What of a night, or beside the nights, nobody takes: kept until it is no more, told everywhere.

What of it could be the cameras' data holds its night until it is taken, gone, or an operator says
that the night is to be taken as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from vampd.causes import Cause
from vampd.ledger import nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import UnseenRow
from vampd.ledger.rows import fetch_all
from vampd.records import Unseen
from vampd.states import FINAL, UNSEEN_HOLDS, HoldCode, UnseenSort

#: What a look at a night's folder finds.
LOOKED_AT = frozenset(
    {
        UnseenSort.LINK,
        UnseenSort.NAME,
        UnseenSort.PACKED,
        UnseenSort.PLACE,
        UnseenSort.KIND,
        UnseenSort.UNREADABLE,
        UnseenSort.FOREIGN,
    }
)

#: What the ledger itself shows.
KNOWN = frozenset({UnseenSort.TWICE, UnseenSort.DATE, UnseenSort.UNUSABLE, UnseenSort.ALONE})

#: Why a night is held, by the first of what holds it; what lies where nothing is taken otherwise.
_HOLDS = {
    UnseenSort.FOLDER: HoldCode.FOLDER_AWAY,
    UnseenSort.DATE: HoldCode.ANOTHER_DATE,
    UnseenSort.UNUSABLE: HoldCode.NO_CUBE,
}

_GONE = "it is no more, or it is taken now"


def renew(
    ledger: Ledger,
    night: int | None,
    sorts: Collection[UnseenSort],
    found: Iterable[Unseen],
    *,
    below: str = "",
) -> list[Unseen]:
    """Let *found* be all of these *sorts* of a night; without one, of all beside nights *below*.

    Returns those that are new. What an operator accepted stays so until it is more than it was.
    """
    known = {
        (UnseenSort(row.sort), row.place): row
        for row in fetch_all(UnseenRow, ledger, "select * from unseen where night is ?", [night])
        if row.sort in sorts and row.place.startswith(below)
    }
    there = {(each.sort, each.place): each for each in found}
    new = []
    for key in known.keys() - there.keys():
        ledger.execute(
            "update unseen set changed_us = :changed_us, changed_by = :changed_by, why = :why"
            " where id = :id",
            {**ledger.stamp(_GONE), "id": known[key].id},
        )
        ledger.execute("delete from unseen where id = ?", [known[key].id])
    for key, each in there.items():
        if key not in known:
            _insert(ledger, night, each)
            new.append(each)
        elif _differs(known[key], each):
            _update(ledger, known[key], each)
    return new


def unseen_of(ledger: Ledger, night: int) -> list[UnseenRow]:
    """All of a night, what could be data first."""
    return fetch_all(
        UnseenRow,
        ledger,
        "select * from unseen where night = ? order by is_data desc, place, sort",
        [night],
    )


def holding(ledger: Ledger, night: int) -> list[UnseenRow]:
    """That for which a night is, or would be, held."""
    return [row for row in unseen_of(ledger, night) if row.is_data and not row.accepted]


def review(ledger: Ledger, night: int, *, is_over: bool) -> str | None:
    """Hold a night for what is not taken of it, or let it go on; why, where it is held anew.

    One whose files still arrive is held when it *is_over*: until then there is time to mend it.
    """
    row = nights.get_night(ledger, night)
    found = [] if row.status in FINAL else holding(ledger, night)
    if not found:
        nights.lift(ledger, night, UNSEEN_HOLDS, "nothing is left that nobody takes")
        return None
    if not (is_over or row.closed_us is not None or nights.hold_of(row) in UNSEEN_HOLDS):
        return None
    cause = hold_cause(found)
    is_new = nights.hold_while(ledger, night, cause, like=UNSEEN_HOLDS)
    return str(cause) if is_new else None


def hold_cause(found: Sequence[UnseenRow]) -> Cause:
    """Why a night is held: every place, the first on the first line."""
    code = _HOLDS.get(UnseenSort(found[0].sort), HoldCode.NOT_TAKEN)
    return Cause(code, {"what": "\n".join(row.text for row in found)})


def accept(ledger: Ledger, night: int, why: str) -> list[str]:
    """Take a night as it is, whatever is not taken of it; returns what that is, in words."""
    found = holding(ledger, night)
    for row in found:
        ledger.execute(
            "update unseen set accepted = 1, changed_us = :changed_us, changed_by = :changed_by,"
            " why = :why where id = :id",
            {**ledger.stamp(why), "id": row.id},
        )
    return [row.text for row in found]


def _differs(row: UnseenRow, each: Unseen) -> bool:
    # Somebody's log grows all night: that is no news.
    names = ("text", "entries") if each.sort is UnseenSort.FOREIGN else _COLUMNS
    return any(getattr(row, name) != getattr(each, name) for name in names)


_COLUMNS = ("text", "is_data", "entries", "size_bytes")


def _insert(ledger: Ledger, night: int | None, each: Unseen) -> None:
    ledger.insert(
        "unseen",
        night=night,
        place=each.place,
        sort=each.sort,
        **{name: getattr(each, name) for name in _COLUMNS},
        found_us=ledger.now_us(),
        **ledger.stamp(each.text),
    )


def _update(ledger: Ledger, row: UnseenRow, each: Unseen) -> None:
    is_more = each.entries > row.entries or each.size_bytes > row.size_bytes
    ledger.update(
        "unseen",
        row.id,
        **{name: getattr(each, name) for name in _COLUMNS},
        accepted=0 if is_more else row.accepted,
        **ledger.stamp(each.text),
    )
