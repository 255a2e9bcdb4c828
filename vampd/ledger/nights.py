"""Nights in the ledger."""

from __future__ import annotations

import logging
from pathlib import Path

from vampd.errors import OperatorError
from vampd.ledger.connection import Ledger, Row
from vampd.states import FINAL, HoldCode, Kind, NightStatus, may_move

log = logging.getLogger(__name__)

#: How the reason begins for which such a night is held.
TROUBLE = "vampd cannot go on with it"


def sight_night(ledger: Ledger, kind: Kind, date: str, folder: Path) -> Row:
    """The night's row, made when this is the first time that its folder is seen."""
    row = ledger.row("select * from night where kind = ? and date = ?", [kind, date])
    if row is None:
        now_us = ledger.now_us()
        number = ledger.insert(
            "night",
            kind=kind,
            date=date,
            folder=str(folder),
            status=NightStatus.COLLECTING,
            seen_us=now_us,
            last_change_us=now_us,
            **ledger.stamp("its folder was seen"),
        )
        return get_night(ledger, number)
    if row["folder"] != str(folder):
        ledger.update("night", row["id"], folder=str(folder))
        return get_night(ledger, row["id"])
    return row


def get_night(ledger: Ledger, number: int) -> Row:
    """The row of a night that exists."""
    row = ledger.row("select * from night where id = ?", [number])
    assert row is not None, number
    return row


def night_of_task(ledger: Ledger, task: Row) -> Row:
    """The night of a task, as of the task's batch: work of an earlier one may be done again."""
    names = [row["name"] for row in ledger.rows("pragma table_info(night)")]
    columns = ", ".join(name for name in names if name != "batch")
    row = ledger.row(
        f"select {columns}, ? as batch from night where id = ?",  # noqa: S608 - the schema's words
        [task["batch"], task["night"]],
    )
    assert row is not None, task["night"]
    return row


def find_night(ledger: Ledger, kind: str, date: str) -> Row:
    """The row of the night that an operator named. OperatorError: there is none."""
    row = ledger.row("select * from night where kind = ? and date = ?", [kind, date])
    if row is None:
        msg = f"{kind} {date}: vampd has never seen this night"
        raise OperatorError(msg)
    return row


def root_of(ledger: Ledger, night: Row) -> dict[str, str]:
    """The root in which a night lies, and the marker by which its disk is known; "": none."""
    root = str(Path(night["folder"]).parent)
    marker = ledger.value("select marker from root where path = ?", [root])
    return {"root": root, "marker": marker or ""}


def label(night: Row) -> str:
    """How messages name a night."""
    return f"{night['kind']} {night['date']}"


def set_status(
    ledger: Ledger,
    night: Row,
    status: NightStatus,
    cause: str | None,
    why: str | None = None,
) -> bool:
    """Bring the night to *status* with *cause*; return whether anything changed.

    The move is made only if the night still has the status that *night* shows.
    """
    old = NightStatus(night["status"])
    if old == status and night["cause"] == cause:
        return False
    if old != status and not may_move(old, status):
        msg = f"{label(night)} cannot go from {old} to {status}"
        raise OperatorError(msg)
    now_us = ledger.now_us()
    safe_us = night["safe_us"] or (now_us if status is NightStatus.SAFE else None)
    cursor = ledger.execute(
        "update night set status = :new, cause = :cause, safe_us = :safe_us,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where id = :id and status = :old",
        {
            **ledger.stamp(why or cause),
            "new": status,
            "cause": cause,
            "safe_us": safe_us,
            "id": night["id"],
            "old": old,
        },
    )
    return cursor.rowcount == 1


def hold(ledger: Ledger, night: int, why: str) -> None:
    """Hold a night until somebody releases it. The first such reason stays."""
    ledger.execute(
        "update night set hold = iif(hold_code is null, coalesce(hold, :why), :why),"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why where id = :id",
        {**ledger.stamp(why), "id": night},
    )


def hold_as(ledger: Ledger, night: int, code: HoldCode, why: str) -> bool:
    """Hold a night for a cause that is looked after; return whether that is new.

    Any other hold stays, and takes the place of this one when it comes: the cause itself is kept
    elsewhere, and holds the night again.
    """
    row = get_night(ledger, night)
    if row["hold"] == why or (row["hold"] is not None and row["hold_code"] != code):
        return False
    with ledger.transaction():
        ledger.update("night", night, hold=why, **ledger.stamp(why))
        ledger.update("night", night, hold_code=code)
    return row["hold"] is None


def lift(ledger: Ledger, night: int, code: HoldCode, why: str) -> bool:
    """The cause of such a hold is no more; return whether it was held for that."""
    held = bool(get_night(ledger, night)["hold_code"] == code)
    if held:
        ledger.update("night", night, hold=None, **ledger.stamp(why))
    return held


def hold_for_trouble(ledger: Ledger, night: int, words: str) -> bool:
    """Hold a night with which something goes wrong that nobody foresaw; return whether it is so.

    One at rest stays as it is: it lost nothing.
    """
    row = get_night(ledger, night)
    why = f"{TROUBLE}: {words}"
    if row["status"] in FINAL or row["hold"] not in {None, why}:
        return False
    if row["hold"] is None:
        hold(ledger, night, why)
        log.error("%s held: %s", label(row), why, extra={"NIGHT": row["date"]})
    return True


def note_change(ledger: Ledger, night: int) -> None:
    """One of the cameras' files appeared, changed or went."""
    ledger.update("night", night, last_change_us=ledger.now_us())
