"""The site's own commands: once for each safe night, and never undoing that it is safe."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from tests.schedule.hostile import Crowded
from tests.support.fake_ledger import FakeClock, a_night, opened, reread, settings
from vampd.background.hooks import JOB
from vampd.errors import ConfigError
from vampd.ledger import hooks, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.schedule.engine import Engine
from vampd.schedule.workers import Workers
from vampd.settings.sections import Config
from vampd.states import HookState, NightStatus, Stage
from vampd.watch.scan_cycle import ScanCycle

_TELL = "import sys; print(*sys.argv[1:]); print('as you asked', file=sys.stderr)"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(nice=0)
    yield workers
    workers.stop()


def with_hooks(folder: Path, *commands: list[str], deadline_minutes: float = 1.0) -> Config:
    text = f"[hooks]\nafter_safe = {json.dumps(commands)}\ndeadline_minutes = {deadline_minutes}\n"
    return settings(folder, text)


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def becomes_safe(ledger: Ledger, night: Night, batch: int = 1) -> None:
    """Close a batch of *night*, and let all its work be done."""
    ledger.update("night", night.id, closed_us=ledger.now_us(), batch=batch)
    for stage in Stage:
        ledger.insert(
            "task", night=night.id, batch=batch, stage=stage, state="done", **ledger.stamp()
        )
    nights.set_status(ledger, reread(ledger, night), NightStatus.SAFE, None)


def carry_out(ledger: Ledger, config: Config, workers: Workers) -> None:
    """Do every command that is due."""
    scan_cycle = ScanCycle(ledger, FakeClock(), config)
    engine = Engine(ledger, config, scan_cycle, workers, background_jobs=[JOB])
    engine.hand_out()
    while engine.busy:
        assert wait(workers.pipes(), timeout=60), "no worker said anything"
        engine.collect()
        engine.hand_out()


def told(ledger: Ledger, night: Night) -> list[tuple[int, str, int | None]]:
    runs = hooks.runs(ledger.connection, night.id)
    return [(run.batch, str(run.state), run.code) for run in runs]


def test_a_command_runs_once_for_each_night_and_batch_with_the_nights_own_words(
    tmp_path: Path, ledger: Ledger, workers: Workers, clock: FakeClock
) -> None:
    config = with_hooks(tmp_path, python(_TELL, "{night}-{batch}", "{kind}", "--in={folder}"))
    night = a_night(ledger)
    carry_out(ledger, config, workers)

    clock.pass_seconds(1)
    becomes_safe(ledger, night)
    for _ in range(2):
        carry_out(ledger, config, workers)
    becomes_safe(ledger, night, batch=2)
    carry_out(ledger, config, workers)

    runs = hooks.runs(ledger.connection, night.id)
    assert [(run.batch, run.state, run.code) for run in runs] == [(1, "done", 0), (2, "done", 0)]
    assert runs[0].output == "20251106-1 archive --in=/data/20251106\nas you asked"
    assert runs[1].output is not None
    assert runs[1].output.startswith("20251106-2 archive")


def test_a_new_command_leaves_nights_alone_that_were_safe_before(
    tmp_path: Path, ledger: Ledger, workers: Workers, clock: FakeClock
) -> None:
    night = a_night(ledger)
    becomes_safe(ledger, night)
    clock.pass_seconds(1)

    carry_out(ledger, with_hooks(tmp_path, python(_TELL)), workers)

    assert told(ledger, night) == []


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (python("import sys; print('no node is free'); sys.exit(3)"), 3, "exited 3"),
        (["/nowhere/reduce", "{night}"], None, "/nowhere/reduce is not installed here"),
        (python("import time; print('begun', flush=True); time.sleep(60)"), None, "not done after"),
    ],
    ids=["exit status", "no such program", "deadline"],
)
def test_a_failure_is_kept_and_undoes_nothing(
    command: list[str],
    code: int | None,
    said: str,
    tmp_path: Path,
    ledger: Ledger,
    workers: Workers,
) -> None:
    config = with_hooks(tmp_path, command, python(_TELL, "{night}"), deadline_minutes=0.02)
    night = a_night(ledger)
    carry_out(ledger, config, workers)
    becomes_safe(ledger, night)

    carry_out(ledger, config, workers)

    failed, other = hooks.runs(ledger.connection, night.id)
    assert (failed.state, failed.code) == (HookState.FAILED, code)
    assert said in str(failed.error)
    assert other.state is HookState.DONE
    assert reread(ledger, night).status == NightStatus.SAFE


def test_what_failed_runs_again_on_an_operators_word_only(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    mended = tmp_path / "mended"
    code = f"import pathlib, sys; sys.exit(0 if pathlib.Path({str(mended)!r}).exists() else 1)"
    config = with_hooks(tmp_path, python(code))
    night = a_night(ledger)
    carry_out(ledger, config, workers)
    becomes_safe(ledger, night)
    carry_out(ledger, config, workers)
    mended.touch()
    carry_out(ledger, config, workers)
    before = told(ledger, night)
    orders = Orders(ledger, config)
    named = {"kind": "archive", "date": "20251106"}

    dry = orders.carry_out("hooks_again", {**named, "dry_run": True}, "uid 0")
    done = orders.carry_out("hooks_again", {**named, "dry_run": False}, "uid 0")
    carry_out(ledger, config, workers)

    assert before == [(1, "failed", 1)]
    assert dry == done == {"lines": [f"runs again: {shlex.join(python(code))}"], "changed": True}
    assert told(ledger, night) == [(1, "done", 0)]


def test_a_command_that_died_with_the_daemon_is_begun_again_but_not_for_ever(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    command = python("import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    config = with_hooks(tmp_path, command)
    night = a_night(ledger)
    carry_out(ledger, config, workers)
    becomes_safe(ledger, night)

    carry_out(ledger, config, workers)

    (run,) = hooks.runs(ledger.connection, night.id)
    assert (run.state, run.attempts) == (HookState.FAILED, 3)
    assert "died while it ran, 3 times" in str(run.error)


def test_a_command_that_could_not_be_begun_has_not_failed(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    config = with_hooks(tmp_path, python("print('told')"))
    assert hooks.claim(ledger, shlex.join(config.hooks.after_safe[0])) is None  # it is known
    night = a_night(ledger)
    becomes_safe(ledger, night)
    crowded = Crowded(lambda _, outcome: outcome)
    scan_cycle = ScanCycle(ledger, FakeClock(), config)
    engine = Engine(ledger, config, scan_cycle, crowded, background_jobs=[JOB])

    for _ in range(5):
        engine.hand_out()
    (before,) = hooks.runs(ledger.connection, night.id)
    carry_out(ledger, config, workers)
    (after,) = hooks.runs(ledger.connection, night.id)

    assert (before.state, before.attempts) == (HookState.PENDING, 0)
    assert (after.state, after.attempts) == (HookState.DONE, 1)


def test_of_much_that_a_command_says_the_end_is_kept(
    tmp_path: Path, ledger: Ledger, workers: Workers
) -> None:
    config = with_hooks(tmp_path, python("for n in range(100_000): print('line', n, 'x' * 600)"))
    night = a_night(ledger)
    carry_out(ledger, config, workers)
    becomes_safe(ledger, night)

    carry_out(ledger, config, workers)

    (run,) = hooks.runs(ledger.connection, night.id)
    lines = str(run.output).splitlines()
    assert lines[-1].startswith("line 99999 x")
    assert len(str(run.output)) < 100_000


def test_every_move_leaves_an_event(tmp_path: Path, ledger: Ledger, workers: Workers) -> None:
    config = with_hooks(tmp_path, python(_TELL))
    night = a_night(ledger)
    carry_out(ledger, config, workers)
    becomes_safe(ledger, night)

    carry_out(ledger, config, workers)

    rows = ledger.rows("select was, became from event where subject = 'hook_run' order by id")
    assert [tuple(row) for row in rows] == [(None, "running"), ("running", "done")]


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        ('"reduce {night}"', "list of commands, each a list of words"),
        ("[[]]", "list of commands, each a list of words"),
        ('[["reduce", "{nigth}"]]', "{night}, not {nigth}"),
        ('[["reduce", 3]]', "printable words, not 3"),
    ],
)
def test_a_wrong_command_is_a_wrong_configuration(commands: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="after_safe") as refused:
        settings(tmp_path, f"[hooks]\nafter_safe = {commands}\n")

    assert said in str(refused.value)
