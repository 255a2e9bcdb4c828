"""Orders about frame IDs: what an operator knows of them, and no program can.

What is said of a request is written into the night's paper first: a ledger that is lost then must
not take up again what was written off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vampd.errors import OperatorError, RetryableError, UsageError, VampdError
from vampd.io import number_papers, numbers_seen
from vampd.io.beneath import is_folder, night_folder
from vampd.io.number_runs import runs_of
from vampd.ledger import counter, frame_ids, nights, requests, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.nights import label
from vampd.ledger.records import Night
from vampd.ledger.requests import FrameRequest
from vampd.ledger.rows import fetch_one
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll
from vampd.orders.standing import nothing_to_do
from vampd.stages import frame_id_papers
from vampd.states import RequestState, Stage
from vampd.verbs import Verb


def _adopt(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """These numbers were dealt in answer to the request of which nobody knows."""
    ledger = context.ledger
    dealt = frame_ids.parse_range(arguments["ids"])
    request = requests.open_request(ledger, night.id)
    if request is None and set(dealt) <= _numbers_of(ledger, night):
        return CommandResult(lines=["these frame IDs are the night's already"], changed=False)
    nothing_to_do(ledger, night, Verb.ADOPT)
    assert request is not None
    _refuse_impossible(ledger, request, dealt)
    lines = [
        f"{frame_id_text(dealt[0])} to {frame_id_text(dealt[-1])} are taken as dealt",
        f"{len(dealt)} frame IDs, and {request.count} were asked for",
        "it goes on with them",
    ]
    if not arguments["dry_run"]:
        _write_word(ledger, night, request, RequestState.ADOPTED, dealt)
        with ledger.transaction():
            frame_ids.reserve(ledger, night, dealt, f"adopted: {arguments['why']}")
            requests.decide(ledger, request.id, RequestState.ADOPTED, arguments["why"])
            _go_on(ledger, night, "ids adopt")
    return CommandResult(lines=lines, changed=True)


def _void(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Whatever was dealt in answer to the open request is never used."""
    if (answer := nothing_to_do(context.ledger, night, Verb.VOID)) is not None:
        return answer
    request = requests.open_request(context.ledger, night.id)
    assert request is not None
    lines = [
        f"what was dealt in answer to the request of {request.count} frame IDs is written off",
        "it goes on, and asks anew",
    ]
    if not arguments["dry_run"]:
        _write_word(context.ledger, night, request, RequestState.VOID)
        with context.ledger.transaction():
            requests.decide(context.ledger, request.id, RequestState.VOID, arguments["why"])
            _go_on(context.ledger, night, "ids void")
    return CommandResult(lines=lines, changed=True)


