"""The history is kept by the database itself, and replays to the present."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_ledger import a_night, a_task, claimed, identity, opened, reread
from vampd.causes import Cause
from vampd.ledger import counter, files, frame_ids, nights, outputs, tasks
from vampd.ledger.connection import Ledger
from vampd.records import BuiltOutput, Plan, PlannedOutput, Segment
from vampd.states import (
    ErrorClass,
    FileCode,
    FileState,
    FlcState,
    HoldCode,
    NightStatus,
    OutputState,
    Stage,
    may_move,
)

_TABLES = {
    "night": "select id, status from night",
    "raw_file": "select id, state from raw_file",
    "output": "select id, state from output",
    "task": "select id, state from task",
    "frame_id": "select number, state from frame_id",
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


def replayed(ledger: Ledger) -> dict[tuple[str, int], str]:
    """What the events alone say of the present; each must begin where the last one ended."""
    present: dict[tuple[str, int], str] = {}
    for event in ledger.rows("select * from event order by id"):
        subject = (event["subject"], event["subject_id"])
        assert event["was"] == present.get(subject)
        present[subject] = event["became"]
        if event["became"] == "forgotten":
            del present[subject]
    return present


def present(ledger: Ledger) -> dict[tuple[str, int], str]:
    return {
        (table, row[0]): row[1] for table, query in _TABLES.items() for row in ledger.rows(query)
    }


def add_cube(ledger: Ledger, night: int, path: str) -> int:
    files.add_file(
        ledger,
        night,
        path,
        role="cube",
        camera=1,
        stem=path,
        who=identity(),
        state=FileState.ARRIVING,
        cause=Cause(FileCode.SEEN),
    )
    return int(files.files_of(ledger, night)[path].id)


def planned(raw_file: int, name: str) -> PlannedOutput:
    return PlannedOutput(
        cube=1,
        camera=1,
        synchronised=False,
        flc_state=FlcState.NONE,
        name=name,
        frames=3,
        width=8,
        height=8,
        first_us=1,
        last_us=3,
        header_file=raw_file,
        segments=(Segment(raw_file=raw_file, first=0, step=1, count=3),),
    )


def a_plan(raw_file: int, *names: str) -> Plan:
    drafts = tuple(planned(raw_file, name) for name in names)
    return Plan(outputs=drafts, rejected=(), reports=())


def bind_all(ledger: Ledger, night: int) -> None:
    keys = [row.content_key for row in outputs.outputs_of(ledger, night)]
    row = nights.get_night(ledger, night)
    counter.reserve_following(ledger, row, len(frame_ids.unnumbered(ledger, row, keys)), 1)
    bound = frame_ids.bind(ledger, row, keys)
    outputs.bind_frame_ids(ledger, bound, night)


def test_a_whole_life_of_a_night_replays_to_its_present(ledger: Ledger) -> None:
    night = a_night(ledger)
    raw_file = add_cube(ledger, night.id, "a.fits")
    files.set_state(ledger, raw_file, FileState.WHOLE, None)
    task = a_task(ledger, night.id)
    nights.set_status(ledger, night, NightStatus.READY, None)
    row = claimed(ledger, task)
    tasks.requeue(ledger, row, ErrorClass.TRANSIENT, "no route", due_us=0)
    tasks.finish(ledger, claimed(ledger, task))
    outputs.store_plan(ledger, night.id, a_plan(raw_file, "one", "two"))
    bind_all(ledger, night.id)
    outputs.forget_plan(ledger, night.id, "planned anew")
    outputs.store_plan(ledger, night.id, a_plan(raw_file, "two", "three"))
    bind_all(ledger, night.id)
    first, _ = outputs.outputs_of(ledger, night.id)
    outputs.record_built(
        ledger,
        BuiltOutput(
            output=first.id, size_bytes=1, sha256="0", timing_size_bytes=1, timing_sha256="0"
        ),
    )
    tasks.forget_tasks(ledger, night.id, "restored")
    nights.set_status(ledger, reread(ledger, night), NightStatus.HELD, Cause(HoldCode.RESTORED))

    assert replayed(ledger) == present(ledger)
    assert present(ledger)["output", first.id] == OutputState.BUILT
    assert sorted(state for (what, _), state in present(ledger).items() if what == "frame_id") == [
        "bound",
        "bound",
        "void",
    ]


def test_an_event_says_who_changed_what_when_and_why(ledger: Ledger) -> None:
    night = a_night(ledger)
    ledger.actor = "uid 1000 (observer)"

    nights.set_status(ledger, night, NightStatus.HELD, Cause(HoldCode.RESTORED), "on request")

    event = ledger.row("select * from event order by id desc limit 1")
    assert event is not None
    assert (event["was"], event["became"]) == ("collecting", "held")
    assert (event["actor"], event["why"]) == ("uid 1000 (observer)", "on request")
    assert event["at_us"] == ledger.now_us()


def test_what_does_not_change_makes_no_event(ledger: Ledger) -> None:
    night = a_night(ledger)
    before = ledger.value("select count(*) from event")

    changed = nights.set_status(ledger, night, NightStatus.COLLECTING, None)
    nights.note_change(ledger, night.id)
    a_night(ledger)

    assert not changed
    assert ledger.value("select count(*) from event") == before


def test_the_first_reason_for_a_hold_stays(ledger: Ledger) -> None:
    night = a_night(ledger)
    nights.hold(ledger, night.id, Cause(HoldCode.ORDER, {"why": "first"}))

    nights.hold(ledger, night.id, Cause(HoldCode.ORDER, {"why": "second"}))

    assert reread(ledger, night).hold == "first"


def test_a_digest_is_kept_only_for_the_file_that_was_read(ledger: Ledger) -> None:
    night = a_night(ledger).id
    add_cube(ledger, night, "a.fits")

    files.record_digest(ledger, night, "a.fits", "1" * 64, identity(size_bytes=5760))
    of_another = files.files_of(ledger, night)["a.fits"].sha256
    files.record_digest(ledger, night, "a.fits", "2" * 64, identity())

    assert of_another is None
    assert files.files_of(ledger, night)["a.fits"].sha256 == "2" * 64


@settings(max_examples=30, deadline=None)
@given(moves=st.lists(st.sampled_from(list(NightStatus)), max_size=12))
def test_every_allowed_road_of_a_night_replays(
    moves: list[NightStatus], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with closing(opened(tmp_path_factory.mktemp("ledger"))) as ledger:
        ledger.execute("pragma synchronous = off")
        night = a_night(ledger)
        for move in moves:
            now = reread(ledger, night)
            if may_move(NightStatus(now.status), move):
                assert nights.set_status(ledger, now, move, None)

        assert replayed(ledger) == present(ledger)


def test_every_stage_of_a_task_is_told(ledger: Ledger) -> None:
    number = a_task(ledger, a_night(ledger).id, Stage.SYNC)

    tasks.finish(ledger, claimed(ledger, number))

    events = ledger.rows("select was, became from event where subject = 'task' order by id")
    assert [tuple(event) for event in events] == [
        (None, "pending"),
        ("pending", "running"),
        ("running", "done"),
    ]
