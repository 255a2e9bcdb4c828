"""Give the outputs of an archive night their frame IDs, oldest night first.

Three pieces of work, one after the other, each a task's attempt of its own:

1. *look*: which numbers do the nights on the disk bear? A number dealt must be above all.
2. *ask*: only of a foreign issuer. The request is committed before it is sent; what comes is
   reserved. Is it too little, the rest is asked for.
3. *bind*: the reserved numbers are bound to the outputs.

Nobody asks again after a request of which it is unclear what became: the night is held.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vampd.errors import AmbiguousError, OperatorError
from vampd.io.frame_id_program import Ending, Reply, ask
from vampd.io.numbers_seen import look_at_root
from vampd.ledger import nights, numbers, outputs, requests, tasks
from vampd.ledger.connection import Ledger, Row
from vampd.sections import FrameIds, Root
from vampd.stages.frame_reply import judge
from vampd.states import ErrorClass, RequestState, Stage

_LOOK_LASTS_US = 60_000_000
#: A program of ours has its own deadline, and tells more than its killer could.
_KILL_SECONDS = 5.0


def prepare(ledger: Ledger, night: Row, settings: FrameIds, root: Root | None) -> dict[str, Any]:
    """What is to be done next for the night's numbers.

    AmbiguousError: nobody knows what became of the last request. OperatorError: the
    configuration does not say where the numbers begin.
    """
    if settings.issuer == "local" and settings.first is None:
        msg = "frame_ids.first is not set: nobody knows where the numbers begin"
        raise OperatorError(msg)
    unclear = requests.open_request(ledger, night["id"])
    if unclear is not None:
        raise AmbiguousError(requests.choices(night, unclear))
    lacking = _lacking(ledger, night)
    job = {"first": settings.first, "issuer": settings.issuer}
    if lacking == 0:
        return {**job, "do": "bind"}
    if settings.issuer == "local" or not _looked_lately(ledger, night):
        return {**job, "do": "look", **_look(ledger, root)}
    request = requests.ask(ledger, night, lacking, issuer_of(settings))
    return {**job, "do": "ask", "request": request, **_question(settings, lacking)}


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the disks, or ask the issuer. A question never raises: how it ended is a result."""
    done = {"first": job["first"], "issuer": job["issuer"], "did": job["do"]}
    if job["do"] == "look":
        found = look_at_root(
            Path(job["root"]), job["marker"], job["known"], now_ns=job["now_us"] * 1000
        )
        return {**done, "found": found}
    if job["do"] == "ask":
        reply = ask(
            job["command"],
            name=job["name"],
            count=job["count"],
            deadline_seconds=job["deadline_seconds"],
        )
        return {**done, "request": job["request"], "count": job["count"], "reply": reply}
    return done


def record(ledger: Ledger, task: Row, result: Mapping[str, Any]) -> str | None:
    """Keep what was found or dealt; bind the numbers when there are enough.

    Returns why it is to be tried again later, where nothing was dealt.
    """
    night = nights.get_night(ledger, task["night"])
    if result["did"] == "ask":
        return _take_reply(ledger, task, night, result)
    if result["did"] == "look":
        _keep_look(ledger, night, result["found"])
        if result["issuer"] == "local" and not _deal(ledger, task, night, result["first"]):
            return None
    _bind_or_go_on(ledger, night)
    return None


def _deal(ledger: Ledger, task: Row, night: Row, first: int | None) -> bool:
    """Reserve numbers of our own counter; False: there are none left, and the task failed."""
    try:
        numbers.reserve_following(ledger, night, _lacking(ledger, night), first)
    except OperatorError as error:
        _give_up(ledger, task, error.error_class, str(error))
        return False
    return True


def issuer_of(settings: FrameIds) -> str:
    """How requests name who is asked."""
    return f"gen2 {settings.gen2_route}" if settings.issuer == "gen2" else settings.issuer


def _keys(ledger: Ledger, night: Row) -> list[str]:
    return [row["content_key"] for row in outputs.outputs_of_batch(ledger, night["id"])]


def _lacking(ledger: Ledger, night: Row) -> int:
    """How many numbers must still be dealt."""
    wanting = numbers.unnumbered(ledger, night, _keys(ledger, night))
    return max(0, len(wanting) - len(numbers.reserved_of(ledger, night)))


def _looked_lately(ledger: Ledger, night: Row) -> bool:
    looked_us = night["ids_looked_us"]
    return looked_us is not None and 0 <= ledger.now_us() - looked_us < _LOOK_LASTS_US


