"""Frame IDs: reserved durably before use, never dealt twice, none lost without a row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vampd.errors import IntegrityError, OperatorError
from vampd.ledger.connection import Ledger

_LAST = 99_999_999


def frame_id_text(number: int) -> str:
    """`VMPAnnnnnnnn`: the instrument's three letters, the type, and eight digits."""
    return f"VMPA{number:08d}"


def frame_id_number(text: str) -> int | None:
    """The number of `VMPAnnnnnnnn`, or of plain digits; None where *text* is neither."""
    match = re.fullmatch(r"(?:VMPA(?=[0-9]{8}$))?([0-9]{1,8})", text)
    return None if match is None or int(match[1]) == 0 else int(match[1])


def bind(ledger: Ledger, night: int, content_keys: Sequence[str], *, first: int) -> dict[str, int]:
    """Give each content of a night a frame ID, in the order given; return number by content.

    A content that has one keeps it. Numbers bound to contents that are no more become void.
    New ones follow the highest ever dealt, and are never below *first*. All in one
    transaction: a crash leaves all of it or nothing.
    """
    with ledger.transaction():
        batch = ledger.value("select batch from night where id = ?", [night])
        rows = ledger.rows(
            "select number, content_key from frame_id"
            " where night = ? and batch = ? and state = 'bound'",
            [night, batch],
        )
        bound = {row["content_key"]: row["number"] for row in rows}
        for key in bound.keys() - set(content_keys):
            _void(ledger, bound.pop(key), "its output is no longer part of the night")
        highest = ledger.value("select max(number) from frame_id") or 0
        following = max(first, highest + 1)
        for key in content_keys:
            if key not in bound:
                bound[key] = following
                _reserve(ledger, following, night, batch, key)
                following += 1
        if len(set(bound.values())) != len(content_keys):
            msg = f"{len(content_keys)} outputs, {len(set(bound.values()))} frame IDs"
            raise IntegrityError(msg)
    return bound


def _reserve(ledger: Ledger, number: int, night: int, batch: int, content_key: str) -> None:
    if number > _LAST:
        msg = f"the frame IDs are used up: {number} has more than eight digits"
        raise OperatorError(msg)
    ledger.insert(
        "frame_id",
        number=number,
        night=night,
        batch=batch,
        content_key=content_key,
        state="bound",
        reserved_us=ledger.now_us(),
        **ledger.stamp("reserved and bound"),
    )


def _void(ledger: Ledger, number: int, why: str) -> None:
    ledger.execute(
        "update frame_id set state = 'void', changed_us = :changed_us, changed_by = :changed_by,"
        " why = :why where number = :number",
        {**ledger.stamp(why), "number": number},
    )
