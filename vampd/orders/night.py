"""What operators order, carried out in the one process that writes.

Each order says what it does, or with `dry_run` would do, in sentences. Twice is once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vampd.causes import Cause
from vampd.errors import OperatorError, UsageError, VampdError
from vampd.ledger import (
    clock_words,
    deliveries,
    files,
    given_up,
    legacy,
    live,
    nights,
    outputs,
    strays,
    tasks,
    unseen,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.orders import clocks as clock_orders
from vampd.orders import (
    frame_ids as frame_id_orders,
)
from vampd.orders import (
    give_up as give_up_orders,
)
from vampd.orders import hooks as hook_orders
from vampd.orders import (
    legacy as legacy_orders,
)
from vampd.orders import (
    mail as mail_orders,
)
from vampd.orders import rebuild_proof as proof_orders
from vampd.orders import (
    reclaim as reclaim_orders,
)
from vampd.orders import (
    restore as restore_orders,
)
from vampd.orders import (
    verify as verify_orders,
)
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll
from vampd.orders.journal import tell
from vampd.orders.standing import file_facts, has_work, nothing_to_do, standing_of
from vampd.plain_text import first_line
from vampd.settings.sections import Config
from vampd.states import (
    UNSEEN_HOLDS,
    FileCode,
    FileState,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    WaitCode,
    stages_from,
)
from vampd.verbs import Verb
from vampd.watch.supplements import reopen

_RESTORED = Cause(HoldCode.RESTORED)
_BEING_RESTORED = Cause(HoldCode.BEING_RESTORED)


class Orders:
    """Carries orders out. *stop_work* and *beat*: see `CommandContext`."""

    def __init__(
        self,
        ledger: Ledger,
        config: Config,
        stop_work: Callable[[int], None] = lambda _: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self._ledger = ledger
        self._stop_work = stop_work
        self._beat = beat

    def carry_out(self, order: str, arguments: Mapping[str, Any], actor: str) -> dict[str, Any]:
        """Carry out *order* in the name of *actor*. OperatorError: it is refused."""
        context = CommandContext(
            ledger=self._ledger, config=self.config, stop_work=self._stop_work, beat=self._beat
        )
        before, self._ledger.actor = self._ledger.actor, actor
        known = order if order in ORDERS or order in ORDERS_OF_ALL else "something unknown"
        try:
            answer = _carry_out(context, order, arguments)
        except VampdError as error:
            tell(known, arguments, actor, f"refused: {first_line(str(error))}")
            raise
        finally:
            self._ledger.actor = before
        tell(known, arguments, actor, "done" if answer.changed else "nothing to be changed")
        told: dict[str, Any] = {"lines": answer.lines, "changed": answer.changed}
        return told | ({"batches": answer.batches} if answer.batches else {})


def _carry_out(context: CommandContext, order: str, arguments: Mapping[str, Any]) -> CommandResult:
    if order in ORDERS_OF_ALL:
        return ORDERS_OF_ALL[order](context, arguments)
    if order not in ORDERS:
        msg = f"{order} is not an order that this vampd knows"
        raise UsageError(msg)
    night = nights.find_night(context.ledger, arguments["kind"], arguments["date"])
    return ORDERS[order](context, night, arguments)


def _close(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.CLOSE)) is not None:
        return answer
    if not arguments["dry_run"]:
        nights.ask_to_close(context.ledger, night.id)
    line = "it is taken as over, without waiting for its date or for quiet"
    return CommandResult(lines=[line], changed=True)


def _retry(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if arguments.get("from"):
        return _retry_from(context, night, arguments)
    ledger = context.ledger
    troubled = standing_of(ledger, night).troubled
    answer, lines = _stopped(ledger, night, Verb.RETRY, arguments)
    if answer is not None:
        return answer
    lines += [_tried_again(troubled)] if troubled else []
    if night.hold is not None:
        lines.append(f"it is released from its hold: {night.hold}")
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            _release_hold(context.ledger, night, "retry")
            tasks.retry_failed(context.ledger, night.id, "retry")
    return CommandResult(lines=lines, changed=True)


def _tried_again(units: int) -> str:
    return f"{units} units of work are tried again now" if units > 1 else "it is tried again now"


def _retry_from(
    context: CommandContext, night: Night, arguments: Mapping[str, Any]
) -> CommandResult:
    try:
        stages = stages_from(Kind(night.kind), Stage(arguments["from"]))
    except ValueError as error:
        msg = f"{nights.label(night)} has no stage {arguments['from']}"
        raise UsageError(msg) from error
    if stages[0] is Stage.SYNC:
        return _replan(context, night, arguments)
    begun = has_work(context.ledger, night, stages)
    answer, lines = _stopped(
        context.ledger, night, Verb.REDO, arguments, has_work=begun, stage=str(stages[0])
    )
    if answer is not None:
        return answer
    if not arguments["dry_run"]:
        context.stop_work(night.id)
        with context.ledger.transaction():
            tasks.make_pending(context.ledger, night.id, stages, f"retry --from {stages[0]}")
            if Stage.TRANSFER in stages:
                deliveries.send_batch_again(context.ledger, night)
            _release_hold(context.ledger, night, "retry")
    return CommandResult(lines=[*lines, f"{', '.join(stages)} are done again"], changed=True)


def _replan(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """From the first stage on: what was made goes, and the night collects again."""
    given = {**arguments, "force": False, "prove": False}
    answer = CommandResult(lines=["it is restored already"], changed=True)
    if nights.hold_of(night) is not HoldCode.RESTORED:
        answer = _restore(context, night, given, verb=Verb.REPLAN)
    if not answer.changed:
        return answer
    if not arguments["dry_run"]:
        night = nights.get_night(context.ledger, night.id)
        _release_hold(context.ledger, night, "retry --from sync")
    return CommandResult(lines=[*answer.lines, "it is planned anew"], changed=True)


def _stopped(
    ledger: Ledger, night: Night, verb: Verb, arguments: Mapping[str, Any], **more: Any
) -> tuple[CommandResult | None, list[str]]:
    """Why *verb* does nothing, once its raw files were looked at; and what that look found.

    OperatorError: it is refused.
    """
    answer = nothing_to_do(ledger, night, verb, raw_away=None, **more)
    if answer is not None:
        return answer, []
    seen = restore_orders.look_at_strays(ledger, night, dry_run=arguments["dry_run"])
    if seen.away is not None:
        answer = nothing_to_do(ledger, night, verb, raw_away=seen.away, **more)
    return answer, seen.lines


def _restore(
    context: CommandContext,
    night: Night,
    arguments: Mapping[str, Any],
    verb: Verb = Verb.RESTORE,
) -> CommandResult:
    plan = restore_orders.plan_restore(context.ledger, night)
    if arguments.get("force"):
        verb = Verb.RESTORE_SAFE
    answer = nothing_to_do(context.ledger, night, verb, is_restorable=not plan.nothing_to_do)
    if answer is not None:
        return answer
    restore_orders.refuse_lost(context.ledger, night, context.beat)
    lines = plan.lines()
    if arguments["dry_run"]:
        return CommandResult(lines=lines, changed=True)
    context.stop_work(night.id)
    prove = bool(arguments.get("prove"))
    lines += restore_orders.prove_raw(context.ledger, night, context.beat, digests=prove)
    # Held before the first file goes: a power cut must not leave a night that goes on.
    # In place of any other reason: none of them may be what is released.
    nights.hold_instead(context.ledger, night.id, _BEING_RESTORED)
    if plan.renames:
        lines += legacy_orders.remember_frame_ids(context.ledger, night)
    restore_orders.delete_derived(plan)
    with context.ledger.transaction():
        outputs.forget_batches(context.ledger, night.id, str(_RESTORED))
        given_up.forget(context.ledger, night.id, str(_RESTORED))
        live.forget(context.ledger, night.id)
        tasks.forget_tasks(context.ledger, night.id, str(_RESTORED))
        nights.unmark_safe(context.ledger, night.id)
        nights.hold_instead(context.ledger, night.id, _RESTORED)
        _move_to_held(context.ledger, night)
    restore_orders.prove_raw(context.ledger, night, context.beat, digests=prove)
    lines.append("it is held until `vampd release` or `vampd retry`; far copies stay")
    return CommandResult(lines=lines, changed=True)


def _hold(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.HOLD)) is not None:
        return answer
    if not arguments["dry_run"]:
        nights.hold(context.ledger, night.id, Cause(HoldCode.ORDER, {"why": arguments["why"]}))
    return CommandResult(lines=["no more work of it is begun; what runs is finished"], changed=True)


def _release(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    answer, lines = _stopped(context.ledger, night, Verb.RELEASE, arguments)
    if answer is not None:
        return answer
    if night.hold is None:
        return _leave_as_it_is(context, night, arguments)
    if not arguments["dry_run"]:
        _release_hold(context.ledger, night, "release")
    return CommandResult(lines=[*lines, f"it goes on; it was held: {night.hold}"], changed=True)


def _leave_as_it_is(
    context: CommandContext, night: Night, arguments: Mapping[str, Any]
) -> CommandResult:
    """A night that goes on, or is at rest, whatever of it nobody takes: no more is told of that."""
    left = unseen.holding(context.ledger, night.id)
    if not arguments["dry_run"]:
        unseen.accept(context.ledger, night.id, "release")
    lines = ["it is not held; no more is said of:", *(row.text for row in left)]
    return CommandResult(lines=lines, changed=True)


def _release_hold(ledger: Ledger, night: Night, why: str) -> None:
    """Let a night go on; after a restore it collects again, for its folder may have changed.

    It is shown as held no more at once, for no daemon may run that would say so.
    """
    with ledger.transaction():
        legacy.release(ledger, night.id, why)
        if nights.hold_of(night) in UNSEEN_HOLDS:
            unseen.accept(ledger, night.id, why)
        nights.let_go_on(ledger, night.id, why)
        night = nights.get_night(ledger, night.id)
        has_tasks = ledger.value("select count(*) from task where night = ?", [night.id])
        if night.closed_us is not None and not has_tasks:
            reopen(ledger, night.id, why)
        elif night.status == NightStatus.HELD:
            is_open = night.closed_us is None
            status = NightStatus.COLLECTING if is_open else NightStatus.READY
            nights.set_status(ledger, night, status, None, why)


def _quarantine(
    context: CommandContext, night: Night, arguments: Mapping[str, Any]
) -> CommandResult:
    if arguments["action"] == "seen":
        return _seen(context, night, arguments)
    if arguments["action"] == "give up":
        return give_up_orders.give_up(context, night, arguments)
    row = files.find_file(context.ledger, night.id, arguments["path"])
    if row is None:
        msg = f"{nights.label(night)}: vampd knows no file {arguments['path']}"
        raise OperatorError(msg)
    is_in = row.state == FileState.QUARANTINED
    verb = Verb.ADD if arguments["action"] == "add" else Verb.ACCEPT
    facts = file_facts(context.ledger, night, row)
    facts.pop("has_outputs")  # those of any batch count
    answer = nothing_to_do(context.ledger, night, verb, **facts)
    if answer is not None:
        return answer
    lines = [f"{row.path} and its partner: {arguments['action']}"]
    is_reopened = is_in and night.status == NightStatus.EMPTY
    if is_reopened:
        lines.append("the night is no longer empty: it collects again, and is closed as others are")
    with context.ledger.in_vain() if arguments["dry_run"] else context.ledger.transaction():
        if arguments.get("clock"):
            clock, why = arguments["clock"], arguments.get("why")
            lines.append(clock_orders.state_clock(context.ledger, night, row, clock, why))
        _move_quarantine(context.ledger, row, arguments)
        if is_reopened:
            reopen(context.ledger, night.id, "a file that was quarantined is judged anew")
    return CommandResult(lines=lines, changed=True)


def _seen(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Somebody looked at the quarantined files, or at one of them: they are told no more."""
    if (answer := nothing_to_do(context.ledger, night, Verb.SEEN)) is not None:
        return answer
    wanted, dry_run = arguments.get("path"), arguments["dry_run"]
    found = [
        row
        for row in files.unseen_quarantined(context.ledger, night.id)
        if wanted in {None, "", row.path}
    ]
    if not found:
        msg = f"{nights.label(night)}: {wanted} is not a quarantined file that is still told"
        raise OperatorError(msg)
    with context.ledger.in_vain() if dry_run else context.ledger.transaction():
        for row in found:
            files.mark_seen(context.ledger, row, arguments["why"])
    lines = [f"{len(found)} quarantined files were looked at: they stay, and are told no more"]
    return CommandResult(lines=lines, changed=True)


