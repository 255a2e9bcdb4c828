"""What is due, and in which state a night is. Pure: facts in, decisions out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from vampd.causes import Cause
from vampd.plain_text import first_line
from vampd.states import (
    FINAL,
    STAGES_OF,
    ErrorClass,
    ErrorCode,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    TaskState,
    WaitCode,
)

#: Stages that wait for the network rather than for a processor; they have a seat of their own.
DELIVERY = frozenset({Stage.TRANSFER, Stage.VERIFY})

#: Why a night of a shadow goes no further.
SHADOWED = Cause(HoldCode.SHADOW)

_AFTER_SYNC = tuple(stage for stage in Stage if stage is not Stage.SYNC)
_HOLDING = frozenset({ErrorClass.AMBIGUOUS, ErrorClass.INTEGRITY, ErrorClass.INPUT})
_NEEDS_NO_IDS = frozenset(
    {NightStatus.EMPTY, NightStatus.ABANDONED, NightStatus.SAFE, NightStatus.RECLAIMED}
)


class TaskFailure(Struct, frozen=True, kw_only=True):
    """A task that went wrong: it waits for its next attempt, or it failed."""

    stage: Stage
    state: TaskState
    error_class: ErrorClass
    error: str
    due_us: int
    code: ErrorCode | None = None


class NightSnapshot(Struct, frozen=True, kw_only=True):
    """What decides about a night."""

    number: int
    kind: Kind
    date: str
    status: NightStatus
    hold: Cause | None
    is_closed: bool
    waits_for: Cause | None  #: why it is not closed
    pause: Cause | None  #: why nothing of it may be touched: its disk is absent or full
    digests_missing: int  #: whole raw files not read through yet
    ids_skipped: bool  #: younger nights do not wait for its frame IDs
    counts: Mapping[tuple[Stage, TaskState], int]
    troubles: Sequence[TaskFailure]
    unread_again: int = 0  #: raw files with another inode or time, to be read again
    builders_away: Cause | None = None  #: why builders' work of it cannot be done now
    is_foreign: bool = False  #: the earlier pipeline's: vampd does nothing of it
    close_asked: bool = False  #: an operator said that it is over
    is_unread: bool = False  #: what stands here is not all: something of it cannot be read
    is_live: bool = False  #: it is worked on while its cameras write
    is_streamed: bool = False  #: what is built of it then is sent at once
    shadow: tuple[Stage, ...] = ()  #: in a shadow, the only stages that it has; then it rests


class NightState(Struct, frozen=True, kw_only=True):
    """A night's status, and the cause that goes with it."""

    status: NightStatus
    cause: Cause | None = None


def current_stage(night: NightSnapshot) -> Stage | None:
    """The first stage that is not done; None when all are, or none was begun."""
    for stage in night.shadow or STAGES_OF[night.kind]:
        if not is_done(night, stage):
            return stage
    return None


def needs_somebody(night: NightSnapshot) -> bool:
    """Whether a night that vampd has to do does not go on before a person acts."""
    is_shadowed = bool(night.shadow) and night.hold is None and current_stage(night) is None
    if night.is_foreign or is_shadowed:
        return False
    return night.status in {NightStatus.FAILED, NightStatus.HELD}


def is_done(night: NightSnapshot, stage: Stage) -> bool:
    """Whether a stage has tasks, and all of them are done."""
    done = night.counts.get((stage, TaskState.DONE), 0)
    return done > 0 and all(
        night.counts.get((stage, state), 0) == 0 for state in TaskState if state != TaskState.DONE
    )


def gate(night: NightSnapshot, all_nights: Iterable[NightSnapshot]) -> Cause | None:
    """The older archive night for which the frame IDs of *night* must wait, if any.

    IDs are chronological across nights: an older night that may still need some goes first,
    unless an operator said that it is not waited for.
    """
    for other in sorted(all_nights, key=lambda other: other.date):
        older = other.kind is Kind.ARCHIVE and other.date < night.date and not other.is_foreign
        may_need_some = not other.ids_skipped and other.status not in _NEEDS_NO_IDS
        has_all = other.is_closed and is_done(other, Stage.FRAME_IDS)
        if older and may_need_some and not has_all:
            return Cause(WaitCode.OLDER_NIGHT, {"older": other.date, "older_status": other.status})
    return None


def what_stops(night: NightSnapshot, all_nights: Iterable[NightSnapshot]) -> Cause | None:
    """Why the next stage of a closed night cannot begin now; None when it can."""
    if night.pause is not None:
        return night.pause
    if night.unread_again:
        return night.builders_away or Cause(WaitCode.READ_AGAIN)
    stage = current_stage(night)
    if stage is Stage.SYNC and _count(night, TaskState.RUNNING, *_AFTER_SYNC):
        return Cause(WaitCode.BEGUN)
    if stage is Stage.SYNC and night.digests_missing:
        return night.builders_away or Cause(WaitCode.READ_THROUGH)
    if stage is Stage.FRAME_IDS:
        return gate(night, all_nights)
    return night.builders_away if stage is Stage.BUILD else None


