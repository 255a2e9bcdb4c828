"""What is due, and where a night stands, by its facts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from vampd.causes import Cause
from vampd.schedule.dispatch import (
    NightSnapshot,
    NightState,
    TaskFailure,
    current_stage,
    gate,
    stages_due,
    standing,
)
from vampd.states import (
    STAGES_OF,
    ErrorClass,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    TaskState,
    WaitCode,
)

_NO_ROUTE = TaskFailure(
    stage=Stage.TRANSFER,
    state=TaskState.PENDING,
    error_class=ErrorClass.TRANSIENT,
    error="no route",
    due_us=9,
)


def _because(words: str) -> Cause:
    return Cause(HoldCode.ORDER, {"why": words})


def _told(stands: NightState) -> tuple[NightStatus, str | None]:
    return stands.status, None if stands.cause is None else str(stands.cause)


def facts(
    done_until: Stage | None = None,
    *,
    date: str = "20251106",
    kind: Kind = Kind.ARCHIVE,
    status: NightStatus = NightStatus.READY,
    changed: Mapping[tuple[Stage, TaskState], int] | None = None,
    troubles: Sequence[TaskFailure] = (),
) -> NightSnapshot:
    """A closed night; the stages before *done_until* are done, and *changed* is put on top."""
    counts: dict[tuple[Stage, TaskState], int] = {}
    state = TaskState.DONE
    for stage in STAGES_OF[kind]:
        if stage is done_until or done_until is None:
            state = TaskState.PENDING
        counts[stage, state] = 1
    return NightSnapshot(
        number=int(date[-2:]) * 10 + (kind is Kind.ENGINEERING),
        kind=kind,
        date=date,
        status=status,
        hold=None,
        is_closed=True,
        waits_for=None,
        pause=None,
        digests_missing=0,
        ids_skipped=False,
        counts=counts | dict(changed or {}),
        troubles=troubles,
    )


def all_done(kind: Kind = Kind.ARCHIVE) -> NightSnapshot:
    night = facts(kind=kind)
    return replace(night, counts={(stage, TaskState.DONE): 1 for stage in STAGES_OF[kind]})


def failed(stage: Stage, error_class: ErrorClass = ErrorClass.DETERMINISTIC) -> TaskFailure:
    return TaskFailure(
        stage=stage, state=TaskState.FAILED, error_class=error_class, error="bad", due_us=0
    )


def due(*nights: NightSnapshot) -> list[tuple[int, Stage]]:
    return stages_due(nights)


@pytest.mark.parametrize("kind", Kind)
def test_stages_are_handed_out_in_their_order(kind: Kind) -> None:
    for stage in STAGES_OF[kind]:
        night = facts(stage, kind=kind)

        assert current_stage(night) is stage
        assert due(night) == [(night.number, stage)]


def test_an_engineering_night_needs_neither_numbers_nor_manifest() -> None:
    night = facts(Stage.BUILD, kind=Kind.ENGINEERING)

    assert (Stage.FRAME_IDS, TaskState.DONE) not in night.counts
    assert due(night) == [(night.number, Stage.BUILD)]


def test_a_stage_that_has_no_task_yet_is_not_done() -> None:
    night = facts(Stage.BUILD)
    without_build = {key: count for key, count in night.counts.items() if key[0] is not Stage.BUILD}

    assert current_stage(replace(night, counts=without_build)) is Stage.BUILD


def test_older_nights_go_first_and_archive_before_engineering() -> None:
    young = facts(Stage.BUILD, date="20251108")
    old_engineering = facts(Stage.BUILD, date="20251107", kind=Kind.ENGINEERING)
    old = facts(Stage.BUILD, date="20251107")

    order = [number for number, _ in due(young, old_engineering, old)]

    assert order == [old.number, old_engineering.number, young.number]


@pytest.mark.parametrize(
    "night",
    [
        replace(facts(), is_closed=False, status=NightStatus.COLLECTING),
        replace(facts(), hold=_because("dome flats")),
        replace(facts(), pause=_because("the disk is absent")),
        replace(facts(), digests_missing=1),
        replace(facts(), status=NightStatus.ABANDONED),
        replace(facts(), status=NightStatus.EMPTY),
        all_done(),
    ],
)
def test_nothing_is_due_of_a_night_that_must_not_go_on(night: NightSnapshot) -> None:
    assert due(night) == []


def test_digests_that_are_missing_stop_no_later_stage() -> None:
    night = replace(facts(Stage.BUILD), digests_missing=3)

    assert due(night) == [(night.number, Stage.BUILD)]


_BLOCKING = [
    NightStatus.COLLECTING,
    NightStatus.READY,
    NightStatus.RUNNING,
    NightStatus.WAITING,
    NightStatus.FAILED,
    NightStatus.HELD,
]


@pytest.mark.parametrize("status", NightStatus)
def test_an_older_archive_night_that_may_need_numbers_goes_first(status: NightStatus) -> None:
    older = replace(facts(date="20251105", status=status), counts={})
    night = facts(Stage.FRAME_IDS)

    stopped = gate(night, [night, older])

    if status in _BLOCKING:
        assert str(stopped) == f"frame IDs of archive 20251105, which is older and {status}"
        assert (night.number, Stage.FRAME_IDS) not in due(night, older)
        assert standing(night, [night, older]) == NightState(
            status=NightStatus.WAITING, cause=stopped
        )
    else:
        assert stopped is None
        assert due(night, older) == [(night.number, Stage.FRAME_IDS)]


@pytest.mark.parametrize(
    "other",
    [
        facts(date="20251107"),
        facts(date="20251105", kind=Kind.ENGINEERING),
        facts(Stage.BUILD, date="20251105"),
        replace(facts(Stage.BUILD, date="20251105"), status=NightStatus.FAILED),
    ],
    ids=["a younger one", "an engineering night", "one that has its numbers", "a failed build"],
)
def test_no_other_night_keeps_the_numbers_back(other: NightSnapshot) -> None:
    night = facts(Stage.FRAME_IDS)

    assert gate(night, [other, night]) is None


def test_the_oldest_night_in_the_way_is_named() -> None:
    night = facts(Stage.FRAME_IDS, date="20251108")
    between = facts(date="20251107")
    oldest = facts(date="20251101", status=NightStatus.HELD)

    stopped = gate(night, [night, between, oldest])

    assert stopped is not None
    assert "20251101" in str(stopped)


def test_an_older_night_that_was_skipped_is_not_waited_for() -> None:
    night = facts(Stage.FRAME_IDS, date="20251108")
    skipped = replace(facts(date="20251101", status=NightStatus.HELD), ids_skipped=True)
    between = facts(date="20251107")

    assert gate(night, [skipped, night]) is None
    stopped = gate(night, [skipped, between, night])
    assert stopped is not None
    assert "20251107" in str(stopped)


def test_a_night_waits_at_the_gate_with_its_numbers_only() -> None:
    older = facts(date="20251105", status=NightStatus.HELD)
    night = facts(Stage.SYNC)

    assert (night.number, Stage.SYNC) in due(night, older)


def test_a_failed_build_does_not_stop_the_others() -> None:
    night = facts(
        Stage.BUILD,
        changed={(Stage.BUILD, TaskState.FAILED): 1, (Stage.BUILD, TaskState.PENDING): 5},
        troubles=[failed(Stage.BUILD)],
    )

    assert due(night) == [(night.number, Stage.BUILD)]
    assert standing(night, [night]).status is NightStatus.RUNNING


def test_a_failed_build_keeps_the_next_stage_back() -> None:
    night = facts(
        Stage.MANIFEST,
        changed={(Stage.BUILD, TaskState.FAILED): 1, (Stage.BUILD, TaskState.DONE): 5},
        troubles=[failed(Stage.BUILD)],
    )

    assert due(night) == [(night.number, Stage.BUILD)]
    assert standing(night, [night]) == NightState(
        status=NightStatus.FAILED,
        cause=Cause(WaitCode.FAILURE, {"stage": "build", "error": "bad"}),
    )


STANDINGS: list[tuple[str, NightSnapshot, NightStatus, str | None]] = [
    ("abandoned stays so", facts(status=NightStatus.ABANDONED), NightStatus.ABANDONED, None),
    ("reclaimed stays so", facts(status=NightStatus.RECLAIMED), NightStatus.RECLAIMED, None),
    ("empty stays so", facts(status=NightStatus.EMPTY), NightStatus.EMPTY, None),
    ("a hold comes first", replace(all_done(), hold=_because("flats")), NightStatus.HELD, "flats"),
    (
        "open, and why",
        replace(facts(), is_closed=False, waits_for=_because("30 min without a change")),
        NightStatus.COLLECTING,
        "30 min without a change",
    ),
    (
        "open, its disk absent",
        replace(facts(), is_closed=False, waits_for=_because("quiet"), pause=_because("absent")),
        NightStatus.COLLECTING,
        "absent",
    ),
    ("all done", all_done(), NightStatus.SAFE, None),
    ("all done in engineering", all_done(Kind.ENGINEERING), NightStatus.SAFE, None),
    ("nothing begun", facts(), NightStatus.READY, None),
    ("between stages", facts(Stage.BUILD), NightStatus.RUNNING, None),
    (
        "a worker at it",
        replace(facts(), counts={(Stage.SYNC, TaskState.RUNNING): 1}),
        NightStatus.RUNNING,
        None,
    ),
    (
        "to be read through",
        replace(facts(), digests_missing=4),
        NightStatus.WAITING,
        "raw files to be read through",
    ),
    (
        "its disk absent",
        replace(facts(Stage.BUILD), pause=_because("absent")),
        NightStatus.WAITING,
        "absent",
    ),
    (
        "waits for the network",
        facts(Stage.TRANSFER, troubles=[_NO_ROUTE]),
        NightStatus.WAITING,
        "transfer: no route",
    ),
    *(
        (
            f"failed by {error_class}",
            replace(
                facts(Stage.VERIFY, troubles=[failed(Stage.VERIFY, error_class)]),
                counts={
                    **{(stage, TaskState.DONE): 1 for stage in tuple(Stage)[:-1]},
                    (Stage.VERIFY, TaskState.FAILED): 1,
                },
            ),
            status,
            "verify: bad",
        )
        for error_class, status in (
            (ErrorClass.DETERMINISTIC, NightStatus.FAILED),
            (ErrorClass.INTEGRITY, NightStatus.HELD),
            (ErrorClass.AMBIGUOUS, NightStatus.HELD),
            (ErrorClass.INPUT, NightStatus.HELD),
        )
    ),
]


@pytest.mark.parametrize(
    ("night", "status", "cause"),
    [case[1:] for case in STANDINGS],
    ids=[case[0] for case in STANDINGS],
)
def test_a_night_stands_where_its_facts_put_it(
    night: NightSnapshot, status: NightStatus, cause: str | None
) -> None:
    assert _told(standing(night, [night])) == (status, cause)


def test_of_two_waiting_tasks_the_one_due_first_is_told() -> None:
    later = replace(_NO_ROUTE, error="later", due_us=10)
    night = facts(
        Stage.TRANSFER,
        changed={(Stage.TRANSFER, TaskState.PENDING): 2},
        troubles=[later, _NO_ROUTE],
    )

    assert str(standing(night, [night]).cause) == "transfer: no route"


def test_a_standing_is_stable() -> None:
    for _, night, status, cause in STANDINGS:
        there = replace(night, status=status)

        assert _told(standing(there, [there])) == (status, cause)