def _move_quarantine(ledger: Ledger, row: RawFile, arguments: Mapping[str, Any]) -> None:
    with ledger.transaction():
        for twin in files.twins(ledger, row):
            if arguments["action"] == "add":
                why = arguments.get("why") or "on an operator's word"
                strays.drop(ledger, twin, why)
                clock_words.forget(ledger, twin.id, why)
                cause = Cause(FileCode.BY_HAND, {"why": why})
                files.set_state(ledger, twin.id, FileState.QUARANTINED, cause)
            else:
                files.set_state(ledger, twin.id, FileState.ARRIVING, Cause(FileCode.ANEW))
        strays.review(ledger, row.night)


def _abandon(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.ABANDON)) is not None:
        return answer
    if not arguments["dry_run"]:
        context.stop_work(night.id)
        nights.let_go_on(context.ledger, night.id)
        night = nights.get_night(context.ledger, night.id)
        given_up_for = Cause(WaitCode.GIVEN_UP, {"why": arguments["why"]})
        nights.set_status(context.ledger, night, NightStatus.ABANDONED, given_up_for)
    return CommandResult(lines=["nothing more is done for it; its raw files stay"], changed=True)


def _move_to_held(ledger: Ledger, night: Night) -> None:
    night = nights.get_night(ledger, night.id)
    nights.set_status(ledger, night, NightStatus.HELD, _RESTORED)


ORDERS: dict[str, Order] = {
    "close": _close,
    "retry": _retry,
    "restore": _restore,
    "hold": _hold,
    "release": _release,
    "quarantine": _quarantine,
    "abandon": _abandon,
    **reclaim_orders.ORDERS,
    **mail_orders.ORDERS,
    **hook_orders.ORDERS,
    **frame_id_orders.ORDERS,
    **proof_orders.ORDERS,
    **verify_orders.ORDERS,
}

ORDERS_OF_ALL: dict[str, OrderOfAll] = {
    **frame_id_orders.ORDERS_OF_ALL,
    **legacy_orders.ORDERS_OF_ALL,
    **mail_orders.ORDERS_OF_ALL,
    **reclaim_orders.ORDERS_OF_ALL,
    **verify_orders.ORDERS_OF_ALL,
}
