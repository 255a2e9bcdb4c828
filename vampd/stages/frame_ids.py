"""Give the outputs of an archive night their frame IDs, oldest night first.

Pieces of work, one after the other, each a task's attempt of its own:

1. *look*: which numbers do the nights on the disk bear, which were delivered, and what does the
   night's own paper say? A number dealt must be above all. Our own counter reserves then.
2. *ask*: only of a foreign issuer. The request is committed before it is sent; what comes is on
   paper before it is recorded. Is it too little, the rest is asked for.
3. *collect*: of a request that a dead daemon left: what does the paper say of it?
4. *bind*: which number is bound to which output is on paper, and only then in the ledger.

Nobody asks again after a request of which it is unclear what became: the night is held.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from vampd.errors import AmbiguousError, OperatorError, VampdError
from vampd.io.frame_id_asker import AskerJob
from vampd.io.frame_id_program import Ending
from vampd.io.numbers_seen import NightNumbers
from vampd.ledger import (
    counter,
    frame_ids,
    live,
    nights,
    numbers_seen,
    outputs,
    requests,
    roots,
    tasks,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.requests import FrameRequest
from vampd.ledger.tasks import Task
from vampd.remote.store import FarJob
from vampd.settings.sections import Config, FrameIds
from vampd.stages import frame_id_papers
from vampd.stages.destinations import reach_of
from vampd.stages.frame_id_work import (
    Answered,
    AnswerJob,
    BindJob,
    FarNights,
    FrameIdJob,
    FrameIdResult,
    Looked,
    LookJob,
    WrittenDown,
    mark_place,
    work,
)
from vampd.stages.frame_reply import judge
from vampd.stages.handler import StageHandler
from vampd.states import ErrorClass, Kind, RequestState, Stage

#: Stands for every date where places are named; no night has it.
_SOME_DATE = "99991231"


_LOOK_LASTS_US = 60_000_000
_FAR_LOOK_LASTS_US = 3_600_000_000
#: A program of ours has its own deadline, and tells more than its killer could.
_KILL_SECONDS = 5.0


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> FrameIdJob:
    """What is to be done next for the night's numbers.

    AmbiguousError: nobody knows what became of the last request. OperatorError: the
    configuration does not say where the numbers begin.
    """
    settings = config.frame_ids
    if settings.issuer == "local" and settings.first is None:
        msg = "frame_ids.first is not set: nobody knows where the numbers begin"
        raise OperatorError(msg)
    request = requests.open_request(ledger, night.id)
    if request is not None:
        if request.state == RequestState.UNCLEAR:
            raise AmbiguousError(requests.choices(night, request))
        return _answer_job(ledger, night, task, settings, request=request)
    lacking = _lacking(ledger, night)
    if lacking == 0:
        return _bind_job(ledger, night, task)
    if settings.issuer == "local" or not _looked_lately(ledger, night):
        return _look_job(ledger, config, night, task)
    return _question(ledger, night, task, settings, lacking)


def record(ledger: Ledger, task: Task, result: FrameIdResult) -> str | None:
    """Keep what was found or dealt; bind the numbers when they are on paper.

    Returns why it is to be tried again later, where nothing was dealt.
    """
    night = nights.get_night(ledger, task.night)
    match result:
        case Answered():
            return _take_reply(ledger, task, night, result)
        case WrittenDown():
            _bind(ledger, night, result.planned)
        case Looked():
            _keep_look(ledger, night, result)
            _deal(ledger, task, night, result)
    return None


def _deal(ledger: Ledger, task: Task, night: Night, looked: Looked) -> None:
    """Let the night go on; our own counter reserves what it lacks."""
    try:
        frame_id_papers.take_over(ledger, night, looked.told)
        _refuse_delivered(ledger, night)
        lacking = _lacking(ledger, night)
        is_open = requests.open_request(ledger, night.id) is not None
        if looked.issuer == "local" and lacking and not is_open:
            assert looked.first is not None, night
            counter.reserve_following(ledger, night, lacking, looked.first)
    except VampdError as error:
        _give_up(ledger, task, error.error_class, str(error))
        return
    _go_on(ledger, night, "its numbers are to be written down")


def issuer_of(settings: FrameIds) -> str:
    """How requests name who is asked."""
    return f"gen2 {settings.gen2_route}" if settings.issuer == "gen2" else settings.issuer


def _keys(ledger: Ledger, night: Night) -> list[str]:
    return [row.content_key for row in outputs.outputs_of_batch(ledger, night.id)]


def _lacking(ledger: Ledger, night: Night) -> int:
    """How many numbers must still be dealt."""
    wanting = frame_ids.unnumbered(ledger, night, _keys(ledger, night))
    return max(0, len(wanting) - len(frame_ids.reserved_of(ledger, night)))


def _looked_lately(ledger: Ledger, night: Night) -> bool:
    looked_us = night.ids_looked_us
    return looked_us is not None and 0 <= ledger.now_us() - looked_us < _LOOK_LASTS_US


def _look_job(ledger: Ledger, config: Config, night: Night, task: Task) -> LookJob:
    root = config.root_of(Kind.ARCHIVE)
    if root is None:
        msg = "there is no archive root in the settings, so this night is of none"
        raise OperatorError(msg)
    return LookJob(
        attempt=task.attempts,
        place=nights.place_of(ledger, night),
        issuer=config.frame_ids.issuer,
        first=config.frame_ids.first,
        root=str(root.path),
        marker=roots.marker_of(ledger, str(root.path)),
        roots=roots.markers(ledger),
        known=numbers_seen.stamps(ledger),
        far=tuple(each for each in _far_nights(config) if _must_look_there(ledger, each.place)),
        now_us=ledger.now_us(),
    )


def _far_nights(config: Config) -> Iterator[FarNights]:
    """Where delivered archive nights lie."""
    delivery = config.delivery.of(Kind.ARCHIVE)
    if delivery is None:
        return
    for place in dict.fromkeys((delivery.sent_to(_SOME_DATE), delivery.safe_at(_SOME_DATE))):
        before, _, after = place.path.partition(_SOME_DATE)
        if _SOME_DATE not in after:
            shown = str(place).replace(_SOME_DATE, "YYYYMMDD")
            yield FarNights(
                place=shown,
                before=replace(place, path=before),
                after=after,
                far=FarJob(night=shown, reach=reach_of(config, delivery)),
            )


def _must_look_there(ledger: Ledger, place: str) -> bool:
    """Whether a far end is to be asked what it bears: before a new ledger deals its first number.

    One that does not answer is asked again, for as long as it takes; numbers do not wait for it.
    """
    row = numbers_seen.look_at(ledger, place)
    if row is None:
        return not counter.known(ledger.connection, None).is_own
    age_us = ledger.now_us() - row.looked_us
    return row.error is not None and not 0 <= age_us < _FAR_LOOK_LASTS_US


def _keep_look(ledger: Ledger, night: Night, looked: Looked) -> None:
    for seen in looked.found:
        numbers_seen.record(ledger, seen, "night")
    for root, number in looked.marks.items():
        run = (number, number, mark_place(root))
        runs = (run,) if number else ()
        mark = NightNumbers(folder=mark_place(root), stamp=[], runs=runs)
        numbers_seen.record(ledger, mark, "mark")
    for there in looked.far:
        numbers_seen.record_far(ledger, there.place, there.nights, there.error)
    numbers_seen.note_looked(ledger, night.id)


def _refuse_delivered(ledger: Ledger, night: Night) -> None:
    """AmbiguousError: the night was delivered before, under numbers of which nobody here knows.

    To deal it new ones would give the same frames two.
    """
    if night.batch > 1 or frame_ids.bound_of(ledger, night):
        return
    for row in numbers_seen.far_nights(ledger):
        runs = json.loads(row.runs)
        is_of_night = night.date in row.folder
        if not is_of_night or not counter.unexplained(ledger, night, runs):
            continue
        msg = (
            f"it was delivered before: {row.place} lies there, and neither the ledger nor the"
            f" night's folder knows which frames that is. Copy .vampd/night.log from"
            f" {row.folder} back into {night.folder}/.vampd, then: vampd retry"
            f" {night.date}; or, to give it new frame IDs on top of those: vampd archive ids"
            f" dismiss {counter.runs_text(runs)} --why TEXT, then retry"
        )
        raise AmbiguousError(msg)


def _answer_job(
    ledger: Ledger,
    night: Night,
    task: Task,
    settings: FrameIds,
    *,
    request: FrameRequest,
    asker: AskerJob | None = None,
) -> AnswerJob:
    return AnswerJob(
        attempt=task.attempts,
        place=nights.place_of(ledger, night),
        first=settings.first,
        request=request.id,
        asked_us=request.asked_us,
        count=request.count,
        asker=asker,
    )


def _question(
    ledger: Ledger, night: Night, task: Task, settings: FrameIds, lacking: int
) -> AnswerJob:
    """Write the request down, and say how it is to be asked."""
    number = requests.ask(ledger, night, lacking, issuer_of(settings))
    request = requests.open_request(ledger, night.id)
    assert request is not None, number
    command, seconds = _command(settings, lacking)
    asker = AskerJob(
        folder=night.folder,
        request=request.asked_us,
        batch=request.batch,
        count=lacking,
        issuer=request.issuer,
        command=command,
        deadline_seconds=seconds,
    )
    return _answer_job(ledger, night, task, settings, request=request, asker=asker)


def _command(settings: FrameIds, count: int) -> tuple[list[str], float]:
    """The program that asks for *count* numbers, and its deadline in seconds."""
    seconds = settings.deadline_seconds
    if settings.issuer == "command":
        return [word.replace("{count}", str(count)) for word in settings.command], seconds
    command = [
        *(sys.executable, "-m", "vampd.io.gen2", settings.gen2_route),
        *(str(settings.gen2_name_service), str(count), str(seconds), str(settings.gen2_file)),
    ]
    return command, seconds + _KILL_SECONDS


def _bind_job(ledger: Ledger, night: Night, task: Task) -> BindJob:
    """Which number belongs to which content, to be written down before it is so."""
    rows = outputs.outputs_of_batch(ledger, night.id)
    return BindJob(
        attempt=task.attempts,
        place=nights.place_of(ledger, night),
        batch=night.batch,
        planned=frame_ids.plan_bind(ledger, night, [row.content_key for row in rows]),
        names={row.content_key: row.name for row in rows},
        roots=roots.markers(ledger),
        highest=counter.own_top(ledger),
    )


def _bind(ledger: Ledger, night: Night, written: Mapping[str, int]) -> None:
    """Bind what is on paper; if the plan is another by now, that is written down first."""
    keys = _keys(ledger, night)
    if _lacking(ledger, night) or frame_ids.plan_bind(ledger, night, keys) != written:
        _go_on(ledger, night, "its plan changed while its numbers were written down")
        return
    bound = frame_ids.bind(ledger, night, keys, is_part=live.goes_on(ledger, night))
    outputs.bind_frame_ids(ledger, {key: bound[key] for key in keys}, night.id)


def _take_reply(ledger: Ledger, task: Task, night: Night, answered: Answered) -> str | None:
    reply = answered.reply
    if reply.ending is Ending.ANSWERED:
        try:
            dealt = _judged(ledger, answered)
        except AmbiguousError as error:
            _hold(ledger, task, answered, str(error))
            return None
        return _take_dealt(ledger, night, answered, dealt)
    if reply.ending is Ending.UNCLEAR:
        _hold(ledger, task, answered, reply.error)
        return None
    why = f"nothing was dealt: {reply.error}"
    requests.decide(ledger, answered.request, RequestState.VOID, why)
    if reply.ending is Ending.NOTHING_AT_ALL:
        _give_up(ledger, task, ErrorClass.DETERMINISTIC, why)
        return None
    return why


def _judged(ledger: Ledger, answered: Answered) -> list[int]:
    return judge(
        answered.reply.lines,
        count=answered.count,
        known=counter.known(ledger.connection, answered.first),
        written_off=requests.written_off(ledger),
    )


def _take_dealt(ledger: Ledger, night: Night, answered: Answered, dealt: list[int]) -> str | None:
    request, lines = answered.request, answered.reply.lines
    if not dealt:
        why = "nothing was dealt: the issuer answered with no frame ID at all"
        requests.decide(ledger, request, RequestState.VOID, why, reply=lines)
        return why
    frame_ids.reserve(ledger, night, dealt, f"dealt in answer to request {request}")
    requests.decide(ledger, request, RequestState.ANSWERED, f"{len(dealt)} came", reply=lines)
    lacking = _lacking(ledger, night)
    why = f"{lacking} frame IDs are to be asked for" if lacking else "they are to be written down"
    _go_on(ledger, night, why)
    return None


def _hold(ledger: Ledger, task: Task, answered: Answered, error: str) -> None:
    lines = answered.reply.lines
    if lines or error != frame_id_papers.DIED:  # else there is nothing to keep: no answer came
        requests.decide(
            ledger, answered.request, RequestState.UNCLEAR, error, reply=lines, error=error
        )
    unclear = requests.open_request(ledger, task.night)
    assert unclear is not None, answered.request
    night = nights.get_night(ledger, task.night)
    _give_up(ledger, task, ErrorClass.AMBIGUOUS, requests.choices(night, unclear))


def _give_up(ledger: Ledger, task: Task, error_class: ErrorClass, error: str) -> None:
    done = tasks.get_task(ledger, task.id)
    tasks.reopen(ledger, done, error_class, error, due_us=None)


def _go_on(ledger: Ledger, night: Night, why: str) -> None:
    """The task is done again at once: there is more to do."""
    tasks.make_pending(ledger, night.id, [Stage.FRAME_IDS], why)


STAGE: StageHandler[FrameIdJob, FrameIdResult] = StageHandler(
    prepare=prepare, work=work, result=(Answered, Looked, WrittenDown), record=record
)
