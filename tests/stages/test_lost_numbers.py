"""Whenever a daemon dies and its ledger is lost: no number twice, and the same frames keep theirs.

A process of its own gives a night its frame IDs, and kills itself at the n-th change of a file or
of the ledger. Then the ledger is kept, or lost, or made again; and what was begun is finished.
Every change is tried by `python -m tests.campaigns.frame_ids kills`, some of them here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.support.fake_ledger import opened, reread
from tests.support.frame_id_counter import Fault
from tests.support.issuers import FIRST, Desk, desk
from tests.support.waiting import wait_until
from vampd.io.beneath import night_folder
from vampd.io.disk import claim_root
from vampd.io.numbers_seen import look_at_root
from vampd.ledger import nights, requests, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.stages import frame_id_papers, story
from vampd.stages.frame_id_papers import Told
from vampd.stages.ledger_again import make_again
from vampd.states import Kind, Stage, TaskState

DATE, NEXT_DATE = "20251106", "20251107"
CONTENTS = ["b", "a", "c"]

_CHANGES = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.truncate"})
_WAIT_SECONDS = 20.0


def numbered_until(made: Desk, change: int) -> bool:
    """Let a process give the night its numbers, and kill itself at that change; whether it did."""
    made.ledger.close()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _number_and_die(made, change)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _number_and_die(made: Desk, change: int) -> None:
    made.ledger = opened(made.folder / "state", made.clock)
    seen = 0

    def note() -> None:
        nonlocal seen
        seen += 1
        if seen == change:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_statement(sql: str) -> None:
        if sql.lower().startswith(("commit", "insert", "update")):
            note()

    def on_audit(event: str, arguments: tuple[object, ...]) -> None:
        is_ours = any(str(made.archive) in str(each) or each == ".vampd" for each in arguments)
        if event == "subprocess.Popen" or (event in _CHANGES and is_ours):
            note()

    made.ledger.connection.set_trace_callback(on_statement)
    sys.addaudithook(on_audit)
    made.attempt(_night(made.ledger, DATE))


def _night(ledger: Ledger, date: str) -> Night:
    return nights.find_night(ledger, Kind.ARCHIVE, date)


def told(made: Desk) -> Told:
    return frame_id_papers.read(night_folder(made.archive / DATE))


def wait_for_the_asker(made: Desk) -> None:
    """Whoever asks goes on when the daemon is dead."""
    wait_until(lambda: not any(question.is_going_on for question in told(made).questions))


def keep_ledger(made: Desk) -> None:
    made.ledger = opened(made.folder / "state", made.clock)
    tasks.reap(made.ledger, "the daemon died")


def lose_ledger(made: Desk) -> None:
    """A new one, that finds everything out by looking."""
    _new_ledger(made)
    night = nights.sight_night(made.ledger, Kind.ARCHIVE, DATE, made.archive / DATE)
    tasks.add_task(made.ledger, night.id, Stage.FRAME_IDS)
    made.plan(night, CONTENTS)


def make_ledger_again(made: Desk) -> None:
    _new_ledger(made)
    make_again(made.ledger, [(Kind.ARCHIVE, made.archive)], digests=False)


def _new_ledger(made: Desk) -> None:
    for path in (made.folder / "state").glob("ledger*"):
        path.unlink()
    made.ledger = opened(made.folder / "state", made.clock)
    root = str(made.archive)
    made.ledger.insert("root", path=root, marker=claim_root(made.archive), claimed_us=1)


AFTERWARDS = (keep_ledger, lose_ledger, make_ledger_again)


def finish(made: Desk) -> dict[str, int]:
    """What the next daemon does, and an operator where it is unclear what was dealt."""
    made.clock.pass_seconds(7200)
    night = _night(made.ledger, DATE)
    task = made.task(night)
    for _ in range(4):
        task = made.attempt(night)
        if task.state == TaskState.DONE:
            return made.bound(night)
        if requests.open_request(made.ledger, night.id) is not None:
            made.order("ids-void", night)
        made.clock.pass_seconds(7200)
    raise AssertionError(task.error)


@pytest.mark.parametrize("afterwards", AFTERWARDS)
@pytest.mark.parametrize(("issuer", "step"), [("local", 5), ("command", 13)])
def test_at_whatever_change_it_dies_no_number_is_given_twice_and_none_is_taken_away(
    tmp_path: Path, issuer: str, step: int, afterwards: Callable[[Desk], None]
) -> None:
    first = 1 + AFTERWARDS.index(afterwards)  # others with each of them

    assert changes_survived(tmp_path, issuer, afterwards, first, step) > 4


def changes_survived(
    folder: Path, issuer: str, afterwards: Callable[[Desk], None], first: int, step: int
) -> int:
    """Kill at one change after another, until there are no more; return how many it were."""
    for survived in count():
        place = folder / str(survived)
        place.mkdir()
        if not survives(place, issuer, afterwards, first + survived * step):
            return survived
    raise AssertionError


def survives(folder: Path, issuer: str, afterwards: Callable[[Desk], None], change: int) -> bool:
    """Kill at that *change*; whether there was one."""
    with desk(folder, issuer) as made:
        night = made.night(DATE, CONTENTS)
        story.write_story(story.prepare_records(made.ledger, night))
        killed = numbered_until(made, change)
        wait_for_the_asker(made)
        before = told(made)
        check_that_paper_came_first(made)
        afterwards(made)
        after = finish(made)
        check_numbers(made, before, after)
        made.ledger.close()
    return killed


def check_that_paper_came_first(made: Desk) -> None:
    """What the dead daemon's ledger believes to be bound stands in the night's paper."""
    with closing(opened(made.folder / "state", made.clock)) as ledger:
        bound = {
            row["number"]: row["content_key"]
            for row in ledger.rows("select * from frame_id where state = 'bound'")
        }
        used = ledger.rows("select frame_id from output where frame_id is not null")
    on_paper = {each.number: each.content for each in told(made).bound.values()}
    assert bound.items() <= on_paper.items()
    assert {row["frame_id"] for row in used} <= on_paper.keys()


def check_numbers(made: Desk, before: Told, after: dict[str, int]) -> None:
    for each in before.bound.values():
        assert after[str(each.content)] == each.number, "the same frames got another number"
    assert sorted(after) == sorted(CONTENTS)
    assert len(set(after.values())) == len(CONTENTS)
    if made.issuer == "command":
        assert set(after.values()) <= set(made.counter.dealt)
        answered = [each for each in before.questions if each.ending is not None]
        if answered:  # what came while nobody was there is used
            expected = dict(zip(CONTENTS, made.counter.dealt, strict=True))
            assert (made.counter.questions, after) == (1, expected)
    else:
        assert after == dict(zip(CONTENTS, range(FIRST, FIRST + 3), strict=True))
    following = made.night(NEXT_DATE, ["d"])
    made.attempt(following)
    (number,) = made.bound(following).values()
    assert number > max(after.values())


def test_an_answer_that_came_while_the_daemon_was_dead_is_used(tmp_path: Path) -> None:
    with desk(tmp_path, "command") as made:
        made.night(DATE, CONTENTS)
        made.set(fault=Fault.SLOW)
        made.ledger.close()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                made.ledger = opened(made.folder / "state", made.clock)
                made.attempt(_night(made.ledger, DATE))
            os._exit(0)
        wait_until(lambda: told(made).questions)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        keep_ledger(made)
        night = _night(made.ledger, DATE)

        at_once = made.attempt(night)
        (tmp_path / "go").touch()
        wait_for_the_asker(made)
        made.clock.pass_seconds(3600)
        later = made.attempt(night)

        assert (at_once.state, at_once.error_class) == (TaskState.PENDING, "transient")
        assert "still being asked for" in (at_once.error or "")
        assert later.state == TaskState.DONE
        assert made.counter.questions == 1
        assert sorted(made.bound(night).values()) == made.counter.dealt
        made.ledger.close()


def test_what_an_operator_wrote_off_stays_so_when_the_ledger_is_lost(tmp_path: Path) -> None:
    with desk(tmp_path, "command") as made:
        night = made.night(DATE, CONTENTS)
        made.set(fault=Fault.MORE)
        made.attempt(night)
        made.order("ids-void", night)
        made.set(fault=Fault.NONE)
        made.ledger.close()

        lose_ledger(made)
        night = _night(made.ledger, DATE)
        made.attempt(night)

        assert made.counter.questions == 2
        assert sorted(made.bound(night).values()) == made.counter.dealt[4:]
        assert requests.written_off(made.ledger) == set(made.counter.dealt[:4])
        made.ledger.close()


def test_what_an_operator_adopted_is_the_nights_when_the_ledger_is_lost(tmp_path: Path) -> None:
    with desk(tmp_path, "command") as made:
        night = made.night(DATE, CONTENTS)
        made.set(fault=Fault.LOST)
        made.attempt(night)
        made.order("ids-adopt", night, ids=f"{FIRST}..{FIRST + 2}")
        made.set(fault=Fault.NONE)
        made.ledger.close()

        lose_ledger(made)
        night = _night(made.ledger, DATE)
        made.attempt(night)

        assert made.counter.questions == 1
        assert made.bound(night) == dict(zip(CONTENTS, range(FIRST, FIRST + 3), strict=True))
        made.ledger.close()


def test_of_a_night_whose_folder_is_gone_the_mark_keeps_the_numbers(tmp_path: Path) -> None:
    with desk(tmp_path, "local") as made:
        made.attempt(made.night(DATE, CONTENTS))
        made.ledger.close()
        for path in sorted((made.archive / DATE).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (made.archive / DATE).rmdir()

        _new_ledger(made)
        following = made.night(NEXT_DATE, ["d"])
        made.attempt(following)

        assert made.bound(following) == {"d": FIRST + 3}
        assert look_at_root(made.archive, claim_root(made.archive), {}, now_ns=1)[0].runs == ()
        made.ledger.close()


def test_a_paper_that_says_what_the_ledger_denies_stops_its_night_and_names_both(
    tmp_path: Path,
) -> None:
    with desk(tmp_path, "local") as made:
        first = made.night(DATE, CONTENTS)
        made.attempt(first)
        second = made.night(NEXT_DATE, ["d"])
        paper = made.archive / DATE / ".vampd/frame_ids.jsonl"
        (made.archive / NEXT_DATE / ".vampd").mkdir()
        (made.archive / NEXT_DATE / ".vampd/frame_ids.jsonl").write_bytes(paper.read_bytes())

        task = made.attempt(second)

        assert (task.state, task.error_class) == (TaskState.FAILED, "integrity")
        assert f"is archive {NEXT_DATE}'s by {made.archive}/{NEXT_DATE}" in (task.error or "")
        assert f"archive {DATE}'s by the ledger" in (task.error or "")
        assert made.bound(reread(made.ledger, second)) == {}
