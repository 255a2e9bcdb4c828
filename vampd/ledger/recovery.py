"""What becomes of a night's rows that were loaded into a new ledger, in place of a lost one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.records import FileIdentity
from vampd.states import NightStatus, Stage

_OF_AN_EVENT = (
    "at_us",
    "subject",
    "subject_id",
    "was",
    "became",
    "actor",
    "why",
    "version",
    "about",
)


def set_status(ledger: Ledger, night: int, status: NightStatus, why: str | None = None) -> None:
    """The status follows from what came back, whatever it was before.

    With *why* the cause is forgotten, and the reason is kept.
    """
    rest = {} if why is None else {"cause": None, **ledger.stamp(why)}
    ledger.update("night", night, status=status, **rest)


def recognise(ledger: Ledger, raw_file: int, seen: FileIdentity) -> None:
    """The same bytes lie there as another file."""
    ledger.update("raw_file", raw_file, inode=seen.inode, modified_ns=seen.modified_ns)


def do_again(
    ledger: Ledger, night: Night, stage: Stage, unit: str, batch: int, *, why: str
) -> None:
    """Let a task of a batch be done again."""
    ledger.execute(
        "update task set state = 'pending', attempts = attempts + 1, error = null,"
        " error_class = null, error_code = null, failing_since_us = null, due_us = 0,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where night = :night and stage = :stage and unit = :unit and batch = :batch"
        " and state != 'pending'",
        {
            **ledger.stamp(why),
            "night": night.id,
            "stage": stage,
            "unit": unit,
            "batch": batch,
        },
    )


def stop_and_unverify(ledger: Ledger, night: int) -> None:
    """Nothing runs, and no copy counts as verified before it was read again."""
    ledger.execute(
        "update task set state = 'pending' where state = 'running' and night = ?", [night]
    )
    ledger.execute(
        "update deliverable set verified_us = null, verdict = null, detail = null where night = ?",
        [night],
    )
    ledger.update("night", night, safe_us=None, verified_us=None)


def unsend(ledger: Ledger, night: int) -> None:
    """No file counts as sent."""
    ledger.execute("update deliverable set sent_us = null where night = ?", [night])


def renew_space(ledger: Ledger, night: int, why: str) -> None:
    """Nothing of it goes on to give space back; what lies in the trash counts from now on.

    The time that the lost ledger had seen to pass is lost with it: this one's begins at 0.
    """
    ledger.execute("delete from trash where state = 'listed' and night = ?", [night])
    ledger.execute(
        "update trash set due_passed_us = 0, moved_passed_us = iif(moved_us is null, null, 0),"
        " moved_us = iif(moved_us is null, null, ?) where night = ?",
        [ledger.now_us(), night],
    )
    ledger.execute(
        "update reclaim set state = 'refused', changed_us = :changed_us, changed_by = :changed_by,"
        " why = :why where night = :night and state in ('verifying', 'moving')",
        {**ledger.stamp(why), "night": night},
    )


def forget_events(ledger: Ledger, night: int) -> None:
    """What making the night again wrote into its history is no history."""
    ledger.execute("delete from event where night = ?", [night])


def add_event(ledger: Ledger, night: int, event: Mapping[str, Any]) -> None:
    """An event as the night's journal tells it."""
    ledger.insert("event", **{name: event.get(name) for name in _OF_AN_EVENT}, night=night)


def add_move(
    ledger: Ledger, night: int, subject: tuple[str, int], was: str | None, became: str, *, why: str
) -> None:
    """An event of this moment: what the journal does not tell of."""
    ledger.execute(
        "insert into event (at_us, subject, subject_id, night, was, became, actor, why,"
        " version) select ?, ?, ?, ?, ?, ?, ?, ?, text from version",
        [ledger.now_us(), *subject, night, was, became, ledger.actor, why],
    )
