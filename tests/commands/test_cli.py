"""The command line: one place for errors, exit codes that scripts can rely upon."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.ledger_site import Site
from vampd import __version__
from vampd.cli import main
from vampd.commands.names import COMMANDS, GROUPS, MOVED


def vampd(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vampd", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def exit_code(*arguments: object) -> object:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def test_the_version_is_told() -> None:
    assert vampd("--version").stdout == f"vampd {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_is_listed_by_its_own_words(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*name.split(), "-h") == 0
    long = capsys.readouterr().out
    assert exit_code(*name.split(), "--help") == 0

    assert capsys.readouterr().out == long
    assert f"Usage: vampd {name}" in long


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 64, "Decide about a night:"),
        (("nonsense",), 64, "there is no command 'nonsense'"),
        (("status", "--nonsense"), 64, "No such option"),
        (("--config", "/nowhere/x.toml", "status"), 78, "vampd: /nowhere/x.toml"),
    ],
)
def test_mistakes_have_their_own_exit_codes(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == code

    out, err = capsys.readouterr()
    assert said in err
    assert not out


def test_an_error_of_ours_is_one_message_and_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()

    code = exit_code("--config", site.config, "show", "20251106")

    assert code == 1
    assert capsys.readouterr().err == "vampd: 20251106: the ledger knows no night yet\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/a/b"), 1, "vampd: /a/b: Permission denied"),
        (KeyboardInterrupt(), 130, "vampd: interrupted"),
    ],
)
def test_what_the_system_says_is_a_sentence(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    command = importlib.import_module("vampd.commands.status").command
    assert isinstance(command, click.Command)
    monkeypatch.setattr(command, "callback", fail)

    assert exit_code("status") == code
    assert said in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_complaint(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for day in range(1, 29):
        for month in range(1, 13):
            site.night(f"2025{month:02}{day:02}", "collecting")

    done = subprocess.run(
        [
            "sh",
            "-c",
            '"$@" | head -n 1',
            "sh",
            sys.executable,
            "-m",
            "vampd",
            "--config",
            str(site.config),
            "status",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "{\n"
    assert not done.stderr


def test_a_shell_can_complete_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vampd"],
        env={"_VAMPD_COMPLETE": "bash_complete", "COMP_WORDS": "vampd sta", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "plain,status"


def test_a_mistyped_command_gets_the_nearest_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("stauts") == 64

    assert "there is no command 'stauts'; did you mean status?" in capsys.readouterr().err


def test_what_is_near_no_command_is_sent_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("xyzzy") == 64

    assert "`vampd help` lists the commands" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["retry"]], ids=" ".join)
def test_help_is_a_command_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("help", *words) == 0
    asked = capsys.readouterr().out
    assert exit_code(*words, "--help") == 0

    assert asked == capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["recliam"], "space reclaim"),
        (["spaec"], "space"),
        (["admin", "stauts"], "status"),
        (["space", "kepe"], "space keep"),
    ],
    ids=" ".join,
)
def test_a_hint_names_the_group_in_which_the_command_is(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*words) == 64

    said = capsys.readouterr().err
    assert f"there is no command '{' '.join(words)}'; did you mean {hint}" in said


def test_the_first_list_is_short() -> None:
    alone = [name for name in COMMANDS if " " not in name]

    assert len(alone) <= 15
    assert {"status", "retry", "restore"} <= set(alone)
    assert not set(alone) & set(GROUPS)


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_accepted_and_says_the_new_one(
    old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(old, "--help") == 0

    out, err = capsys.readouterr()
    assert f"Usage: vampd {' '.join(MOVED[old][:2])} " in out
    assert err == (
        f"vampd: `vampd {old}` is now `vampd {' '.join(MOVED[old])}`; the next version will not"
        " know the old name\n"
    )


def test_an_old_name_does_its_old_work_and_leaves_json_alone(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    site.night("20251106", "safe")
    site.said("keep", "20251106", "--why", "a supernova")

    done = site.run("unkeep", "20251106", "--json")

    assert not done.stderr
    assert "it was kept: a supernova" in done.stdout


def test_no_old_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("--help")
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:2] == "  "}

    assert not listed & set(MOVED)
    assert {"status", "space"} <= listed


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("vampd space ", {"reclaim", "keep", "undelete"}), ("vampd spa", {"space"})],
)
def test_a_shell_completes_groups_and_what_is_in_them(typed: str, offered: set[str]) -> None:
    place = str(typed.count(" "))
    done = subprocess.run(
        [sys.executable, "-m", "vampd"],
        env={"_VAMPD_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": place},
        capture_output=True,
        text=True,
        check=False,
    )

    assert set(done.stdout.split()) == {f"plain,{name}" for name in offered}
