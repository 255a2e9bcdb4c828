"""What follows a received night: which steps are due, and what becomes of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.receive_world import DATE, make_world, some_files
from vampd.io.clock import SystemClock
from vampd.receive import ledger as books
from vampd.receive import ledger_steps
from vampd.receive.settings import Step, load
from vampd.receive.states import StepState
from vampd.receive.steps import (
    Cube,
    Done,
    Run,
    Throttle,
    due_runs,
    inputs_of,
    is_passing,
    units_of,
    words,
)

SORT = Step(name="sort", command=("dpp", "sort", "{files}"))
REDUCE = Step(name="run", command=("dpp", "run", "{target}", "{files}"), per="target")
CUBES = [
    Cube(path="vgen2/1", sha256="a", target="HD1", start_s=0.0),
    Cube(path="vgen2/2", sha256="b", target="HD1", start_s=10.0),
    Cube(path="vgen2/3", sha256="c", target="HD2", start_s=20.0),
    Cube(path="vgen2/4", sha256="d", target="HD1", start_s=30.0),
    Cube(path="vgen2/5", sha256="e", target="HD1", start_s=1000.0),
]


def due(known: Mapping[tuple[str, str], Done], cubes: list[Cube] = CUBES) -> list[tuple[str, str]]:
    runs = due_runs([SORT, REDUCE], "archive", cubes, known, now_us=100)
    return [(run.step.name, run.unit) for run in runs]


def known_as(step: Step, unit: str, state: StepState, cubes: list[Cube], due_us: int = 0) -> Done:
    some = units_of(step.per, cubes)[unit]
    return Done(number=1, state=state, inputs=inputs_of(step, some), due_us=due_us)


def test_a_step_waits_for_the_one_before_it() -> None:
    sorted_ = {("sort", ""): known_as(SORT, "", StepState.DONE, CUBES)}

    assert due({}) == [("sort", "")]
    assert due(sorted_) == [("run", "HD1"), ("run", "HD2")]


@pytest.mark.parametrize("state", [StepState.RUNNING, StepState.FAILED])
def test_what_runs_or_failed_for_these_files_is_not_begun_again(state: StepState) -> None:
    assert due({("sort", ""): known_as(SORT, "", state, CUBES)}) == []


def test_what_is_to_be_tried_again_waits_for_its_time() -> None:
    waiting = known_as(SORT, "", StepState.PENDING, CUBES, due_us=101)
    ready = known_as(SORT, "", StepState.PENDING, CUBES, due_us=100)

    assert due({("sort", ""): waiting}) == []
    assert due({("sort", ""): ready}) == [("sort", "")]


def test_only_what_is_older_than_its_files_is_done_again() -> None:
    late = [*CUBES, Cube(path="vgen2/6", sha256="f", target="HD2", start_s=40.0)]
    known = {
        ("sort", ""): known_as(SORT, "", StepState.DONE, late),
        ("run", "HD1"): known_as(REDUCE, "HD1", StepState.DONE, CUBES),
        ("run", "HD2"): known_as(REDUCE, "HD2", StepState.DONE, CUBES),
    }

    assert due(known, late) == [("run", "HD2")]
    assert due(known | {("sort", ""): known_as(SORT, "", StepState.DONE, CUBES)}, late) == [
        ("sort", "")
    ]


def test_another_command_is_another_result() -> None:
    other = Step(name="sort", command=("dpp", "sort", "-j", "4", "{files}"))

    assert inputs_of(SORT, CUBES) != inputs_of(other, CUBES)


def test_segments_end_with_another_target_or_a_long_pause() -> None:
    found = {
        unit: [cube.path[-1] for cube in some] for unit, some in units_of("segment", CUBES).items()
    }

    assert found == {"HD1-001": ["1", "2"], "HD2-001": ["3"], "HD1-002": ["4"], "HD1-003": ["5"]}


def test_a_kind_that_a_step_is_not_for_has_none() -> None:
    step = Step(name="sort", command=("x",), kinds=("engineering",))

    assert due_runs([step], "archive", CUBES, {}, now_us=0) == []


def test_files_become_many_words_and_no_word_is_read_twice() -> None:
    command = ("dpp", "--night={night}", "{files}", "{target}")

    assert words(command, {"night": DATE, "target": "{night}"}, ["/a b", "/c"]) == [
        "dpp",
        f"--night={DATE}",
        "/a b",
        "/c",
        "{night}",
    ]


@pytest.mark.parametrize(("code", "passes"), [(None, True), (-9, True), (75, True), (1, False)])
def test_what_may_end_well_another_time(code: int | None, *, passes: bool) -> None:
    assert is_passing(SORT, code) is passes


def test_the_rate_of_files_is_kept() -> None:
    throttle = Throttle()
    throttle.given(20, 10.0, now_us=0)

    assert not throttle.may_begin(119_999_999)
    assert throttle.may_begin(120_000_000)


def test_the_example_for_the_instruments_pipeline_can_be_loaded(tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "config"
    path = tmp_path / "both.toml"
    path.write_text(
        (config / "vampd-receive.toml").read_text().replace("[reduce]\n", "#[reduce]\n")
        + (config / "vampd-receive-dpp.toml").read_text()
    )

    assert [step.name for step in load(path).step] == ["sort", "background", "flat", "run"]


def test_steps_are_done_tried_again_and_failed_by_a_real_receiver(tmp_path: Path) -> None:
    """The first step passes at its second try, says numbers; the second fails for good."""
    script = tmp_path / "step.py"
    script.write_text(
        "import pathlib, sys, json\n"
        "tries = pathlib.Path('tries')\n"
        "with tries.open('a') as file: print(len(sys.argv) - 1, file=file)\n"
        "if len(tries.read_text().split()) < 2: sys.exit(75)\n"
        "print('reduced'); print(json.dumps({'files': len(sys.argv) - 1}))\n"
    )
    steps = (
        f'[[step]]\nname = "sort"\ncommand = ["{sys.executable}", "{script}", "{{files}}"]\n'
        f'folder = "{tmp_path}/work/{{night}}/sorted"\nlimits = ["files >= 4"]\n'
        '[[step]]\nname = "bad"\ncommand = ["false"]\n'
        "[reduce]\nquiet_minutes = 0\nkeep_free_gb = 0\n"
    )
    (tmp_path / "work").mkdir()
    world = make_world(tmp_path, more=steps)
    world.deliver(some_files(3))

    world.run(status=1)

    told = {step["step"]: step for step in world.json("show", DATE)["steps"]}
    assert (told["sort"]["state"], told["sort"]["attempts"]) == ("done", 2)
    assert json.loads(told["sort"]["numbers"]) == {"files": 3}
    conditions = [each["text"] for each in world.json("status")["conditions"]]
    assert any(text.endswith("step sort: files is 3, expected >= 4") for text in conditions)
    assert (told["bad"]["state"], told["bad"]["error"]) == ("failed", "false exited 1")
    assert (tmp_path / "work" / DATE / "sorted" / "tries").read_text() == "3\n3\n"
    listed = tmp_path / "list"
    listed.write_text("# again\nVMPA00425189.fits.fz\n")
    assert "sort is done again" in world.call("reprocess", str(listed), "--force", "sort").stdout
    world.run(status=1)
    assert (tmp_path / "work" / DATE / "sorted" / "tries").read_text() == "3\n3\n3\n"


@pytest.mark.parametrize(
    ("dies", "attempts"), [(True, [1, 2, 2]), (False, [0, 0, 0])], ids=["killed", "stopped"]
)
def test_a_step_that_ends_its_receiver_is_given_up_and_one_that_is_stopped_is_not(
    tmp_path: Path, attempts: list[int], *, dies: bool
) -> None:
    step = Step(name="sort", command=("x",), tries=2)
    with closing(books.opened(tmp_path, version="0", clock=SystemClock())) as ledger:
        night = books.night_of(ledger, "archive", DATE).id
        found = []
        for _ in range(3):
            known = ledger_steps.done_of(ledger, night)
            for run in due_runs([step], "archive", CUBES, known, now_us=0):
                ledger_steps.begin(ledger, night, run)
            if dies:
                ledger_steps.put_back(ledger, {"sort": 2}, "it died")
            else:
                ledger_steps.stop(ledger, "it was stopped")
            found.append(ledger_steps.done_of(ledger, night)["sort", ""])

    assert [each.attempts for each in found] == attempts
    assert found[-1].state is (StepState.FAILED if dies else StepState.PENDING)


def test_a_run_has_its_files() -> None:
    (run,) = due_runs([SORT], "archive", CUBES, {}, now_us=0)

    assert isinstance(run, Run)
    assert [cube.path for cube in run.cubes] == [cube.path for cube in CUBES]
