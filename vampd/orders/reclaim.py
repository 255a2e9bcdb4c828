"""What operators order about space: keep, unkeep, undelete, reclaim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vampd.background.reclaim import moves as stage
from vampd.background.reclaim.facts import Proposal, proposals
from vampd.background.reclaim.job import begin_one, begin_run, chosen, move_job
from vampd.background.reclaim.outcome import end_refused, take_moves, what_is_done
from vampd.background.reclaim.rules import fit, gigabytes
from vampd.errors import OperatorError, RetryableError
from vampd.ledger import nights, reclaims, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, TrashFile
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll
from vampd.orders.standing import nothing_to_do
from vampd.states import NightStatus, TrashState
from vampd.verbs import Verb

_BATCH = 1000


def _keep(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    lying = trash.in_trash(context.ledger, night.id)
    hint = [f"{len(lying)} files of it lie in the trash: `vampd space undelete`"] if lying else []
    if (answer := nothing_to_do(context.ledger, night, Verb.KEEP)) is not None:
        return CommandResult(lines=[*answer.lines, *hint], changed=False)
    if not arguments["dry_run"]:
        trash.pin(context.ledger, night.id, arguments["why"])
    return CommandResult(
        lines=["nothing of it is given back until `vampd space keep --no`", *hint], changed=True
    )


def _unkeep(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.UNKEEP)) is not None:
        return answer
    pinned = trash.pinned(context.ledger, night.id)
    assert pinned is not None
    if not arguments["dry_run"]:
        trash.unpin(context.ledger, night.id, arguments.get("why"))
    line = f"its space may be given back when its time comes; it was kept: {pinned.why}"
    return CommandResult(lines=[line], changed=True)


def _undelete(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Stop what is under way with a night, and put back what lies in the trash."""
    ledger, number = context.ledger, night.id
    under_way = reclaims.open_of(ledger, number)
    lying = trash.to_put_back(ledger, number)
    moving = trash.on_their_way(ledger, number)
    if (answer := nothing_to_do(ledger, night, Verb.UNDELETE)) is not None:
        return CommandResult(lines=[*answer.lines, *_gone(ledger, number)], changed=False)
    lines = [f"{len(lying)} files, {_size(lying)}, are put back", *_gone(ledger, number)]
    if arguments["dry_run"]:
        return CommandResult(lines=lines, changed=True)
    if under_way is not None:
        end_refused(ledger, under_way, night, "undeleted by an operator")
    if moving:
        msg = f"{nights.label(night)}: {moving} files are on their way; no more follow: try again"
        raise RetryableError(msg)
    wrong = []
    for first in range(0, len(lying), _BATCH):
        wrong += _put_back(ledger, lying[first : first + _BATCH], context.beat)
    _back_to_safe(ledger, number)
    if wrong:
        msg = f"{nights.label(night)}: {len(wrong)} of {len(lying)} were not put back: {wrong[0]}"
        raise OperatorError(msg)
    return CommandResult(lines=[*lines, "`vampd space keep` has them stay"], changed=True)


def _put_back(ledger: Ledger, rows: list[TrashFile], beat: Callable[[], None]) -> list[str]:
    """Move files back, without replacing any; return why some stayed where they were."""
    numbers = [row.id for row in rows]
    trash.set_states(ledger, numbers, TrashState.RETURNING)
    rows = [trash.get(ledger, number) for number in numbers]
    job = move_job(ledger, rows, "return", row=None)
    results = stage.move(job, beat)
    with ledger.transaction():
        take_moves(ledger, None, job, results)
    return [f"{each.why}" for each in results if each.became != TrashState.RETURNED]


def _back_to_safe(ledger: Ledger, number: int) -> None:
    night = nights.get_night(ledger, number)
    if night.status == NightStatus.RECLAIMED and not trash.raw_is_gone(ledger, number):
        nights.set_status(ledger, night, NightStatus.SAFE, None, "raw files were put back")


def _gone(ledger: Ledger, number: int) -> list[str]:
    removed = trash.removed(ledger, number)
    return [f"{removed} files are gone for ever"] if removed else []


def _reclaim(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Begin to give back what may go of one night, whether it is enabled or not."""
    ledger, config = context.ledger, context.config
    under_way = reclaims.open_of(ledger, night.id)
    found = [] if under_way is not None else proposals(ledger, config, night)
    first = next((each for each in found if not each.refusals), None)
    stays = _why_it_stays(found) if first is None else None
    if (answer := nothing_to_do(ledger, night, Verb.RECLAIM, stays=stays)) is not None:
        return answer
    assert first is not None
    limit = config.reclaim.max_gb_per_run * 1e9
    too_big = fit([first.facts.size_bytes], max_bytes=limit, max_nights=1)[0]
    if too_big is not None:
        msg = f"{nights.label(night)}: {too_big} (reclaim.max_gb_per_run)"
        raise OperatorError(msg)
    if not arguments["dry_run"]:
        with ledger.transaction():
            begin_one(ledger, reclaims.next_run(ledger), first, f"asked for by {ledger.actor}")
    return CommandResult(lines=[_begun(first)], changed=True)


def _reclaim_all(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """Begin a run over all nights now."""
    if not context.config.reclaim.enabled:
        msg = "reclaim.enabled is false: name the night, or enable it in the settings"
        raise OperatorError(msg)
    if arguments["dry_run"]:
        begun = [each for each, answer in chosen(context.ledger, context.config) if answer is None]
    else:
        why = f"asked for by {context.ledger.actor}"
        begun = begin_run(context.ledger, context.config, why)
    lines = [f"{nights.label(each.night)}: {_begun(each)}" for each in begun]
    return CommandResult(lines=lines or ["nothing may go now"], changed=bool(begun))


def _let_go(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """An operator's word on the quarantined files of a night."""
    if (answer := nothing_to_do(context.ledger, night, Verb.LET_GO)) is not None:
        return answer
    undecided = trash.undecided(context.ledger, night.id)
    if not arguments["dry_run"]:
        trash.let_go(context.ledger, night.id, arguments["why"])
    lines = [f"{path} may go" for path in undecided]
    lines.append("they go with the others, once all are proved to be rebuildable")
    return CommandResult(lines=lines, changed=True)


def _begun(proposal: Proposal) -> str:
    facts = proposal.facts
    done = what_is_done(facts.space, final=facts.final)
    return (
        f"{done}: {facts.files} files, {gigabytes(facts.size_bytes)} GB, as soon as the daemon has"
        " verified every far copy afresh"
    )


def _why_it_stays(found: list[Proposal]) -> str:
    return "\n".join(
        f"  {what_is_done(each.facts.space, final=each.facts.final)}: {'; '.join(each.refusals)}"
        for each in found
    )


def _size(rows: list[TrashFile]) -> str:
    return f"{gigabytes(sum(row.size_bytes for row in rows))} GB"


ORDERS: dict[str, Order] = {
    "keep": _keep,
    "unkeep": _unkeep,
    "undelete": _undelete,
    "reclaim": _reclaim,
    "let_go": _let_go,
}

ORDERS_OF_ALL: dict[str, OrderOfAll] = {"reclaim_all": _reclaim_all}
