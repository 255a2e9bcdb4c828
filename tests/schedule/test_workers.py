"""Whatever becomes of a worker, its caller is told, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

import pytest

from tests.schedule import worker_bodies as bodies
from tests.support.waiting import wait_until
from vampd.schedule.executor import Outcome
from vampd.schedule.fork_server import end_fork_server
from vampd.schedule.workers import Workers, _Answer
from vampd.states import ErrorClass

#: A process with one worker, for which it waits.
_DAEMON = """
import sys
from multiprocessing.connection import wait
from tests.schedule import worker_bodies as bodies
from vampd.schedule.workers import Workers

workers = Workers(nice=0)
workers.submit(bodies.wait_for, tuple(sys.argv[1:]))
wait(workers.pipes())
"""


_ODD = _Answer(error_class=cast("ErrorClass", "odd"))


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(nice=0)
    yield workers
    workers.stop()


@pytest.fixture
def pipes(tmp_path: Path) -> tuple[str, str]:
    """Two named pipes for `bodies.wait_for`."""
    names = (str(tmp_path / "told"), str(tmp_path / "awaited"))
    for name in names:
        os.mkfifo(name)
    return names


def outcomes(workers: Workers, count: int = 1) -> dict[int, Outcome[Any]]:
    """The next *count* outcomes, by key."""
    found: dict[int, Outcome[Any]] = {}
    while len(found) < count:
        assert wait(workers.pipes(), timeout=60), "no worker said anything"
        found |= {outcome.key: outcome for outcome in workers.finished()}
    return found


def outcome_of(workers: Workers, body: bodies.Body, job: object) -> Outcome[Any]:
    key = workers.submit(body, job)
    return outcomes(workers)[key]


def begun(workers: Workers, pipes: tuple[str, str]) -> int:
    """Start work that waits; return its process's number."""
    workers.submit(bodies.wait_for, pipes)
    return int(Path(pipes[0]).read_text())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_result_comes_back_under_its_key(workers: Workers) -> None:
    three, five = (workers.submit(bodies.double, number) for number in (3, 5))

    found = outcomes(workers, 2)

    assert found == {three: Outcome(key=three, result=6), five: Outcome(key=five, result=10)}
    assert len(workers) == 0


def test_a_result_larger_than_any_pipe_comes_back_whole(workers: Workers) -> None:
    assert outcome_of(workers, bodies.large, 5_000_000).result == b"x" * 5_000_000


@pytest.mark.parametrize(
    ("body", "job", "error_class", "error", "path"),
    [
        (bodies.refuse, "no route", ErrorClass.TRANSIENT, "no route", None),
        (bodies.refuse_file, "a.fits", ErrorClass.INPUT, "a.fits: no EXPTIME", "a.fits"),
        (
            bodies.blunder,
            0,
            ErrorClass.DETERMINISTIC,
            "ZeroDivisionError: division by zero (blunder, line ",
            None,
        ),
        (bodies.fill_disk, None, ErrorClass.RESOURCE, "No space left on device", None),
        (bodies.fill_memory, None, ErrorClass.RESOURCE, "", None),
    ],
    ids=["refused", "bad file", "unexpected", "disk full", "memory short"],
)
def test_an_error_crosses_with_its_class(
    workers: Workers,
    body: bodies.Body,
    job: Any,
    error_class: ErrorClass,
    error: str,
    path: str | None,
) -> None:
    outcome = outcome_of(workers, body, job)

    assert (outcome.error_class, outcome.path, outcome.crashed) == (error_class, path, False)
    assert error in (outcome.error or "")
    assert outcome.result is None


def test_an_end_without_an_answer_is_a_crash(workers: Workers) -> None:
    outcome = outcome_of(workers, bodies.die, None)

    assert outcome.crashed
    assert (outcome.result, outcome.error_class) == (None, None)


