"""Nights in the ledger."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from vampd.causes import Cause
from vampd.errors import OperatorError
from vampd.io.root import NightPlace
from vampd.ledger import roots
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_one
from vampd.ledger.tasks import Task
from vampd.states import FINAL, LIFTED_HOLDS, HoldCode, Kind, NightStatus, may_move

log = logging.getLogger(__name__)


def sight_night(ledger: Ledger, kind: Kind, date: str, folder: Path) -> Night:
    """The night's row, made when this is the first time that its folder is seen."""
    row = fetch_one(Night, ledger, "select * from night where kind = ? and date = ?", [kind, date])
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
    if row.folder != str(folder):
        move_folder(ledger, row.id, str(folder))
        return get_night(ledger, row.id)
    return row


def get_night(ledger: Ledger, number: int) -> Night:
    """The row of a night that exists."""
    row = fetch_one(Night, ledger, "select * from night where id = ?", [number])
    assert row is not None, number
    return row


def batch_of(ledger: Ledger, night: int) -> int:
    """The batch of a night that is being worked on."""
    batch: int = ledger.value("select batch from night where id = ?", [night])
    return batch


def night_of_task(ledger: Ledger, task: Task) -> Night:
    """The night of a task, as of the task's batch: work of an earlier one may be done again."""
    return replace(get_night(ledger, task.night), batch=task.batch)


def known(ledger: Ledger, kind: Kind, date: str) -> Night | None:
    """The row of a night, if there is one."""
    return fetch_one(Night, ledger, "select * from night where kind = ? and date = ?", [kind, date])


def find_night(ledger: Ledger, kind: str, date: str) -> Night:
    """The row of the night that an operator named. OperatorError: there is none."""
    row = fetch_one(Night, ledger, "select * from night where kind = ? and date = ?", [kind, date])
    if row is None:
        msg = f"{kind} {date}: vampd has never seen this night"
        raise OperatorError(msg)
    return row


def place_of(ledger: Ledger, night: Night) -> NightPlace:
    """Where a night lies, and by what its disk is known."""
    root = str(Path(night.folder).parent)
    marker = roots.marker_of(ledger, root) or ""
    return NightPlace(folder=night.folder, root=root, marker=marker)


def label(night: Night) -> str:
    """How messages name a night."""
    return f"{night.kind} {night.date}"


def set_status(
    ledger: Ledger,
    night: Night,
    status: NightStatus,
    cause: Cause | None,
    why: str | None = None,
) -> bool:
    """Bring the night to *status* with *cause*; return whether anything changed.

    The move is made only if the night still has the status that *night* shows.
    """
    old = NightStatus(night.status)
    text = None if cause is None else str(cause)
    code = None if cause is None else cause.code
    if old == status and night.cause == text and night.cause_code == code:
        return False
    if old != status and not may_move(old, status):
        msg = f"{label(night)} cannot go from {old} to {status}"
        raise OperatorError(msg)
    now_us = ledger.now_us()
    safe_us = night.safe_us or (now_us if status is NightStatus.SAFE else None)
    cursor = ledger.execute(
        "update night set status = :new, cause = :cause, cause_code = :code, cause_words = :words,"
        " safe_us = :safe_us,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where id = :id and status = :old",
        {
            **ledger.stamp(why or text),
            "new": status,
            "cause": text,
            "code": code,
            "words": None if cause is None else json.dumps(cause.words),
            "safe_us": safe_us,
            "id": night.id,
            "old": old,
        },
    )
    return cursor.rowcount == 1


def hold_of(night: Night) -> HoldCode | None:
    """Why a night is held; None where it is not."""
    if night.hold is None:
        return None
    return HoldCode(night.hold_code or HoldCode.ORDER)


def cause_of_hold(night: Night) -> Cause | None:
    """The same with its sentence; a hold that has none of its own is an order's."""
    code = hold_of(night)
    if code is None or night.hold is None:
        return None
    if night.hold_words is None:
        return Cause(HoldCode.ORDER, {"why": night.hold})
    return Cause(code, json.loads(night.hold_words))


