"""What the ledger says of a night that decides which orders do something (`vampd.allowed`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from vampd.allowed import Outcome, decide
from vampd.background.reclaim.outcome import what_is_done
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.layout import BACKUP_ENDING, OUTPUT_FOLDER
from vampd.ledger import (
    files,
    hooks,
    legacy,
    live,
    mail_tracks,
    nights,
    outputs,
    reclaims,
    requests,
    strays,
    tasks,
    trash,
    unseen,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night, RawFile
from vampd.orders.context import CommandResult
from vampd.orders.mail_facts import mail_facts
from vampd.standing import Standing
from vampd.states import (
    STAGES_OF,
    UNSEEN_HOLDS,
    HookState,
    RequestState,
    Space,
    Stage,
    StrayState,
    TaskState,
    UnseenSort,
)
from vampd.verbs import Verb
from vampd.watch.incumbent import signs_of


def standing_of(ledger: Ledger, night: Night) -> Standing:
    """All that decides, as the ledger knows it now."""
    last = ledger.value(
        "select state from frame_request where night = ? order by id desc limit 1", [night.id]
    )
    away = strays.holding(ledger, night)
    foreign, has_outputs = _foreign(ledger, night), _has_outputs(ledger, night)
    pin = trash.pinned(ledger, night.id)
    return Standing(
        night=nights.label(night),
        date=_name(ledger, night),
        status=night.status,
        hold=nights.hold_of(night),
        hold_text=night.hold or "",
        cause=night.cause or "",
        is_closed=night.closed_us is not None,
        is_close_asked=night.close_asked_by is not None,
        is_told=mail_tracks.is_told(ledger.connection, night.id),
        was_safe=night.safe_us is not None or night.batch > 1,
        has_outputs=has_outputs,
        is_restorable=has_outputs or foreign is not None,
        is_provisional=live.is_unconfirmed(ledger, night),
        troubled=_troubled(ledger, night),
        foreign=foreign,
        away=_away(ledger, night),
        raw_away=away[0].path if away else None,
        incomplete=trash.why_incomplete(ledger, night.id),
        unseen=bool(unseen.holding(ledger, night.id)),
        unseen_cubes=len(files.unseen_quarantined(ledger, night.id)),
        skipped=night.ids_skip_why,
        has_numbers=_has_numbers(ledger, night),
        is_numbered=Stage.FRAME_IDS in STAGES_OF[night.kind],
        is_unclear=requests.open_request(ledger, night.id) is not None,
        is_void=last == RequestState.VOID,
        kept=None if pin is None else pin.why,
        is_being_verified=night.verify_asked_by is not None,
        failed_hooks=sum(
            run.state is HookState.FAILED for run in hooks.runs(ledger.connection, night.id)
        ),
        **_space_facts(ledger, night),
        **mail_facts(ledger, night),
    )


def standing_as_read(reader: Reader, night: Night) -> Standing:
    """The same by a connection that need not write; where an order looks at the disk, it is well.

    What the order itself finds there decides in the end.
    """
    return replace(standing_of(Ledger(reader, SystemClock()), night), raw_away=None)


def _space_facts(ledger: Ledger, night: Night) -> dict[str, Any]:
    """What is being given back of it, or may be."""
    row = reclaims.open_of(ledger, night.id)
    lies = trash.to_put_back(ledger, night.id) or trash.on_their_way(ledger, night.id)
    return {
        "is_on_its_way_out": bool(row is not None or lies),
        "giving_back": None
        if row is None
        else what_is_done(Space(row.space), final=bool(row.final)),
        "undecided": len(trash.undecided(ledger, night.id)),
        "proofs": ledger.value("select count(*) from rebuild_proof where night = ?", [night.id]),
    }


def nothing_to_do(ledger: Ledger, night: Night, verb: Verb, **more: Any) -> CommandResult | None:
    """What *verb* answers where it does nothing; None: it does something.

    *more*: fields of the standing that the order knows better. OperatorError: it is refused.
    """
    verdict = decide(replace(standing_of(ledger, night), **more), verb)
    if verdict.outcome is Outcome.REFUSED:
        raise OperatorError(verdict.why)
    if verdict.outcome is Outcome.NOTHING:
        return CommandResult(lines=[verdict.why], changed=False)
    return None


def _name(ledger: Ledger, night: Night) -> str:
    twins = ledger.value("select count(*) from night where date = ?", [night.date])
    return night.date if twins == 1 else f"{night.date} --kind {night.kind}"


def file_facts(ledger: Ledger, night: Night, row: RawFile) -> dict[str, Any]:
    """Fields of the standing that are of one file of the night."""
    twins = {twin.id for twin in files.twins(ledger, row)}
    found = {stray.state for stray in strays.strays_of(ledger, night.id) if stray.raw_file in twins}
    return {
        "path": row.path,
        "file_state": row.state,
        "is_raw": row.role in {"cube", "timing"},
        "is_old": row.batch < night.batch,
        "has_outputs": bool(outputs.outputs_of_batch(ledger, night.id)),
        "is_stray": bool(found),
        "is_unread": found == {StrayState.UNREAD},
    }


def has_work(ledger: Ledger, night: Night, stages: Sequence[Stage]) -> bool:
    """Whether work of any of these stages was ever begun."""
    return any(task.stage in stages for task in tasks.tasks_of(ledger, night.id))


def _has_outputs(ledger: Ledger, night: Night) -> bool:
    return ledger.value("select 1 from output where night = ? limit 1", [night.id]) is not None


def _troubled(ledger: Ledger, night: Night) -> int:
    count: int = ledger.value(
        "select count(*) from task where night = ? and (state = 'failed'"
        " or (state = 'pending' and due_us > 0))",
        [night.id],
    )
    return count


def _foreign(ledger: Ledger, night: Night) -> str | None:
    """What of the earlier pipeline stands where the raw files belong."""
    if not legacy.is_foreign(ledger, night.id):
        return None
    signs = signs_of(Path(night.folder))
    names = [name for name in signs if name == OUTPUT_FOLDER or name.endswith(BACKUP_ENDING)]
    return f"{', '.join(names)} stand in {night.folder}" if names else None


def _away(ledger: Ledger, night: Night) -> str | None:
    """A night whose folder went with its files cannot be taken as it is."""
    is_held = nights.hold_of(night) in UNSEEN_HOLDS
    found = [row for row in unseen.holding(ledger, night.id) if row.sort == UnseenSort.FOLDER]
    return found[0].text if is_held and found and files.files_of(ledger, night.id) else None


def _has_numbers(ledger: Ledger, night: Night) -> bool:
    states = {
        state
        for (state,) in ledger.rows(
            "select state from task where night = ? and batch = ? and stage = ?",
            [night.id, night.batch, Stage.FRAME_IDS],
        )
    }
    return states == {TaskState.DONE}