@pytest.mark.parametrize(
    ("body", "job", "says"),
    [
        (bodies.leave, None, "SystemExit: 0 (leave, line "),
        (bodies.interrupt, None, "KeyboardInterrupt:"),
        (bodies.descend, None, "RecursionError: maximum recursion depth exceeded (descend"),
        (bodies.fail_without_words, None, "SpeechlessError: no words, for its own text raises"),
        (bodies.answer_what_no_pipe_can_carry, None, "Can't pickle"),
        (bodies.answer_what_is_nested_too_deep, None, "RecursionError"),
        (bodies.answer_what_nobody_can_read, None, "cannot be read: no object comes of this"),
        (bodies.promise_too_much, None, "has 18446744073709551615 bytes, more than"),
        (bodies.say_what_is_no_answer, [1, "two"], "the answer of its worker is [1, 'two']"),
        (bodies.say_what_is_no_answer, {"outcome": 1}, "is {'outcome': 1}"),
        (bodies.say_what_is_no_answer, _ODD, "'odd' is not a valid ErrorClass"),
    ],
)
def test_whatever_a_worker_says_is_the_failure_of_its_own_work(
    workers: Workers, body: bodies.Body, job: object, says: str
) -> None:
    workers.submit(bodies.double, 4)
    workers.submit(body, job)

    found = outcomes(workers, 2)

    assert found[1].result == 8
    assert (found[2].error_class, found[2].crashed) == (ErrorClass.DETERMINISTIC, False)
    assert says in (found[2].error or "")
    assert len(workers) == 0


def test_a_result_that_is_too_large_is_refused_where_it_was_made(workers: Workers) -> None:
    most = 192 << 20

    outcome = outcome_of(workers, bodies.large, most)

    assert outcome.error_class is ErrorClass.DETERMINISTIC
    assert f"bytes, more than {most}" in (outcome.error or "")


def test_the_words_of_an_error_can_be_stored_and_shown(workers: Workers) -> None:
    outcome = outcome_of(workers, bodies.fail_about_a_strange_name, None)

    assert outcome.error_class is ErrorClass.TRANSIENT
    error = outcome.error or ""
    assert error.startswith("a\\udcff\\x00\\x1b[31mb\nc: long")
    assert "characters left out" in error
    assert error.endswith("long end")
    assert len(error) < 25_000


def test_half_an_answer_keeps_nobody_waiting(workers: Workers) -> None:
    workers.submit(bodies.say_half, None)
    assert wait(workers.pipes(), timeout=60)
    workers.submit(bodies.double, 4)

    found = outcomes(workers)
    workers.cancel([1])

    assert list(found) == [2]


def test_work_that_cannot_be_begun_is_told_at_once_and_leaves_nothing(workers: Workers) -> None:
    with pytest.raises(AttributeError, match="pickle"):
        workers.submit(bodies.answer_what_no_pipe_can_carry, lambda: None)

    assert len(workers) == 0
    assert workers.pipes() == []


def test_a_killed_worker_costs_its_own_work_alone(workers: Workers, pipes: tuple[str, str]) -> None:
    workers.submit(bodies.double, 4)
    pid = begun(workers, pipes)

    os.kill(pid, signal.SIGKILL)
    found = outcomes(workers, 2)

    assert found[1].result == 8
    assert found[2].crashed
    assert "exit status -9" in (found[2].error or "")


def test_a_killed_fork_server_takes_its_workers_along_and_the_next_work_is_done(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    pid = begun(workers, pipes)
    server: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]

    os.kill(server, signal.SIGKILL)
    found = outcomes(workers)
    workers.submit(bodies.double, 4)

    assert found[1].crashed
    assert outcomes(workers)[2].result == 8
    assert pid != server


def test_a_killed_daemon_takes_its_workers_along(pipes: tuple[str, str]) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", _DAEMON, *pipes])
    try:
        worker = int(Path(pipes[0]).read_text())
        was_alive = is_alive(worker)
    finally:
        daemon.kill()
        daemon.wait()

    assert was_alive
    wait_until(lambda: not is_alive(worker))


