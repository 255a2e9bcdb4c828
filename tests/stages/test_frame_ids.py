"""What every issuer of frame IDs keeps to: never twice, never lost unsaid, never asked twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_ledger import reread
from tests.support.frame_id_counter import Fault
from tests.support.issuers import FIRST, FOREIGN, ISSUERS, Desk, desk
from tests.support.stage_steps import prepared
from vampd.errors import OperatorError, UsageError
from vampd.io.number_runs import MOST_OF_A_NIGHT
from vampd.ledger import tasks
from vampd.ledger.counter import strange_texts
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.records import Night
from vampd.settings.load import load
from vampd.states import ErrorClass, RequestState, Stage, TaskState

UNCLEAR = (
    Fault.LATE,
    Fault.LOST,
    Fault.TORN,
    Fault.DEAD,
    Fault.ERROR,
    Fault.OLD,
    Fault.DUPLICATE,
    Fault.MALFORMED,
    Fault.MORE,
)


@pytest.fixture(params=ISSUERS)
def any_desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with desk(tmp_path, request.param) as made:
        yield made


@pytest.fixture(params=FOREIGN)
def foreign(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with desk(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, "local") as made:
        yield made


@pytest.fixture
def frames(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, "gen2 frames") as made:
        yield made


@pytest.fixture
def instrument(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, "gen2 instrument") as made:
        yield made


def numbers_in(made: Desk) -> list[int]:
    return [row["number"] for row in made.ledger.rows("select number from frame_id")]


def test_contents_get_numbers_in_their_order_and_night_after_night(any_desk: Desk) -> None:
    first = any_desk.night("20251106", ["b", "a", "c"])
    second = any_desk.night("20251107", ["d"])

    assert any_desk.attempt(first).state == TaskState.DONE
    assert any_desk.attempt(second).state == TaskState.DONE

    assert any_desk.bound(first) == {"b": FIRST, "a": FIRST + 1, "c": FIRST + 2}
    assert any_desk.bound(second) == {"d": FIRST + 3}
    shown = any_desk.ledger.rows("select content_key, frame_id from output order by id")
    assert [tuple(row) for row in shown] == [
        ("b", FIRST),
        ("a", FIRST + 1),
        ("c", FIRST + 2),
        ("d", FIRST + 3),
    ]


def test_doing_it_again_deals_nothing(any_desk: Desk) -> None:
    night = any_desk.night("20251106", ["a", "b"])
    any_desk.attempt(night)
    before, asked = any_desk.bound(night), any_desk.requests()

    any_desk.ledger.execute("update task set state = 'pending'")
    any_desk.attempt(night)

    assert any_desk.bound(night) == before
    assert any_desk.requests() == asked


def test_a_supplement_gets_numbers_of_its_own(any_desk: Desk) -> None:
    night = any_desk.night("20251106", ["a", "b"])
    any_desk.attempt(night)
    first = any_desk.bound(night)
    any_desk.ledger.update("night", night.id, batch=2)
    tasks.add_task(any_desk.ledger, night.id, Stage.FRAME_IDS)
    any_desk.plan(night, ["late"])

    any_desk.attempt(night)

    assert first == {"a": FIRST, "b": FIRST + 1}
    assert any_desk.bound(night) == {"late": FIRST + 2}
    kept = any_desk.ledger.rows("select number, state, batch from frame_id order by number")
    assert [tuple(row) for row in kept] == [
        (FIRST, "bound", 1),
        (FIRST + 1, "bound", 1),
        (FIRST + 2, "bound", 2),
    ]


@pytest.mark.parametrize("issuer", ["command", "gen2 frames"])
def test_a_short_answer_is_used_and_the_rest_is_asked_for(tmp_path: Path, issuer: str) -> None:
    with desk(tmp_path, issuer) as made:
        night = made.night("20251106", ["a", "b", "c"])
        made.set(fault=Fault.SHORT)

        task = made.attempt(night)
        waits_with = (task.state, made.requests(), numbers_in(made))
        made.set(fault=Fault.NONE)
        made.clock.pass_seconds(3600)
        made.attempt(night)

        # Of three two came, of the one that was lacking none.
        assert waits_with == (
            TaskState.PENDING,
            [RequestState.ANSWERED, RequestState.VOID],
            [FIRST, FIRST + 1],
        )
        assert made.bound(night) == {"a": FIRST, "b": FIRST + 1, "c": FIRST + 2}


def test_of_two_blocks_that_were_dealt_only_the_told_one_is_used(foreign: Desk) -> None:
    night = foreign.night("20251106", ["a", "b"])
    foreign.set(fault=Fault.TWICE)

    foreign.attempt(night)
    foreign.set(fault=Fault.NONE)
    second = foreign.night("20251107", ["c"])
    foreign.attempt(second)

    assert foreign.bound(night) == {"a": FIRST + 2, "b": FIRST + 3}
    assert foreign.bound(second) == {"c": FIRST + 4}


def held(made: Desk, night: Night, fault: Fault) -> str:
    """Bring the night to a hold by *fault*; return what is said."""
    made.set(fault=fault)
    if fault in {Fault.LATE, Fault.SHORT, Fault.TORN}:  # an answer that is waited for in vain
        made.be_impatient(3.0 if made.issuer == "command" else 0.8)
    task = made.attempt(night)
    made.be_impatient(20)
    assert task.state == TaskState.FAILED
    assert task.error_class == ErrorClass.AMBIGUOUS
    return str(task.error)


@pytest.mark.parametrize("fault", UNCLEAR)
def test_what_is_unclear_holds_the_night_is_asked_once_and_never_used(
    foreign: Desk, fault: Fault
) -> None:
    night = foreign.night("20251106", ["a", "b", "c"])

    said = held(foreign, night, fault)
    again = foreign.retry(night)

    assert "vampd archive ids adopt 20251106" in said
    assert "vampd archive ids void 20251106" in said
    assert again.state == TaskState.FAILED
    assert foreign.counter.questions == 1
    assert foreign.requests() == [RequestState.UNCLEAR]
    assert numbers_in(foreign) == []

    foreign.order("ids-void", night)
    if fault is not Fault.DEAD or foreign.issuer == "command":
        foreign.set(fault=Fault.NONE)
        foreign.attempt(night)
        assert foreign.counter.questions == 2
        assert set(foreign.bound(night)) == {"a", "b", "c"}
        assert set(numbers_in(foreign)) == set(foreign.counter.dealt[-3:])


def test_an_operator_who_knows_what_was_dealt_lets_the_night_go_on_with_it(foreign: Desk) -> None:
    night = foreign.night("20251106", ["a", "b", "c"])
    held(foreign, night, Fault.LOST)
    ids = f"{frame_id_text(FIRST)}..{frame_id_text(FIRST + 2)}"

    foreign.order("ids-adopt", night, ids=ids)
    twice = foreign.order("ids-adopt", night, ids=ids)
    task = foreign.attempt(night)

    assert twice["changed"] is False
    assert task.state == TaskState.DONE
    assert foreign.bound(night) == {"a": FIRST, "b": FIRST + 1, "c": FIRST + 2}
    assert foreign.counter.questions == 1
    assert foreign.requests() == [RequestState.ADOPTED]


def test_of_a_part_that_is_adopted_the_rest_is_asked_for(foreign: Desk) -> None:
    night = foreign.night("20251106", ["a", "b", "c"])
    held(foreign, night, Fault.LOST)

    foreign.order("ids-adopt", night, ids=f"{FIRST}..{FIRST + 1}")
    foreign.set(fault=Fault.NONE)
    foreign.attempt(night)

    assert foreign.bound(night) == {"a": FIRST, "b": FIRST + 1, "c": FIRST + 3}


def test_a_list_that_stays_short_is_unclear_for_the_rest_may_still_be_written(
    instrument: Desk,
) -> None:
    night = instrument.night("20251106", ["a", "b", "c"])

    said = held(instrument, night, Fault.SHORT)

    assert "2 new lines, and 3 whole ones are wanted" in said
    reply = instrument.ledger.value("select reply from frame_request")
    assert reply.split() == [frame_id_text(FIRST), frame_id_text(FIRST + 1)]


def test_an_issuer_that_cannot_be_reached_is_asked_later(foreign: Desk) -> None:
    night = foreign.night("20251106", ["a"])
    foreign.set(fault=Fault.REFUSED)

    task = foreign.attempt(night)

    assert (task.state, task.error_class) == (TaskState.PENDING, ErrorClass.TRANSIENT)
    assert "nothing was dealt" in (task.error or "")
    assert task.due_us > foreign.ledger.now_us()
    assert foreign.requests() == [RequestState.VOID]
    assert foreign.counter.questions == 0


def test_a_program_that_is_not_there_needs_somebody(tmp_path: Path) -> None:
    with desk(tmp_path, "command") as made:
        night = made.night("20251106", ["a"])
        (tmp_path / "counter.json").rename(tmp_path / "moved.json")
        missing = tmp_path / "vampd.toml"
        missing.write_text(missing.read_text().replace("command = ['", "command = ['/no"))
        made.config = load(missing)

        task = made.attempt(night)

        assert (task.state, task.error_class) == (
            TaskState.FAILED,
            ErrorClass.DETERMINISTIC,
        )
        assert "is not installed here" in (task.error or "")


def test_a_worker_that_dies_with_a_question_on_its_way_holds_the_night(foreign: Desk) -> None:
    night = foreign.night("20251106", ["a"])
    foreign.clock.pass_seconds(1)
    foreign.ledger.update("night", night.id, ids_looked_us=foreign.ledger.now_us())
    task = tasks.claim(foreign.ledger, foreign.task(night).id)
    assert task is not None

    prepared(foreign.ledger, foreign.config, reread(foreign.ledger, night), task)
    tasks.reap(foreign.ledger, "the daemon died")  # between the question and its record
    task = foreign.attempt(night)

    assert foreign.requests() == [RequestState.ASKED]
    assert (task.state, task.error_class) == (TaskState.FAILED, ErrorClass.AMBIGUOUS)
    assert "died before the answer was recorded" in (task.error or "")
    assert foreign.counter.questions == 0


def used_on_disk(made: Desk, date: str, number: int) -> Path:
    path = made.archive / date / "vgen2" / f"{frame_id_text(number)}.fits.fz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_lost_ledger_does_not_begin_again_at_the_first_number(local: Desk) -> None:
    used_on_disk(local, "20251001", FIRST + 40)
    (local.archive / "20251002").mkdir()
    manifest = local.archive / "20251002/manifest_VMP_20251002.csv"
    manifest.write_text(f"{frame_id_text(FIRST + 70)}|/x|5\n")

    night = local.night("20251106", ["a"])
    local.attempt(night)

    assert local.bound(night) == {"a": FIRST + 71}


def stray_list(made: Desk, date: str, text: str) -> Path:
    path = made.archive / date / "manifest_other.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("number", [99_999_998, 99_999_999, 4_000_000])
def test_one_file_far_above_all_that_is_known_moves_nothing_and_is_told(
    any_desk: Desk, number: int
) -> None:
    path = used_on_disk(any_desk, "20251001", number)
    night = any_desk.night("20251106", ["a", "b"])

    any_desk.attempt(night)

    assert any_desk.bound(night) == {"a": FIRST, "b": FIRST + 1}
    (told,) = strange_texts(any_desk.ledger.connection, FIRST)
    assert f"{frame_id_text(number)} in {path}: too far above" in told


@pytest.mark.parametrize(
    "text",
    [
        "VMPA99999999|/x|5\n",
        "".join(f"VMPA{number:08d}|/x|5\n" for number in range(0, 10**8, 10**6)),
        "".join(f"VMPA{number:08d}|/x|5\n" for number in range(FIRST, FIRST + 200_000)),
        "".join(f"VMPA{number:08d}|/x|5\n" for number in range(FIRST, FIRST + 10**7, 90_000)),
    ],
)
def test_a_strangers_list_moves_the_counter_by_no_more_than_a_night_and_is_told(
    local: Desk, text: str
) -> None:
    path = stray_list(local, "20251001", text)
    night = local.night("20251106", ["a", "b"])

    local.attempt(night)

    numbers = local.bound(night).values()
    assert max(numbers) <= FIRST + MOST_OF_A_NIGHT + 2
    assert any(str(path) in told for told in strange_texts(local.ledger.connection, FIRST))


def test_a_pipe_under_a_lists_name_stops_nobody_and_is_told(local: Desk) -> None:
    path = stray_list(local, "20251001", "")
    path.unlink()
    os.mkfifo(path)
    night = local.night("20251106", ["a"])

    local.attempt(night)

    assert local.bound(night) == {"a": FIRST}
    (told,) = strange_texts(local.ledger.connection, FIRST)
    assert f"{path} is a pipe" in told


def test_a_number_that_a_disk_bears_is_refused_with_its_place(foreign: Desk) -> None:
    path = used_on_disk(foreign, "20251001", FIRST + 1)
    night = foreign.night("20251106", ["a", "b"])

    said = held(foreign, night, Fault.NONE)

    assert f"{frame_id_text(FIRST)} came, which is not above {frame_id_text(FIRST + 1)}" in said
    assert str(path) in said
    with pytest.raises(OperatorError, match=f"{path}"):
        foreign.order("ids-adopt", night, ids=f"{FIRST}..{FIRST + 1}")


def test_while_the_disk_is_absent_nothing_is_dealt(any_desk: Desk) -> None:
    night = any_desk.night("20251106", ["a"])
    (any_desk.archive / ".vampd-root").rename(any_desk.folder / "unmounted")

    task = any_desk.attempt(night)
    (any_desk.folder / "unmounted").rename(any_desk.archive / ".vampd-root")
    any_desk.clock.pass_seconds(3600)
    later = any_desk.attempt(night)

    assert (task.state, task.error_class) == (TaskState.PENDING, ErrorClass.TRANSIENT)
    assert "not mounted" in (task.error or "")
    assert later.state == TaskState.DONE
    assert any_desk.bound(night) == {"a": FIRST}


def test_an_old_list_of_the_instrument_is_not_taken_for_the_answer(instrument: Desk) -> None:
    stale = instrument.folder / "frames_VMPA.txt"
    stale.write_text(f"{frame_id_text(FIRST + 900)}")
    instrument.gen2.file_after_seconds = 0.5
    night = instrument.night("20251106", ["a"])

    instrument.attempt(night)

    assert instrument.bound(night) == {"a": FIRST}


def test_a_list_that_is_being_written_is_not_taken_for_whole(instrument: Desk) -> None:
    instrument.gen2.file_after_seconds = 0.4  # between its two pieces
    night = instrument.night("20251106", ["a", "b"])

    instrument.attempt(night)

    assert instrument.bound(night) == {"a": FIRST, "b": FIRST + 1}


def test_a_service_that_is_not_registered_is_asked_later(frames: Desk) -> None:
    frames.gen2.registered = False
    night = frames.night("20251106", ["a"])

    task = frames.attempt(night)

    assert task.error_class == ErrorClass.TRANSIENT
    assert "knows no service frames" in (task.error or "")


def test_a_service_that_speaks_another_protocol_needs_somebody(frames: Desk) -> None:
    frames.gen2.protocol = "g2rpc-tcp"
    night = frames.night("20251106", ["a"])

    task = frames.attempt(night)

    assert task.error_class == ErrorClass.DETERMINISTIC
    assert "does not speak plain XML-RPC" in (task.error or "")
    assert frames.counter.questions == 0


def test_what_cannot_have_been_dealt_is_not_adopted(frames: Desk) -> None:
    first = frames.night("20251105", ["x"])
    frames.attempt(first)
    night = frames.night("20251106", ["a", "b"])
    held(frames, night, Fault.LOST)

    with pytest.raises(OperatorError, match="more than the 2 that were asked for"):
        frames.order("ids-adopt", night, ids=f"{FIRST + 1}..{FIRST + 3}")
    with pytest.raises(OperatorError, match="was dealt before, to archive 20251105"):
        frames.order("ids-adopt", night, ids=f"{FIRST}")
    with pytest.raises(UsageError, match="is no frame ID"):
        frames.order("ids-adopt", night, ids="VMPB00425190")

    assert frames.requests() == [RequestState.ANSWERED, RequestState.UNCLEAR]


def test_what_was_written_off_is_never_used(frames: Desk) -> None:
    night = frames.night("20251106", ["a", "b"])
    held(frames, night, Fault.MORE)
    frames.order("ids-void", night)

    frames.set(fault=Fault.NONE, following=FIRST)
    task = frames.attempt(night)

    assert task.state == TaskState.FAILED
    assert "which an operator wrote off before" in (task.error or "")
    with pytest.raises(OperatorError, match="was written off before"):
        frames.order("ids-adopt", night, ids=f"{FIRST}")


def test_a_dry_run_decides_nothing(frames: Desk) -> None:
    night = frames.night("20251106", ["a"])
    held(frames, night, Fault.LOST)

    for order in ("ids-void", "ids-skip"):
        assert frames.order(order, night, dry_run=True)["changed"] is True
    assert frames.order("ids-adopt", night, ids=f"{FIRST}", dry_run=True)["changed"] is True

    assert frames.requests() == [RequestState.UNCLEAR]
    assert numbers_in(frames) == []
    assert reread(frames.ledger, night).ids_skip_why is None


def test_there_is_nothing_to_decide_where_nothing_is_unclear(local: Desk) -> None:
    night = local.night("20251106", ["a"])

    for order in ("ids-void", "ids-adopt"):
        with pytest.raises(OperatorError, match="nothing to decide"):
            local.order(order, night, ids=f"{FIRST}")


def test_a_skip_is_on_record_once(local: Desk) -> None:
    night = local.night("20251106", ["a"])

    once = local.order("ids-skip", night, why="dome flats first")
    twice = local.order("ids-skip", night, why="again")

    assert (once["changed"], twice["changed"]) == (True, False)
    assert reread(local.ledger, night).ids_skip_why == "dome flats first"
    event = local.ledger.row("select * from event where subject = 'night' order by id desc")
    assert event is not None
    assert (event["actor"], event["why"]) == ("me", "ids skip: dome flats first")
