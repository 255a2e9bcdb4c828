"""Frame IDs that were asked of somebody else: every request, and what became of it.

A request is written down before the issuer is asked. From then on it is open until its answer
is recorded; when that never happens, nobody but an operator can say what was dealt.
"""

from __future__ import annotations

from collections.abc import Sequence

from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_number
from vampd.ledger.records import Night
from vampd.ledger.rows import Record, fetch_one
from vampd.states import RequestState


class FrameRequest(Record, frozen=True, kw_only=True):
    """A request for frame IDs."""

    id: int
    night: int
    batch: int
    count: int
    issuer: str
    state: RequestState
    reply: str | None
    error: str | None
    asked_us: int
    changed_us: int
    changed_by: str
    why: str | None


def ask(ledger: Ledger, night: Night, count: int, issuer: str) -> int:
    """Write down that *count* numbers are going to be asked for; return the request's number.

    No two of a night are asked at the same microsecond: by it the night's paper knows them.
    """
    last_us = ledger.value("select max(asked_us) from frame_request where night = ?", [night.id])
    return ledger.insert(
        "frame_request",
        night=night.id,
        batch=night.batch,
        count=count,
        issuer=issuer,
        state=RequestState.ASKED,
        asked_us=max(ledger.now_us(), (last_us or 0) + 1),
        **ledger.stamp(f"{count} frame IDs are asked for"),
    )


def take_over(
    ledger: Ledger,
    night: Night,
    state: RequestState,
    *,
    asked_us: int,
    batch: int,
    count: int,
    issuer: str,
    reply: Sequence[str] | None,
) -> None:
    """Keep a request that only the night's paper tells of; one that is open excludes others."""
    ledger.insert(
        "frame_request",
        night=night.id,
        batch=batch,
        count=count,
        issuer=issuer,
        state=state,
        reply=None if reply is None else "\n".join(reply),
        asked_us=asked_us,
        **ledger.stamp("it stands in the night's paper"),
    )


def asked_at(ledger: Ledger, night: Night, asked_us: int) -> FrameRequest | None:
    """The request of a night that was asked then."""
    return fetch_one(
        FrameRequest,
        ledger,
        "select * from frame_request where night = ? and asked_us = ?",
        [night.id, asked_us],
    )


def open_request(ledger: Ledger, night: int) -> FrameRequest | None:
    """The request of a night of which nobody knows what became, if there is one."""
    return fetch_one(
        FrameRequest,
        ledger,
        "select * from frame_request where night = ? and state in ('asked', 'unclear')",
        [night],
    )


def decide(
    ledger: Ledger,
    request: int,
    state: RequestState,
    why: str,
    *,
    reply: Sequence[str] | None = None,
    error: str | None = None,
) -> bool:
    """Say what became of an open request; False when that was said before.

    Without *reply* and *error*, what is kept of them stays.
    """
    cursor = ledger.execute(
        "update frame_request set state = :state, reply = coalesce(:reply, reply),"
        " error = coalesce(:error, error), changed_us = :changed_us, changed_by = :changed_by,"
        " why = :why where id = :id and state in ('asked', 'unclear') and state != :state",
        {
            **ledger.stamp(why),
            "state": state,
            "reply": None if reply is None else "\n".join(reply),
            "error": error,
            "id": request,
        },
    )
    return cursor.rowcount == 1


def written_off(ledger: Ledger) -> set[int]:
    """Numbers that stand in replies of which an operator said that they are not to be used."""
    rows = ledger.rows("select reply from frame_request where state = 'void' and reply is not null")
    numbers = {frame_id_number(line.strip()) for row in rows for line in row["reply"].splitlines()}
    return {number for number in numbers if number is not None}


def choices(night: Night, request: FrameRequest) -> str:
    """What is unclear of an open request, and what an operator may type."""
    became = request.error or "whoever asked for them died before the answer was recorded"
    date = night.date
    return (
        f"{request.count} frame IDs were asked for ({request.issuer}), and it is unclear"
        f" which were dealt: {became}\n"
        f"look: vampd archive ids show {date}; then either: vampd archive ids adopt {date}"
        f" FIRST..LAST --why TEXT (these were dealt), or: vampd archive ids void {date}"
        " --why TEXT (they are written off)"
    )
