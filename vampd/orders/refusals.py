"""Why an order about a night is refused, and what would be accepted instead.

Every message names only commands that are accepted in the state in which it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from vampd.errors import OperatorError
from vampd.ledger import mail_tracks, nights, tasks, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders import restore as restore_orders
from vampd.states import FINAL, HoldCode, NightStatus, Stage


def refuse_to_redo_finished(ledger: Ledger, night: Night) -> None:
    """OperatorError: the night is at its end; the message names only what would be accepted."""
    label, date = nights.label(night), night.date
    if night.status == NightStatus.EMPTY:
        msg = (
            f"{label} is empty: there is nothing to redo. A file that should not be in quarantine:"
            f" `vampd quarantine {date} FILE --accept`"
        )
        raise OperatorError(msg)
    if night.status not in FINAL:
        return
    if (why := trash.why_incomplete(ledger, night.id)) is not None:
        msg = f"{label} is {night.status}, and cannot be redone: {why}"
        raise OperatorError(msg)
    force = "" if night.status == NightStatus.ABANDONED else " --force"
    refuse_finished(
        night, f"redo it with `vampd restore {date}{force}`, then `vampd release {date}`"
    )


def refuse_without_work(ledger: Ledger, night: Night, stages: Sequence[Stage]) -> None:
    """OperatorError: no work of these stages was ever begun, so there is none to do again."""
    if any(task.stage in stages for task in tasks.tasks_of(ledger, night.id)):
        return
    label, date = nights.label(night), night.date
    if night.hold is not None:
        then = f"it is held: `vampd release {date}` lets it go on"
    elif night.closed_us is None:
        then = f"it comes by itself once the night is over; to end it now: `vampd close {date}`"
    else:
        then = "it comes by itself after the stages before"
    msg = f"{label}: nothing of {stages[0]} was done yet, so it cannot be done again; {then}"
    raise OperatorError(msg)


def refuse_finished(night: Night, advice: str) -> None:
    """OperatorError: the night is at its end; *advice* says what to do instead."""
    if night.status in FINAL:
        msg = f"{nights.label(night)} is {night.status}; {advice}"
        raise OperatorError(msg)


def refuse_abandoned(night: Night) -> None:
    """OperatorError: somebody gave the night up."""
    if night.status == NightStatus.ABANDONED:
        msg = (
            f"{nights.label(night)} is abandoned ({night.cause or 'no reason was given'}): to"
            " take it up again, `vampd restore`, then `vampd release`"
        )
        raise OperatorError(msg)


def refuse_half_restored(night: Night) -> None:
    """OperatorError: a restore of the night was cut short."""
    if nights.hold_of(night) is HoldCode.BEING_RESTORED:
        msg = f"{nights.label(night)}: its restore was cut short; `vampd restore` finishes it first"
        raise OperatorError(msg)


def refuse_safe(ledger: Ledger, night: Night, *, force: bool) -> None:
    """A hold of a safe night, or a copy that rots, does not undo what others were told."""
    was_safe = night.safe_us is not None or night.batch > 1
    is_safe = was_safe or night.status in {NightStatus.SAFE, NightStatus.RECLAIMED}
    if force or not (is_safe or mail_tracks.is_told(ledger.connection, night.id)):
        return
    what = "is safe at the far end" if is_safe else "was mailed to the archive"
    msg = f"{nights.label(night)} {what}; restoring would undo that (use --force)"
    raise OperatorError(msg)


def refuse_incomplete(ledger: Ledger, night: Night) -> None:
    """What was made of raw files that are in the trash, or gone, cannot be made again."""
    why = trash.why_incomplete(ledger, night.id)
    if why is not None:
        msg = f"{nights.label(night)}: {why}; nothing is restored"
        raise OperatorError(msg)
    restore_orders.refuse_lost(ledger, night)


def why_not_released(night: Night) -> str:
    """Why there is nothing to release, and what does something instead."""
    if night.status != NightStatus.HELD:
        return "it is not held"
    if night.cause_code == HoldCode.SHADOW:
        return "it rests there: a shadow does no more of it"
    return f"nobody holds it: work of it went wrong; `vampd retry {night.date}` tries it again"
