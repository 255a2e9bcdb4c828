"""How every command behaves towards whoever types, and towards a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.commands.ledgers import Site
from vampd.cli import COMMANDS, group
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
    yield (name,)
    command = group.get_command(click.Context(group), name)
    if isinstance(command, click.Group):
        yield from ((name, each) for each in command.commands)


def at_a_terminal(site: Site, answer: str, *words: str) -> tuple[int, str]:
    """Type *words* at a terminal, then *answer*; the exit status, and what the screen shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), *words]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # EIO: the last of theirs is closed
            break
        shown += chunk
    os.close(ours)
    return child.wait(timeout=30), shown.decode()


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
