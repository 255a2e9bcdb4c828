"""One raw file of a planned night is given up: when that is refused, and what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.schedule.test_rounds import DATE, LATER_STEM, Scene, scene
from tests.schedule.test_strays import PATH, move_to_another_inode, plan, read_through
from vampd.causes import Cause
from vampd.errors import OperatorError
from vampd.ledger import files, given_up, outputs, strays, tasks
from vampd.orders.night import Orders
from vampd.schedule.executor import Outcome
from vampd.schedule.retries import after_error
from vampd.states import ErrorClass, FileCode, FileState, Kind, NightStatus, Stage, StrayState
from vampd.views.frame_audit import account
from vampd.views.summaries import nights

__all__ = ["scene"]

LATER = f"vcam1/{LATER_STEM}.fits"


@pytest.fixture
def closed(scene: Scene) -> Scene:
    """A night of two cubes, read through; of the first an output is planned."""
    scene.cube()
    scene.cube(LATER_STEM)
    scene.close_night()
    read_through(scene)
    plan(scene)
    return scene


def give_up(scene: Scene, path: str = PATH, *, dry_run: bool = False) -> dict[str, Any]:
    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": dry_run}
    order = {"path": path, "action": "give up", "why": "bit rot"}
    return Orders(scene.ledger, scene.config).carry_out("quarantine", {**named, **order}, "uid 0")


def spoil(path: Path) -> None:
    """Another byte, in a file of the same size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["changed", "gone", "its timing file", "unreadable"])
def test_a_file_in_trouble_is_given_up_with_its_partner_and_its_night_is_planned_anew(
    closed: Scene, how: str
) -> None:
    cube = closed.night_folder / PATH
    if how == "unreadable":
        tasks.add_task(closed.ledger, closed.night.id, Stage.BUILD, "0.1")
        number = closed.ledger.value("select id from task where stage = 'build'")
        task = tasks.claim(closed.ledger, number)
        assert task is not None
        error = f"{PATH}: read error at byte 2880: Input/output error"
        outcome: Outcome[object] = Outcome(
            key=1, error_class=ErrorClass.INPUT, error=error, path=PATH
        )
        after_error(closed.ledger, task, outcome, closed.config)
    elif how == "gone":
        cube.unlink()
    else:
        spoil(cube if how == "changed" else cube.with_suffix(".txt"))
    closed.go()
    if how != "unreadable":
        read_through(closed)
    sync = closed.ledger.value("select id from task where stage = 'sync'")
    closed.ledger.execute("update task set state = 'done' where id = ?", [sync])

    answer = give_up(closed)
    closed.go(2)

    states = closed.states()
    assert {states[PATH], states[PATH.replace(".fits", ".txt")]} == {FileState.QUARANTINED}
    assert files.file_of(closed.ledger, closed.night.id, PATH).reason == (
        "given up by uid 0: bit rot"
    )
    assert closed.night.hold is None
    assert tasks.get_task(closed.ledger, sync).state == "pending"
    assert strays.strays_of(closed.ledger, closed.night.id) == []
    assert answer["lines"][0].endswith("its timing file are given up: 5 frames are rejected")