def stages_due(all_nights: Sequence[NightSnapshot]) -> list[tuple[int, Stage]]:
    """The stages of which tasks may be handed out, by night; oldest first, archive first.

    Before them those of nights that go on: somebody is waiting for what is taken now.
    """
    due = []
    for night in sorted(all_nights, key=lambda night: (night.is_closed, night.date, night.kind)):
        if night.hold is not None or night.status in FINAL:
            continue
        if not night.is_closed:
            due += [(night.number, stage) for stage in live_stages(night, all_nights)]
            continue
        stage = current_stage(night)
        if stage is not None and what_stops(night, all_nights) is None:
            due.append((night.number, stage))
    return due


def live_stages(night: NightSnapshot, all_nights: Sequence[NightSnapshot]) -> list[Stage]:
    """The stages of a night that goes on of which tasks may be handed out, side by side.

    Planning and frame IDs exclude each other, and an archive night's outputs are built when all
    that are planned have their IDs: no name on the disk is one that changes.
    """
    if not night.is_live or night.pause is not None or night.unread_again:
        return []
    numbering = _count(night, TaskState.PENDING, Stage.FRAME_IDS) or _count(
        night, TaskState.RUNNING, Stage.FRAME_IDS
    )
    planning = _count(night, TaskState.RUNNING, Stage.SYNC)
    may = {
        Stage.SYNC: not numbering,
        Stage.FRAME_IDS: not planning and gate(night, all_nights) is None,
        Stage.BUILD: night.kind is not Kind.ARCHIVE or is_done(night, Stage.FRAME_IDS),
        Stage.TRANSFER: night.is_streamed,
        Stage.VERIFY: night.is_streamed,
    }
    return [
        stage for stage, is_due in may.items() if is_due and _count(night, TaskState.PENDING, stage)
    ]


def _count(night: NightSnapshot, state: TaskState, *stages: Stage) -> int:
    return sum(night.counts.get((stage, state), 0) for stage in stages)


def standing(night: NightSnapshot, all_nights: Sequence[NightSnapshot]) -> NightState:
    """In which state a night is, by its facts alone."""
    if night.status in {NightStatus.ABANDONED, NightStatus.RECLAIMED, NightStatus.EMPTY}:
        return NightState(status=night.status)
    if night.hold is not None:
        return NightState(status=NightStatus.HELD, cause=night.hold)
    if not night.is_closed:
        return NightState(status=NightStatus.COLLECTING, cause=_cause_of_open(night))
    if current_stage(night) is None:
        if night.shadow:
            return NightState(status=NightStatus.HELD, cause=SHADOWED)
        return NightState(status=NightStatus.SAFE)
    return _at_work(night, all_nights)


def _cause_of_open(night: NightSnapshot) -> Cause | None:
    """What a night that goes on waits for; what failed of it counts before that."""
    failed = [trouble for trouble in night.troubles if trouble.state is TaskState.FAILED]
    if night.pause is None and failed:
        return _failure(failed[0])
    if night.waits_for is not None and night.waits_for.code is WaitCode.CUBES:
        return night.pause or night.builders_away or night.waits_for
    return night.pause or night.waits_for


def _at_work(night: NightSnapshot, all_nights: Sequence[NightSnapshot]) -> NightState:
    """A closed night with stages to do: what goes on counts before what went wrong."""
    running = sum(night.counts.get((stage, TaskState.RUNNING), 0) for stage in Stage)
    stopped = what_stops(night, all_nights)
    failed = [trouble for trouble in night.troubles if trouble.state is TaskState.FAILED]
    waiting = [trouble for trouble in night.troubles if trouble.state is TaskState.PENDING]
    if running or (_untroubled(night) and stopped is None):
        begun = running or any(state is TaskState.DONE for _, state in night.counts)
        return NightState(status=NightStatus.RUNNING if begun else NightStatus.READY)
    if night.unread_again:  # what failed for want of a file may not be its fault
        return NightState(status=NightStatus.WAITING, cause=stopped)
    if failed:
        holding = failed[0].error_class in _HOLDING
        status = NightStatus.HELD if holding else NightStatus.FAILED
        return NightState(status=status, cause=_failure(failed[0]))
    if waiting:
        first = min(waiting, key=lambda trouble: trouble.due_us)
        return NightState(status=NightStatus.WAITING, cause=_failure(first))
    return NightState(status=NightStatus.WAITING, cause=stopped)


def _failure(task: TaskFailure) -> Cause:
    # Of an error that is known one line is enough; the program's own words stand in the task.
    error = task.error if task.code is None else first_line(task.error)
    return Cause(WaitCode.FAILURE, {"stage": task.stage, "error": error})


def _untroubled(night: NightSnapshot) -> bool:
    """Whether the current stage has pending tasks that did not go wrong before."""
    stage = current_stage(night)
    assert stage is not None
    pending = night.counts.get((stage, TaskState.PENDING), 0)
    troubled = [
        trouble
        for trouble in night.troubles
        if trouble.stage is stage and trouble.state is TaskState.PENDING
    ]
    return pending > len(troubled)