def _skip(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Younger nights do not wait for the numbers of this one."""
    if (answer := nothing_to_do(context.ledger, night, Verb.SKIP)) is not None:
        return answer
    lines = [
        "younger nights no longer wait for its frame IDs",
        "its own may come after theirs: an exception, which `vampd archive ids audit` lists",
    ]
    if not arguments["dry_run"]:
        nights.skip_frame_ids(context.ledger, night.id, arguments["why"])
    return CommandResult(lines=lines, changed=True)


def _used(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """All numbers up to this one are used, whoever used them; the next one is above."""
    ledger, number = context.ledger, _number(arguments["number"])
    top = counter.known(ledger.connection, context.config.frame_ids.first).top
    last = ledger.value("select last from number_word where word = 'used' order by id desc")
    if last == number:
        return CommandResult(
            lines=[f"{frame_id_text(number)} is called used already"], changed=False
        )
    dealt = counter.highest_dealt(ledger.connection)
    if number < dealt:
        msg = f"{frame_id_text(dealt)} was dealt by vampd, so all below it are used already"
        raise OperatorError(msg)
    lines = [f"{frame_id_text(number)} and all below it count as used; the next one is above"]
    if number > top.number:
        lines.append(
            f"{number - top.number} frame IDs above {frame_id_text(top.number)}, the highest that"
            f" was known ({top.place}), are not dealt any more"
        )
    if not arguments["dry_run"]:
        counter.say(ledger, "used", number, number, arguments["why"])
    return CommandResult(lines=lines, changed=True)


def _dismiss(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """What bears these numbers says nothing of where the counter stands."""
    ledger = context.ledger
    runs = runs_of((number, "") for number in frame_ids.parse_range(arguments["ids"]))
    before = counter.dismissed(ledger.connection)
    new = [(first, last) for first, last, _ in runs if not counter.is_within(first, last, before)]
    if not new:
        return CommandResult(lines=["that was said of them before"], changed=False)
    lines = [
        f"{counter.range_text(first, last)}: whatever bears them moves the counter no more"
        for first, last in new
    ]
    lines.append("they are never dealt as long as something bears them")
    if not arguments["dry_run"]:
        with ledger.transaction():
            for first, last in new:
                counter.say(ledger, "dismissed", first, last, arguments["why"])
    return CommandResult(lines=lines, changed=True)


def _number(text: str) -> int:
    number = frame_ids.frame_id_number(text)
    if number is None:
        msg = f"{text!r} is no frame ID, such as VMPA00425189"
        raise UsageError(msg)
    return number


def _write_word(
    ledger: Ledger,
    night: Night,
    request: FrameRequest,
    state: RequestState,
    adopted: Sequence[int] = (),
) -> None:
    """RetryableError: the night's disk is not there, or takes nothing."""
    nights.place_of(ledger, night).check()
    line = frame_id_papers.word_line(request, state, adopted)
    try:
        number_papers.append(night_folder(night.folder), [line])
    except OSError as error:
        if isinstance(error, VampdError):
            raise
        msg = f"{error.filename or night.folder}: {error.strerror}; nothing was decided"
        raise RetryableError(msg) from error


def _refuse_impossible(ledger: Ledger, request: FrameRequest, dealt: list[int]) -> None:
    if len(dealt) > request.count:
        msg = f"{len(dealt)} frame IDs are more than the {request.count} that were asked for"
        raise OperatorError(msg)
    for number in dealt:
        row = fetch_one(
            Night,
            ledger,
            "select night.* from frame_id join night on night.id = frame_id.night where number = ?",
            [number],
        )
        if row is not None:
            msg = f"{frame_id_text(number)} was dealt before, to {label(row)}"
            raise OperatorError(msg)
        if number in requests.written_off(ledger):
            msg = f"{frame_id_text(number)} was written off before, and is never used"
            raise OperatorError(msg)
    for number, place in _on_disk(ledger, lowest=dealt[0]):
        if number in dealt:
            msg = f"{frame_id_text(number)} is used already: {place}"
            raise OperatorError(msg)


def _on_disk(ledger: Ledger, *, lowest: int) -> list[tuple[int, str]]:
    """The numbers in those nights' folders that may show *lowest* or a higher one."""
    folders = ledger.rows(
        "select folder from number_seen where highest >= ? and source = 'night'", [lowest]
    )
    try:
        return [
            seen
            for (folder,) in folders
            if is_folder(night_folder(folder))
            for seen in numbers_seen.numbers_of_night(Path(folder))
        ]
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; nobody can tell which frame IDs it bears"
        raise RetryableError(msg) from error


def _numbers_of(ledger: Ledger, night: Night) -> set[int]:
    rows = ledger.rows("select number from frame_id where night = ?", [night.id])
    return {number for (number,) in rows}


def _go_on(ledger: Ledger, night: Night, why: str) -> None:
    tasks.make_pending(ledger, night.id, [Stage.FRAME_IDS], why)


ORDERS_OF_ALL: dict[str, OrderOfAll] = {"ids-used": _used, "ids-dismiss": _dismiss}
ORDERS: dict[str, Order] = {"ids-adopt": _adopt, "ids-void": _void, "ids-skip": _skip}
