"""`systemd/install.sh`: twice is once, settings survive, a newer version has a way back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.systemd_box import CHECKOUT, copy_checkout
from vampd import __version__

NEWER = "9.9.9"


class Machine:
    """A root folder, and a checkout of our own, whose version can be changed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.checkout = copy_checkout(folder / "checkout")

    def install(self, *options: str) -> str:
        """What install.sh says; nothing is asked of any package index."""
        done = subprocess.run(
            [self.checkout / "systemd" / "install.sh", "--unlocked", "--root", self.root, *options],
            env=os.environ
            | {
                "PYTHON": sys.executable,
                "PYTHONPATH": sysconfig.get_path("purelib"),
                "PIP_NO_DEPS": "1",
                "PIP_NO_BUILD_ISOLATION": "0",
                "PIP_NO_INDEX": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def become(self, version: str) -> None:
        """Let the checkout be of another version, with a setting more in its reference."""
        package = self.checkout / "vampd" / "__init__.py"
        package.write_text(package.read_text().replace(__version__, version))
        with (self.checkout / "config" / "vampd.toml").open("a") as reference:
            reference.write("\n# That was all.\n")

    def at(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def link(self, name: str) -> str:
        return str(self.at(f"/opt/vampd/{name}").readlink())


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """vampd is installed here, and its settings are changed."""
    machine = Machine(tmp_path_factory.mktemp("install"))
    machine.install()
    settings = machine.at("/etc/vampd/vampd.toml")
    settings.write_text(settings.read_text().replace("#first = 1\n", "first = 425189\n"))
    return machine


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean_posix_shell() -> None:
    done = subprocess.run(
        ["shellcheck", CHECKOUT / "systemd" / "install.sh"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == ""


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.root.mkdir()

    said = machine.install("--dry-run")

    assert f"-m venv {machine.root}/opt/vampd/{__version__}" in said
    assert "vampd.service" in said
    assert tree(machine.root) == set()


def test_an_installed_vampd_has_all_its_files(machine: Machine) -> None:
    unit = machine.at("/etc/systemd/system/vampd.service").read_text()
    program = unit.split("ExecStart=", 1)[1].split(maxsplit=1)[0]

    assert machine.at(program).exists()
    assert str(machine.at("/usr/local/bin/vampd").readlink()) == program
    for path in (
        f"/opt/vampd/{__version__}/share/man/man1/vampd.1",  # in the wheel itself
        "/etc/systemd/system/vampd-watchdog.service",
        "/etc/systemd/system/vampd-watchdog.timer",
        "/usr/lib/sysusers.d/vampd.conf",
        "/usr/lib/tmpfiles.d/vampd.conf",
        "/usr/local/share/man/man1/vampd.1",
        "/usr/local/share/man/man5/vampd.toml.5",
        "/usr/local/share/man/man8/vampd.8",
        "/usr/local/share/bash-completion/completions/vampd",
        "/usr/local/share/zsh/site-functions/_vampd",
        "/usr/local/share/fish/vendor_completions.d/vampd.fish",
    ):
        assert machine.at(path).stat().st_size > 0, path


def test_the_receiving_end_gets_its_settings_where_it_is_asked_for(machine: Machine) -> None:
    path = machine.at("/etc/vampd/vampd-receive.toml")
    was_there = path.exists()

    machine.install("--receive")

    assert not was_there
    assert path.read_text() == (CHECKOUT / "config" / "vampd-receive.toml").read_text()
    assert machine.at("/etc/systemd/system/vampd-receive.service").exists()


def test_twice_is_once(machine: Machine) -> None:
    machine.install()  # the reference goes beside settings that somebody changed
    before = tree(machine.root)

    said = machine.install()

    assert [line for line in said.splitlines() if line.startswith("+")] == []
    assert tree(machine.root) == before


def test_an_upgrade_lies_beside_and_has_a_way_back(machine: Machine) -> None:
    settings = machine.at("/etc/vampd/vampd.toml").read_text()
    machine.become(NEWER)

    machine.install()
    upgraded = machine.link("current"), machine.link("previous")
    reference = machine.at("/etc/vampd/vampd.toml.new").read_text()
    machine.install("--rollback")

    assert upgraded == (NEWER, __version__)
    assert (machine.link("current"), machine.link("previous")) == (__version__, NEWER)
    assert machine.at("/etc/vampd/vampd.toml").read_text() == settings
    assert "first = 425189" in settings
    assert reference.endswith("# That was all.\n")


def test_what_is_removed_last_is_what_only_a_person_may_remove(machine: Machine) -> None:
    machine.at("/var/lib/vampd").mkdir(parents=True)
    machine.at("/var/lib/vampd/ledger.sqlite3").touch()
    machine.at("/etc/vampd/vampd.toml.new").touch()

    machine.install("--uninstall")
    left = {path for path in tree(machine.root) if machine.at(path).is_file()}
    with pytest.raises(AssertionError, match="nobody is there to ask"):
        machine.install("--uninstall", "--purge")
    refused = {path for path in tree(machine.root) if machine.at(path).is_file()}
    machine.install("--uninstall", "--purge", "-y")

    assert left == {
        "etc/vampd/vampd-receive.toml",
        "etc/vampd/vampd.toml",
        "etc/vampd/vampd.toml.new",
        "var/lib/vampd/ledger.sqlite3",
    }
    assert refused == left
    assert not machine.at("/opt/vampd").exists()
    assert {path for path in tree(machine.root) if machine.at(path).is_file()} == set()
