"""Frame IDs: reserved durably before use, never dealt twice, none lost without a row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vampd.errors import IntegrityError, OperatorError, UsageError
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import Record

LAST = 99_999_999

_MOST_IN_RANGE = 1_000_000
_FRAME_ID = re.compile(r"VMPA([0-9]{8})")


class FrameId(Record, frozen=True, kw_only=True):
    """A number that was dealt, or that others used."""

    number: int
    night: int
    batch: int
    content_key: str | None
    state: str  #: reserved, bound, void
    is_foreign: bool
    reserved_us: int
    changed_us: int
    changed_by: str
    why: str | None


def frame_id_text(number: int) -> str:
    """`VMPAnnnnnnnn`: the instrument's three letters, the type, and eight digits."""
    return f"VMPA{number:08d}"


def frame_id_number(text: str) -> int | None:
    """The number of `VMPAnnnnnnnn`, or of plain digits; None where *text* is neither."""
    match = _FRAME_ID.fullmatch(text) or re.fullmatch(r"([0-9]{1,8})", text)
    return None if match is None or int(match[1]) == 0 else int(match[1])


def parse_range(text: str) -> list[int]:
    """The numbers of `FIRST..LAST`, of `ID,ID`, or of both, ascending. UsageError: of neither."""
    found: set[int] = set()
    for part in text.split(","):
        first, sign, last = (word.strip() for word in part.partition(".."))
        low, high = frame_id_number(first), frame_id_number(last if sign else first)
        if low is None or high is None or high < low or high - low >= _MOST_IN_RANGE:
            msg = f"{part!r} is no frame ID, and no range VMPA00425189..VMPA00425200"
            raise UsageError(msg)
        found |= set(range(low, high + 1))
    return sorted(found)


def unnumbered(ledger: Ledger, night: Night, content_keys: Sequence[str]) -> list[str]:
    """Those contents of the night's batch that have no frame ID yet, in the order given.

    IntegrityError: two contents are the same.
    """
    if len(set(content_keys)) != len(content_keys):
        msg = f"{len(content_keys)} outputs, {len(set(content_keys))} frame IDs: some are the same"
        raise IntegrityError(msg)
    bound = bound_of(ledger, night)
    return [key for key in content_keys if key not in bound]


def bound_of(ledger: Ledger, night: Night) -> dict[str, int]:
    """The numbers bound to contents of the night's batch."""
    rows = ledger.rows(
        "select number, content_key from frame_id"
        " where night = ? and batch = ? and state = 'bound'",
        [night.id, night.batch],
    )
    return {row["content_key"]: row["number"] for row in rows}


def reserved_of(ledger: Ledger, night: Night) -> list[int]:
    """Numbers that were dealt to the night's batch, and belong to no content yet; ascending."""
    rows = ledger.rows(
        "select number from frame_id where night = ? and batch = ? and state = 'reserved'"
        " order by number",
        [night.id, night.batch],
    )
    return [row["number"] for row in rows]


def reserve(ledger: Ledger, night: Night, numbers: Sequence[int], why: str) -> None:
    """Write *numbers* down as the night's, durably, before anything may bear them.

    OperatorError: there is no such number. sqlite3.IntegrityError: one was dealt before.
    """
    with ledger.transaction():
        for number in numbers:
            if number > LAST:
                msg = f"the frame IDs are used up: {number} has more than eight digits"
                raise OperatorError(msg)
            ledger.insert(
                "frame_id",
                number=number,
                night=night.id,
                batch=night.batch,
                state="reserved",
                reserved_us=ledger.now_us(),
                **ledger.stamp(why),
            )


def plan_bind(ledger: Ledger, night: Night, content_keys: Sequence[str]) -> dict[str, int]:
    """Which number each content of the night is to have, those that are bound already included.

    IntegrityError: fewer numbers are reserved than are needed.
    """
    wanting = unnumbered(ledger, night, content_keys)
    reserved = reserved_of(ledger, night)
    if len(reserved) < len(wanting):
        msg = f"{len(wanting)} frame IDs are needed, and {len(reserved)} are reserved"
        raise IntegrityError(msg)
    bound = bound_of(ledger, night)
    kept = {key: bound[key] for key in content_keys if key in bound}
    return kept | dict(zip(wanting, reserved, strict=False))


def bind(
    ledger: Ledger, night: Night, content_keys: Sequence[str], *, is_part: bool = False
) -> dict[str, int]:
    """Bind reserved numbers to the contents of a night that have none; return all, by content.

    A content that has a number keeps it; the others get theirs in the order given. Numbers of
    contents that are no more, and what is left of the reserved ones, become void; but where these
    contents are only *is_part* of what the night will have, a content that is none of them keeps
    its number: after a ledger was lost it may be planned again. All in one transaction.
    IntegrityError: fewer numbers are reserved than are needed.
    """
    with ledger.transaction():
        planned = plan_bind(ledger, night, content_keys)
        bound, reserved = bound_of(ledger, night), reserved_of(ledger, night)
        for key in () if is_part else bound.keys() - planned.keys():
            _move(ledger, bound[key], "void", None, "its output is no longer part of the night")
        for key in planned:
            if key not in bound:
                _move(ledger, planned[key], "bound", key, "bound to its output")
        for number in set(reserved) - set(planned.values()):
            _move(ledger, number, "void", None, "dealt, but no output needs it any more")
        return bound_of(ledger, night)


def tell_foreign(ledger: Ledger) -> None:
    """Tell numbers that others used from our own in rows that an older vampd wrote."""
    ledger.execute(
        "update frame_id set is_foreign = 1 where state = 'void'"
        " and why like 'used by the earlier pipeline: %'"
    )


def void(ledger: Ledger, number: int, why: str) -> None:
    """Nothing bears this number any more, and nothing ever will."""
    _move(ledger, number, "void", None, why)


def _move(ledger: Ledger, number: int, state: str, content_key: str | None, why: str) -> None:
    ledger.execute(
        "update frame_id set state = :state, content_key = coalesce(:content_key, content_key),"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why where number = :number",
        {**ledger.stamp(why), "state": state, "content_key": content_key, "number": number},
    )


def take_over(
    ledger: Ledger,
    night: int,
    number: int,
    *,
    batch: int,
    content_key: str | None,
    state: str,
    why: str,
) -> None:
    """Have *number* as the papers of its night say, in place of what is known of it."""
    ledger.execute(
        "insert into frame_id (number, night, reserved_us, batch, content_key, state, is_foreign,"
        " changed_us, changed_by, why) values (:number, :night, :reserved_us, :batch, :content_key,"
        " :state, 0, :changed_us, :changed_by, :why)"
        " on conflict (number) do update set batch = :batch, content_key = :content_key,"
        " state = :state, is_foreign = 0, changed_us = :changed_us, changed_by = :changed_by,"
        " why = :why",
        {
            "number": number,
            "night": night,
            "reserved_us": ledger.now_us(),
            "batch": batch,
            "content_key": content_key,
            "state": state,
            **ledger.stamp(why),
        },
    )


def void_unknown(ledger: Ledger, night: Night, number: int, why: str, *, is_foreign: bool) -> None:
    """A number of which no row is there is used: it is the night's, void, and never dealt again."""
    ledger.insert(
        "frame_id",
        number=number,
        night=night.id,
        batch=night.batch,
        state="void",
        is_foreign=int(is_foreign),
        reserved_us=ledger.now_us(),
        **ledger.stamp(why),
    )
