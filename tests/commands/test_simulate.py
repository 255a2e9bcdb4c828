"""`vampd admin simulate` writes what it says, and never into a real night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.trees import digests_of_tree
from vampd.cli import group
from vampd.commands.simulate import command
from vampd.errors import OperatorError, UsageError
from vampd.simulation.truth import Truth

# click keeps the names of --help with the command, for whoever runs it next.
_CONTEXT = group.context_settings


def run(*arguments: object) -> str:
    result = CliRunner().invoke(command, [str(one) for one in arguments], **_CONTEXT)
    if result.exception is not None:
        raise result.exception
    return result.output


def answer(*arguments: object) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(run(*arguments, "--json"))
    assert plain["schema"] == 1
    return plain


def test_the_reference_scenes_are_written_with_their_truth(tmp_path: Path) -> None:
    said = run(tmp_path, "--truth", tmp_path / "truth.json")

    truth = Truth.load(tmp_path / "truth.json")
    assert "wrote 53 cubes with 4726 frames in 16 scenes" in said
    assert {file.path for file in truth.files} == {
        str(path.relative_to(tmp_path / "20251106")) for path in tmp_path.rglob("*.fits")
    }


def test_only_the_scenes_asked_for_are_written_on_the_date_asked_for(tmp_path: Path) -> None:
    said = answer(tmp_path, "--scene", "pdi-short", "--scene", "one-frame", "--date", "20260101")

    assert (said["scenes"], said["cubes"], said["frames"]) == (2, 4, 16)
    assert len(list((tmp_path / "20260101").rglob("*.fits"))) == 4


def test_random_nights_follow_their_seed(tmp_path: Path) -> None:
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        run(tmp_path / folder, "--random", 2, "--seed", seed, "--faults")

    trees = [digests_of_tree(tmp_path / folder) for folder in "abc"]
    assert trees[0] == trees[1] != trees[2]


def test_the_scenes_of_a_failing_logger_are_written_with_what_must_come_out(tmp_path: Path) -> None:
    said = answer(tmp_path, "--logger", "--truth", tmp_path / "truth.json")

    truth = Truth.load(tmp_path / "truth.json")
    assert said["scenes"] == 10
    assert {file.copy_of is None for file in truth.files} == {True, False}
    assert any(file.quarantined for file in truth.files)
    assert any(file.overlapped for file in truth.files)
    assert {(loss.camera, loss.cubes) for loss in truth.losses} == {(1, 7), (2, 7)}
    written = {str(path.relative_to(tmp_path / "20251106")) for path in tmp_path.rglob("*.fits")}
    assert written == {file.path for file in truth.files if file.written}


def test_a_random_night_has_a_failing_logger_if_wanted(tmp_path: Path) -> None:
    for folder, options in (("a", ()), ("b", ("--logger",)), ("c", ("--logger",))):
        run(tmp_path / folder, "--random", 5, "--seed", 2, *options)

    trees = [digests_of_tree(tmp_path / folder) for folder in "abc"]
    assert trees[0] != trees[1] == trees[2]


def test_a_night_that_holds_files_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "20251106").mkdir()
    run(tmp_path, "--scene", "one-frame")
    before = digests_of_tree(tmp_path)

    with pytest.raises(OperatorError, match="not empty; nothing was written"):
        run(tmp_path, "--scene", "pdi-short")
    assert digests_of_tree(tmp_path) == before

    run(tmp_path, "--scene", "pdi-short", "--append", "--start", "09:00:00")
    assert before.items() < digests_of_tree(tmp_path).items()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    said = run(tmp_path / "night", "--dry-run", "--truth", tmp_path / "truth.json")

    assert said.startswith("would write 53 cubes")
    assert not list(tmp_path.iterdir())


def test_scenes_are_listed_without_a_folder() -> None:
    scenes = answer("--list")["scenes"]

    assert len(scenes) == 26
    assert [scene["name"] for scene in scenes[16:18]] == ["logger-race", "tai-proved"]
    assert scenes[17]["logger"] == ["clock 37 s ahead"]
    assert scenes[2]["name"] == "pdi-hwp-steps"
    for scene in scenes:
        assert scene["name"] in run("--list")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which FOLDER"),
        (("x", "--scene", "nonsense"), "no scene is called 'nonsense'; there are: dark-free-run"),
        (("x", "--scene", "one-frame", "--random", 2), "not both"),
        (("x", "--truth", "/nowhere/truth.json"), "/nowhere is not a folder"),
        (("x", "--faults"), "--faults needs --random"),
        (("x", "--date", "20251399"), "is not a date"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(*arguments)