def hold(ledger: Ledger, night: int, cause: Cause) -> None:
    """Hold a night until somebody releases it. The first such hold stays."""
    if hold_of(get_night(ledger, night)) in {None, *LIFTED_HOLDS}:
        hold_instead(ledger, night, cause)


def hold_instead(ledger: Ledger, night: int, cause: Cause) -> None:
    """Hold a night, in place of any other hold."""
    text = str(cause)
    ledger.update(
        "night",
        night,
        hold=text,
        hold_code=cause.code,
        hold_words=json.dumps(cause.words),
        **ledger.stamp(text),
    )


def hold_while(ledger: Ledger, night: int, cause: Cause, *, like: frozenset[HoldCode]) -> bool:
    """Hold a night for as long as its *cause* is found; return whether it was not held before.

    In place of holds that are *like* it. Any other hold stays, and takes the place of this one when
    it comes: the cause itself is kept elsewhere, and holds the night again.
    """
    row = get_night(ledger, night)
    present = hold_of(row)
    if row.hold == str(cause) or present not in {None, *like}:
        return False
    hold_instead(ledger, night, cause)
    return present is None


def lift(ledger: Ledger, night: int, like: frozenset[HoldCode], why: str) -> bool:
    """The cause of such a hold is no more; return whether the night was held for that."""
    held = hold_of(get_night(ledger, night)) in like
    if held:
        let_go_on(ledger, night, why)
    return held


def let_go_on(ledger: Ledger, night: int, why: str | None = None) -> None:
    """Hold the night no longer."""
    stamp = {} if why is None else ledger.stamp(why)
    ledger.update("night", night, hold=None, hold_code=None, hold_words=None, **stamp)


def hold_for_trouble(ledger: Ledger, night: int, words: str) -> bool:
    """Hold a night with which something goes wrong that nobody foresaw; return whether it is so.

    One at rest stays as it is: it lost nothing.
    """
    row = get_night(ledger, night)
    cause = Cause(HoldCode.TROUBLE, {"error": words})
    if row.status in FINAL or row.hold not in {None, str(cause)}:
        return False
    if row.hold is None:
        hold(ledger, night, cause)
        log.error("%s held: %s", label(row), cause, extra={"NIGHT": row.date})
    return True


def note_change(ledger: Ledger, night: int) -> None:
    """One of the cameras' files appeared, changed or went."""
    ledger.update("night", night, last_change_us=ledger.now_us())


def move_folder(ledger: Ledger, night: int, folder: str) -> None:
    """The night's folder is *folder* from now on."""
    ledger.update("night", night, folder=folder)


def keep_folder_stamps(ledger: Ledger, night: int, stamps: Iterable[int]) -> None:
    """Keep when the folders of a night at rest changed last."""
    ledger.update("night", night, folder_stamps=json.dumps(list(stamps)))


def ask_to_close(ledger: Ledger, night: int) -> None:
    """Take a night as over at the next look, as the ledger's actor ordered."""
    ledger.update("night", night, close_asked_by=ledger.actor)


def mark_closed(ledger: Ledger, night: int, by: str) -> None:
    """The night is over as of now; *by* says who took it as over."""
    ledger.update("night", night, closed_us=ledger.now_us(), closed_by=by)


def mark_open(ledger: Ledger, night: int) -> None:
    """The night is not over, and nobody asked for it to be."""
    ledger.update("night", night, closed_us=None, closed_by=None, close_asked_by=None)


def begin_batch(ledger: Ledger, night: Night) -> None:
    """What comes from now on is the next batch; with it, the night is not safe."""
    ledger.update("night", night.id, batch=night.batch + 1, safe_us=None)


def drop_batch(ledger: Ledger, night: Night) -> None:
    """Nothing of the batch is left: the one before is the last again."""
    ledger.update("night", night.id, batch=night.batch - 1)


def unmark_safe(ledger: Ledger, night: int) -> None:
    """Since when a night is safe is to be found anew."""
    ledger.update("night", night, safe_us=None)


def skip_frame_ids(ledger: Ledger, night: int, why: str) -> None:
    """Younger nights do not wait for the frame IDs of this one any more."""
    ledger.update("night", night, ids_skip_why=why, **ledger.stamp(f"ids skip: {why}"))
