"""Steps of the reduction on a real Slurm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receive_world import DATE, World, make_world, some_files
from tests.support.slurm import Slurm, needs_slurm, running_slurm
from tests.support.waiting import wait_until

pytestmark = [needs_slurm, pytest.mark.campaign]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> World:
    """The first step passes at its second try, and says numbers; the second one waits for us."""
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    (tmp_path / "work").mkdir()
    script = tmp_path / "step.py"
    script.write_text(
        "import json, pathlib, sys\n"
        "tries = pathlib.Path('tries')\n"
        "with tries.open('a') as file: print(sys.argv[1:], file=file)\n"
        "if tries.read_text().count('\\n') < 2: sys.exit(75)\n"
        "print(json.dumps({'files': len(sys.argv) - 2}))\n"
    )
    waiting = tmp_path / "wait.sh"
    waiting.write_text(
        "#!/bin/sh\necho x >>began\nwhile [ ! -e go ]; do sleep 0.2; done\nexit $1\n"
    )
    waiting.chmod(0o755)
    steps = (
        f'[[step]]\nname = "sort"\nexecutor = "slurm"\nsbatch = ["--cpus-per-task=1"]\n'
        f'command = ["{sys.executable}", "{script}", "it\'s $HOME; `x`", "{{files}}"]\n'
        f'folder = "{tmp_path}/work/{{night}}"\n'
        f'[[step]]\nname = "wait"\nexecutor = "slurm"\ncommand = ["{waiting}", "3"]\n'
        f'folder = "{tmp_path}/work/{{night}}"\n'
        "[reduce]\nquiet_minutes = 0\nkeep_free_gb = 0\n"
    )
    return make_world(tmp_path, more=steps)


def test_steps_pass_are_tried_again_and_fail_and_a_killed_receiver_goes_on(
    world: World, slurm: Slurm
) -> None:
    world.deliver(some_files(3))
    work = world.folder / "work" / DATE
    world.kill_when((work / "began").exists)
    (work / "go").touch()
    world.run(status=1)

    told = {step["step"]: step for step in world.json("show", DATE)["steps"]}
    assert (told["sort"]["state"], told["sort"]["attempts"]) == ("done", 2)
    assert told["sort"]["numbers"] == '{"files": 3}'
    assert "it's $HOME; `x`" in (work / "tries").read_text()
    assert (told["wait"]["state"], told["wait"]["code"]) == ("failed", 3)
    assert (work / "began").read_text() == "x\n"  # it was handed in once
    assert slurm.call("squeue", "--noheader") == ""


def test_a_job_that_is_taken_back_is_handed_in_again(world: World, slurm: Slurm) -> None:
    world.deliver(some_files(1))
    work = world.folder / "work" / DATE

    with world.running():
        wait_until((work / "began").exists)
        slurm.call("scancel", "--me")
        wait_until(lambda: (work / "began").read_text() == "x\nx\n")
        (work / "go").touch()
        wait_until(lambda: world.json("show", DATE)["steps"][1]["state"] == "failed")

    assert world.json("show", DATE)["steps"][1]["attempts"] == 2