def test_a_dry_run_says_the_same_and_writes_nothing(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()
    closed.go()
    events = closed.ledger.value("select count(*) from event")

    dry = give_up(closed, dry_run=True)
    written = closed.ledger.value("select count(*) from event") - events
    real = give_up(closed)

    assert written == 0
    assert dry["lines"] == real["lines"]


def test_to_give_a_file_up_twice_is_the_same_as_once(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()
    closed.go()
    first = give_up(closed)
    events = closed.ledger.value("select count(*) from event")

    again = give_up(closed, PATH.replace(".fits", ".txt"))

    assert (first["changed"], again["changed"]) == (True, False)
    assert closed.ledger.value("select count(*) from event") == events


def test_a_file_that_went_since_the_last_look_can_be_given_up_at_once(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()

    assert give_up(closed)["changed"]


@pytest.mark.parametrize("what", ["cube", "timing file"])
def test_whatever_becomes_of_a_given_up_file_its_night_goes_on(closed: Scene, what: str) -> None:
    path = closed.night_folder / (PATH if what == "cube" else PATH.replace(".fits", ".txt"))
    content = path.read_bytes()
    path.unlink()
    closed.go()
    give_up(closed)
    events = closed.ledger.value("select count(*) from event")

    path.write_bytes(content)
    closed.go(2)
    spoil(path)
    closed.go(2)
    path.unlink()
    closed.go(2)

    assert closed.ledger.value("select count(*) from event") == events
    assert closed.night.hold is None


def test_its_frames_are_counted_as_rejected_once_the_night_is_planned(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()
    closed.go()
    give_up(closed)
    number = files.file_of(closed.ledger, closed.night.id, PATH).id
    closed.ledger.execute("delete from segment")
    closed.ledger.execute("delete from output")
    closed.ledger.insert(
        "segment",
        night=closed.night.id,
        raw_file=number,
        first=0,
        step=1,
        count=5,
        reason="given up by uid 0: bit rot",
    )

    [night] = nights(closed.ledger.connection)
    found = account(closed.ledger.connection, night)

    assert (found.rejected, found.quarantined) == (5, 0)
    assert found.reasons == {"given up by uid 0: bit rot": 5}
    assert [problem for problem in found.problems if PATH in problem] == []


def _is_good(scene: Scene) -> None:
    """Nothing is wrong with the file."""


def _is_read_again(scene: Scene) -> None:
    move_to_another_inode(scene.night_folder / PATH)


def _is_safe(scene: Scene) -> None:
    scene.ledger.update("night", scene.night.id, status=NightStatus.SAFE)


def _is_abandoned(scene: Scene) -> None:
    scene.ledger.update("night", scene.night.id, status=NightStatus.ABANDONED)


def _is_not_planned(scene: Scene) -> None:
    scene.ledger.execute("delete from segment")
    scene.ledger.execute("delete from output")


def _is_quarantined(scene: Scene) -> None:
    files.quarantine(scene.ledger, scene.night.id, PATH, Cause(FileCode.BY_HAND, {"why": "bad"}))


def _is_of_an_earlier_batch(scene: Scene) -> None:
    scene.ledger.update("night", scene.night.id, batch=2)


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (_is_good, "it lies there as it was recorded"),
        (_is_read_again, "with the recorded bytes it is the file"),
        (_is_safe, "safe at the far end"),
        (_is_abandoned, "the night is abandoned"),
        (_is_not_planned, f"vampd quarantine {DATE} {PATH} --add --why TEXT"),
        (_is_quarantined, "it is quarantined"),
        (_is_of_an_earlier_batch, "safe at the far end"),
    ],
)
def test_what_cannot_be_given_up_is_refused_with_the_reason(
    closed: Scene, arrange: Any, reason: str
) -> None:
    if arrange not in {_is_good, _is_read_again}:
        spoil(closed.night_folder / PATH)
        closed.go()
        read_through(closed)
    arrange(closed)

    with pytest.raises(OperatorError, match=reason):
        give_up(closed)

    assert given_up.paths_of(closed.ledger, closed.night.id) == frozenset()


def test_nobody_can_give_up_a_file_that_was_never_seen(closed: Scene) -> None:
    with pytest.raises(OperatorError, match="knows no file vcam1/nothing"):
        give_up(closed, "vcam1/nothing")


def test_a_night_stays_held_for_the_files_that_were_not_given_up(closed: Scene) -> None:
    for path in (PATH, LATER):
        (closed.night_folder / path).unlink()
    closed.go()

    answer = give_up(closed)

    assert answer["lines"][-1] == (
        f"it stays held: raw file gone after the night was closed: {LATER}"
    )
    assert closed.night.hold is not None


def test_a_file_that_cannot_be_read_does_not_stop_what_does_not_need_it(closed: Scene) -> None:
    strays.note_unreadable(closed.ledger, closed.night.id, PATH, "Input/output error")

    closed.go(2)

    [row] = strays.strays_of(closed.ledger, closed.night.id)
    assert row.state == StrayState.UNREADABLE
    assert closed.night.hold is None


def test_after_a_restore_a_given_up_file_is_a_quarantined_one(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()
    closed.go()
    give_up(closed)
    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": False}

    Orders(closed.ledger, closed.config).carry_out("restore", named, "uid 0")

    assert given_up.paths_of(closed.ledger, closed.night.id) == frozenset()
    assert closed.states()[PATH] == FileState.QUARANTINED
    assert outputs.outputs_of(closed.ledger, closed.night.id) == []
