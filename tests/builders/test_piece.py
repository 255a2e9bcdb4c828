from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.schedule import worker_bodies as bodies
from tests.support.waiting import wait_for, wait_until
from vampd.builders import piece
from vampd.builders.card import Card, Share, leave_word, look_at, objections, own_make
from vampd.builders.messages import Load
from vampd.builders.piece import Bench
from vampd.io.scratch import is_over, own
from vampd.schedule.executor import Outcome
from vampd.states import ErrorClass


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.serve("nobody")


def load(work: Callable[..., object], job: object) -> bytes:
    return pickle.dumps(Load(work=work, job=job, nice=0))


def test_a_builder_does_a_piece_once_whoever_hands_it_out_again(bench: Bench) -> None:
    first = bench.do("once", load(bodies.double, 4), 60)
    again = bench.do("once", load(bodies.double, 4), 60)

    assert (first.result, first.error) == (8, None)
    assert (again.result, again.error) == (None, "it was begun here before")
    assert again.error_class is ErrorClass.TRANSIENT


def test_a_piece_for_an_earlier_process_is_not_begun() -> None:
    told = piece.do_piece("another", "a", load(bodies.double, 4), 60)

    outcome: Outcome[object] = pickle.loads(told)
    assert (outcome.result, outcome.error_class) == (None, ErrorClass.TRANSIENT)


def linger(pid_file: str) -> None:
    """Work without end, which tells by whom it is done."""
    (scratch := Path(f"{pid_file}.scratch")).write_text(str(os.getpid()))
    scratch.rename(pid_file)
    time.sleep(3600)


def is_dead(pid_file: Path) -> bool:
    return is_over(replace(own(), pid=int(pid_file.read_text())))


def test_a_piece_that_hangs_is_ended_after_its_time_and_the_next_is_done(
    bench: Bench, tmp_path: Path
) -> None:
    bench.do("warm", load(bodies.double, 4), 60)

    hung = bench.do("hung", load(linger, str(tmp_path / "pid")), 2.0)
    after = bench.do("after", load(bodies.double, 4), 60)

    assert hung.error == "it was not done after 2 s, and given up"
    assert hung.error_class is ErrorClass.TRANSIENT
    if (tmp_path / "pid").exists():  # else it had not even begun
        wait_until(lambda: is_dead(tmp_path / "pid"))
    assert after.result == 8


@pytest.mark.parametrize("how", ["left off", "of an earlier daemon", "helper killed"])
def test_a_piece_that_nobody_waits_for_is_ended(bench: Bench, tmp_path: Path, how: str) -> None:
    ended: list[Outcome[object]] = []
    bench.serve(f"before {how}")
    work = load(linger, str(tmp_path / "pid"))
    doing = threading.Thread(target=lambda: ended.append(bench.do(how, work, 600)))
    doing.start()
    wait_for(tmp_path / "pid")

    if how == "left off":
        bench.leave_off(how)
    elif how == "of an earlier daemon":
        bench.serve(f"after {how}")
    else:
        assert bench._helper is not None
        os.kill(bench._helper.pid, signal.SIGKILL)

    doing.join()
    assert [each.crashed for each in ended] == [True]
    wait_until(lambda: is_dead(tmp_path / "pid"))


def card() -> Card:
    return Card(owner=own(), process="p", make=own_make(), unseen=(), at_work=None)


def test_a_builder_that_is_the_same_vampd_and_sees_the_roots_is_taken() -> None:
    other = replace(own(), host="elsewhere", pid=1)

    assert objections(card(), own_make(), [own(), other]) == []


def test_a_builder_is_refused_with_all_that_is_wrong_with_it() -> None:
    make = replace(
        own_make(),
        vampd="0.0.1",
        python="3.9",
        libraries=(("numpy", "1"), *own_make().libraries[1:]),
    )
    twin = replace(own(), life="0" * 12)

    found = objections(replace(card(), make=make, unseen=("/data: gone",)), own_make(), [twin])

    assert len(found) == 5
    assert found[0] == f"it has vampd 0.0.1, not {own_make().vampd}"
    assert found[2].startswith("it has numpy 1, not ")
    assert found[3:] == [
        "/data: gone",
        f"another host, or container, is called {own().host} too",
    ]


def test_the_same_version_with_other_modules_is_refused() -> None:
    make = replace(own_make(), code="0")

    (found,) = objections(replace(card(), make=make), own_make(), [])

    assert found.endswith("has other modules than the daemon's")


def test_a_root_is_known_by_the_daemons_word_in_it(tmp_path: Path) -> None:
    first = leave_word(str(tmp_path), "first")
    share = leave_word(str(tmp_path), "second")

    assert look_at(share) is None
    assert look_at(first) == f"{tmp_path} is not the folder that the daemon has there"
    assert look_at(replace(share, inode=1)) is not None
    assert look_at(Share(root=f"{tmp_path}/away", word="second", inode=1)) is not None
    assert [path.name for path in tmp_path.iterdir()] == [".vampd-builders"]
