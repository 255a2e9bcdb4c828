"""How every command behaves towards whoever types, and towards a pipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.command_line import command_of
from tests.support.ledger_site import Site
from tests.support.typed import at_a_terminal
from vampd.cli import group
from vampd.commands import dates
from vampd.commands.names import COMMANDS
from vampd.errors import UsageError
from vampd.states import Kind, Stage

_ABANDON = ("abandon", "20251106", "--why", "clouds")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A failed archive night."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.TRANSFER)
    return site


def with_subcommands(name: str) -> Iterator[tuple[str, ...]]:
    """The words of a command, and of each command below it."""
    words = tuple(name.split())
    yield words
    command, _ = command_of(words)
    if isinstance(command, click.Group):
        yield from ((*words, each) for each in command.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    for words in with_subcommands(name):
        runs = [CliRunner().invoke(group, [*words, option]) for option in ("-h", "--help")]

        assert [run.exit_code for run in runs] == [0, 0]
        assert runs[0].output == runs[1].output
        assert " ".join(words) in runs[0].output.splitlines()[0]


def test_what_destroys_is_refused_where_nobody_can_be_asked(site: Site) -> None:
    result = site.run(*_ABANDON)

    assert isinstance(result.exception, UsageError)
    assert "add -y" in str(result.exception)
    assert "20251106" in result.stderr
    assert "nothing more is done for it" in result.stderr
    assert site.answer("status")["nights"][0]["status"] == "failed"


@pytest.mark.parametrize(
    ("answer", "status", "code"), [("n\n", "failed", 1), ("y\n", "abandoned", 0)]
)
def test_what_destroys_is_done_on_a_yes_only(
    answer: str, status: str, code: int, site: Site
) -> None:
    ended, shown = at_a_terminal(site, answer, *_ABANDON)

    assert ended == code, shown
    assert "nothing more is done for it; its raw files stay" in shown
    assert site.answer("status")["nights"][0]["status"] == status


def test_nobody_is_asked_about_what_changes_nothing(site: Site) -> None:
    site.said(*_ABANDON, "--yes")

    assert "abandoned already" in site.said(*_ABANDON)


def test_what_is_made_anew_from_the_start_is_asked_for_too(site: Site) -> None:
    site.output(1, 0, "vcam1_05:10:00", [(site.cube(1, "vcam1_05:10:00.0"), 0, 1, 5)])

    result = site.run("retry", "20251106", "--from", "sync")

    assert isinstance(result.exception, UsageError), result.exception
    assert "add -y" in str(result.exception)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_colours_are_for_terminals_whose_user_wants_them(
    environment: dict[str, str], coloured: bool, site: Site
) -> None:
    _, shown = at_a_terminal(site, "", "status", **environment)

    assert "20251106" in shown
    assert ("\x1b[" in shown) is coloured


@pytest.mark.parametrize(
    "words", ["status", "show last", "data files last", "data audit last", "data verify last"]
)
def test_a_pipe_gets_lines_of_text_and_nothing_else(words: str, site: Site) -> None:
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), *words.split()]

    done = subprocess.run(
        command, env={**os.environ, "TERM": "xterm"}, capture_output=True, timeout=30, check=False
    )

    assert done.stdout
    assert set(b"\x1b\r\x08") & set(done.stdout + done.stderr) == set()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script for each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        script = CliRunner().invoke(group, ["admin", "completion", shell]).output
        (folder / shell).write_text(script)
    return folder


#: What each shell must be told so that it shows what it would offer for some words.
_OFFER = {
    "bash": "source {script}\nCOMP_WORDS=({words})\nCOMP_CWORD={last}\n_vampd_completion vampd\n"
    'printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "compdef() {{ : }}\n"
    "_describe() {{ print -l -- ${{completions_with_descriptions%%:*}} }}\n"
    "compadd() {{ print -l -- $completions }}\nsource {script}\nwords=({words})\n"
    "CURRENT=$(( {last} + 1 ))\n_vampd_completion",
    "fish": "source {script}\ncomplete -C '{line}'",
}


def offered(shell: str, script: Path, config: Path, *words: str) -> tuple[list[str], str]:
    """What *shell* offers for the last of *words*, and what would disturb the prompt."""
    told = _OFFER[shell].format(
        script=script, words=" ".join(words), last=len(words) - 1, line=" ".join(words)
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", told],
        env={"PATH": path, "HOME": str(script.parent), "VAMPD_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return [line.split("\t")[0] for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("shell", _OFFER)
def test_a_shell_completes_commands_options_and_the_ledgers_dates(
    shell: str, scripts: Path, site: Site
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    site.night("20251105", "safe")

    def offer(*words: str) -> list[str]:
        found, noise = offered(shell, scripts / shell, site.config, "vampd", *words)
        assert noise == ""
        return sorted(found)  # as fish does

    assert offer("rest") == ["restore"]
    assert "--force" in offer("restore", "--f")
    assert offer("show", "2025") == ["20251105", "20251106"]
    assert offer("show", "2025-11-05..2025-") == [
        "2025-11-05..2025-11-05",
        "2025-11-05..2025-11-06",
    ]
    assert offer("status", "l") == ["last"]


@pytest.mark.parametrize("shell", _OFFER)
def test_without_settings_a_shell_offers_no_date_and_says_nothing(
    shell: str, scripts: Path, tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

    found, noise = offered(shell, scripts / shell, tmp_path / "none.toml", "vampd", "show", "2")

    assert ([each for each in found if each], noise) == ([], "")


def test_what_cannot_be_read_offers_no_date(tmp_path: Path) -> None:
    context = click.Context(group, **group.context_settings)
    context.params = {"config_path": str(tmp_path / "none.toml")}

    assert dates.complete(context, click.Argument(["date"]), "2") == []


def test_to_complete_a_date_imports_nothing_heavy(site: Site) -> None:
    words = {"COMP_WORDS": "vampd show 2025", "COMP_CWORD": "2", "_VAMPD_COMPLETE": "bash_complete"}
    code = (
        "import sys\n"
        "from vampd.cli import main\n"
        "try:\n    main([])\n"
        "finally:\n    print(*sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **words, "VAMPD_CONFIG": str(site.config)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout

    assert "plain,20251106" in said
    assert not {"astropy", "numpy", "sqlite_utils", "rich"} & set(said.split())