def _look(ledger: Ledger, root: Root | None) -> dict[str, Any]:
    if root is None:
        msg = "there is no archive root in the settings, so this night is of none"
        raise OperatorError(msg)
    return {
        "root": str(root.path),
        "marker": ledger.value("select marker from root where path = ?", [str(root.path)]),
        "known": {
            row["folder"]: json.loads(row["stamp"])
            for row in ledger.rows("select folder, stamp from number_seen")
        },
        "now_us": ledger.now_us(),
    }


def _keep_look(ledger: Ledger, night: Row, found: Any) -> None:
    for seen in found:
        ledger.execute(
            "insert into number_seen (folder, stamp, highest, place, looked_us)"
            " values (:folder, :stamp, :highest, :place, :now_us) on conflict do update"
            " set stamp = :stamp, highest = :highest, place = :place, looked_us = :now_us",
            {
                "folder": seen.folder,
                "stamp": json.dumps(seen.stamp),
                "highest": seen.highest,
                "place": seen.place,
                "now_us": ledger.now_us(),
            },
        )
    ledger.update("night", night["id"], ids_looked_us=ledger.now_us())


def _question(settings: FrameIds, count: int) -> dict[str, Any]:
    """The program that asks for *count* numbers, and its deadline."""
    seconds = settings.deadline_seconds
    job = {"name": issuer_of(settings), "count": count}
    if settings.issuer == "command":
        command = [word.replace("{count}", str(count)) for word in settings.command]
        return {**job, "command": command, "deadline_seconds": seconds}
    command = [
        *(sys.executable, "-m", "vampd.io.gen2", settings.gen2_route),
        *(str(settings.gen2_name_service), str(count), str(seconds), str(settings.gen2_file)),
    ]
    return {**job, "command": command, "deadline_seconds": seconds + _KILL_SECONDS}


def _take_reply(ledger: Ledger, task: Row, night: Row, result: Mapping[str, Any]) -> str | None:
    reply: Reply = result["reply"]
    if reply.ending is Ending.ANSWERED:
        try:
            dealt = _judged(ledger, reply, result)
        except AmbiguousError as error:
            _hold(ledger, task, result, str(error))
            return None
        return _take_dealt(ledger, night, result, dealt)
    if reply.ending is Ending.UNCLEAR:
        _hold(ledger, task, result, reply.error)
        return None
    why = f"nothing was dealt: {reply.error}"
    requests.decide(ledger, result["request"], RequestState.VOID, why)
    if reply.ending is Ending.NOTHING_AT_ALL:
        _give_up(ledger, task, ErrorClass.DETERMINISTIC, why)
        return None
    return why


def _judged(ledger: Ledger, reply: Reply, result: Mapping[str, Any]) -> list[int]:
    return judge(
        reply.lines,
        count=result["count"],
        seen=numbers.highest(ledger, result["first"]),
        written_off=requests.written_off(ledger),
    )


def _take_dealt(
    ledger: Ledger, night: Row, result: Mapping[str, Any], dealt: list[int]
) -> str | None:
    request, lines = result["request"], result["reply"].lines
    if not dealt:
        why = "nothing was dealt: the issuer answered with no frame ID at all"
        requests.decide(ledger, request, RequestState.VOID, why, reply=lines)
        return why
    numbers.reserve(ledger, night, dealt, f"dealt in answer to request {request}")
    requests.decide(ledger, request, RequestState.ANSWERED, f"{len(dealt)} came", reply=lines)
    _bind_or_go_on(ledger, night)
    return None


def _hold(ledger: Ledger, task: Row, result: Mapping[str, Any], error: str) -> None:
    lines = result["reply"].lines
    requests.decide(
        ledger, result["request"], RequestState.UNCLEAR, error, reply=lines, error=error
    )
    unclear = requests.open_request(ledger, task["night"])
    assert unclear is not None, result["request"]
    night = nights.get_night(ledger, task["night"])
    _give_up(ledger, task, ErrorClass.AMBIGUOUS, requests.choices(night, unclear))


def _give_up(ledger: Ledger, task: Row, error_class: ErrorClass, error: str) -> None:
    done = tasks.get_task(ledger, task["id"])
    tasks.reopen(ledger, done, error_class, error, due_us=None)


def _bind_or_go_on(ledger: Ledger, night: Row) -> None:
    """Bind the numbers; are there too few, the task is done again at once, to ask for more."""
    lacking = _lacking(ledger, night)
    if lacking:
        why = f"{lacking} frame IDs are to be asked for"
        tasks.make_pending(ledger, night["id"], [Stage.FRAME_IDS], why)
        return
    bound = numbers.bind(ledger, night, _keys(ledger, night))
    outputs.bind_frame_ids(ledger, bound, night["id"])
