"""The manual pages say what the commands, the settings and README say."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from tests.support.command_line import command_of
from tests.support.man_pages import FOLDER, pages
from vampd.commands.names import COMMANDS
from vampd.settings.fields import keys_of
from vampd.settings.sections import Config

PAGES = ("vampd.1", "vampd.toml.5", "vampd-receive.toml.5", "vampd.8")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def plain(page: str) -> str:
    """A page without its fonts and its signs for hyphens."""
    return re.sub(r"\\f[BIR]", "", page).replace("\\-", "-")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_is_made_from(name: str, made: dict[str, str]) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")

    assert written == made[name], "run ./dev man, and commit man/"


def test_vampd_1_tells_every_command_and_option(made: dict[str, str]) -> None:
    page = plain(made["vampd.1"])

    for name in COMMANDS:
        command, _ = command_of(name.split())
        told = page.split(f".SS vampd {name} ", 1)[1].split("\n.SH", 1)[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in told for option in parameter.opts), (name, parameter.opts)


def test_vampd_toml_5_tells_every_setting(made: dict[str, str]) -> None:
    told = set(re.findall(r"^([a-z][a-z0-9_]*) = ", plain(made["vampd.toml.5"]), re.MULTILINE))

    assert {key.rpartition(".")[2] for key in keys_of(Config)} <= told


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "checker",
    [["mandoc", "-Tlint", "-Wwarning"], ["groff", "-ww", "-man", "-Tutf8", "-z"]],
    ids=" ".join,
)
def test_a_page_is_clean(checker: list[str], name: str) -> None:
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")

    done = subprocess.run(
        [*checker, FOLDER / name], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.stdout + done.stderr == ""