def test_a_cancelled_worker_is_dead_and_says_nothing_more(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    pid = begun(workers, pipes)

    workers.cancel([1, 99])

    assert not is_alive(pid)
    assert workers.finished() == []
    assert workers.pipes() == []


def test_stopping_kills_all(workers: Workers, pipes: tuple[str, str]) -> None:
    pid = begun(workers, pipes)

    workers.stop()

    assert not is_alive(pid)
    assert len(workers) == 0


def test_work_that_is_still_going_on_is_not_waited_for(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    begun(workers, pipes)

    found = workers.finished()
    Path(pipes[1]).write_text("go on")

    assert found == []
    assert outcomes(workers)[1].result == "go on"


def test_an_interrupt_of_the_terminal_does_not_reach_the_work(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    pid = begun(workers, pipes)

    os.kill(pid, signal.SIGINT)
    Path(pipes[1]).write_text("undisturbed")

    assert outcomes(workers)[1].result == "undisturbed"


def test_workers_are_as_nice_as_they_are_told_to_be() -> None:
    workers = Workers(nice=max(7, os.nice(0)))

    assert outcome_of(workers, bodies.priority, None).result == max(7, os.nice(0))


def test_the_last_of_all_and_their_programs_take_what_nobody_else_wants() -> None:
    workers = Workers(nice=19)

    assert outcome_of(workers, bodies.classes_of_a_program, None).result == [
        "idle",
        str(os.SCHED_IDLE),
    ]


_ENDING = """
import resource
from multiprocessing.connection import wait
from tests.schedule import worker_bodies as bodies
from vampd.schedule.fork_server import end_fork_server
from vampd.schedule.workers import Workers

end_fork_server()
for _ in range(2):
    workers = Workers(nice=0)
    workers.submit(bodies.compute_for, 0.5)
    wait(workers.pipes())
    assert workers.finished()[0].error is None
    workers.stop()
    end_fork_server()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
"""


def test_what_all_workers_used_is_told_once_their_server_has_ended() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _ENDING], capture_output=True, text=True, timeout=60, check=True
    )

    assert float(ended.stdout) >= 1.0


def test_a_worker_that_is_stopped_holds_up_nobody_else_and_can_be_ended(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    stopped = begun(workers, pipes)
    os.kill(stopped, signal.SIGSTOP)

    other = outcome_of(workers, bodies.double, 21)
    held = len(workers)
    workers.stop()

    assert other.result == 42
    assert held == 1
    wait_until(lambda: not _is_there(stopped))


def test_a_stopped_worker_that_is_given_up_has_died_of_that(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    key = workers.submit(bodies.wait_for, pipes)
    os.kill(int(Path(pipes[0]).read_text()), signal.SIGSTOP)
    wait_until(workers.stopped)

    workers.give_up(key, "it was stopped for too long")

    outcome = outcomes(workers)[key]
    assert (outcome.crashed, outcome.error) == (True, "it was stopped for too long")


def _is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_a_server_that_does_not_end_is_killed(workers: Workers, pipes: tuple[str, str]) -> None:
    workers.submit(bodies.wait_for, pipes)
    with Path(pipes[0]).open(encoding="utf-8") as told:
        worker = int(told.read())
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)

    end_fork_server(seconds=0.1)

    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
    assert wait(workers.pipes(), timeout=60)
    assert worker


def test_a_worker_that_a_signal_stopped_is_known_until_it_goes_on(
    workers: Workers, pipes: tuple[str, str]
) -> None:
    key = workers.submit(bodies.wait_for, pipes)
    pid = int(Path(pipes[0]).read_text())
    before = workers.stopped()

    os.kill(pid, signal.SIGSTOP)
    wait_until(workers.stopped)
    found = workers.stopped()
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not workers.stopped())

    assert (before, found) == ({}, {key: pid})
    Path(pipes[1]).write_text("go on")
    assert outcomes(workers)[key].result == "go on"
