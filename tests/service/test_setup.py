"""That a fresh machine gets all it needs, and an installed vampd finds what was shipped with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]

#: What every Debian has, however small, and `dev` may call unasked.
ESSENTIAL = ("cat", "cmp", "dirname", "env", "head", "id", "rm", "sed", "sh")


def unpacked_wheel(folder: Path, **environment: str) -> Path:
    """A wheel of this checkout, built without asking any index, and unpacked."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    subprocess.run(
        command,
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / archive.stem)
    return folder / archive.stem


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_wheel(tmp_path_factory.mktemp("wheel"))


def said_with(wheel: Path, code: str) -> str:
    """What Python prints that runs *code* with the package of *wheel*."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=wheel,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("in_checkout", "in_wheel"),
    [
        ("migrations", "vampd/migrations"),
        ("config", "vampd/data/config"),
        ("systemd", "vampd/data/systemd"),
    ],
)
def test_a_wheel_holds_what_lies_beside_the_package(
    wheel: Path, in_checkout: str, in_wheel: str
) -> None:
    shipped = contents(wheel / in_wheel)

    lying = contents(CHECKOUT / in_checkout)
    assert shipped
    assert shipped == lying


def test_a_wheel_finds_its_own_files_and_not_the_checkouts(wheel: Path) -> None:
    code = (
        "from vampd import shipped\n"
        "for path in shipped.migrations_folder(), shipped.default_config(), shipped.unit_file():\n"
        "    assert path.exists(), path\n"
        "    print(path)\n"
    )

    said = said_with(wheel, code)

    assert len(said.splitlines()) == 3
    assert all(line.startswith(str(wheel)) for line in said.splitlines())


CODER = (
    "import vampd\n"
    "from vampd.io.rice import chosen\n"
    "print(vampd.__path__[0], chosen().is_own, chosen().trouble)\n"
)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_wheel_holds_the_compiled_coder_for_every_newer_python(wheel: Path) -> None:
    said = said_with(wheel, CODER)

    assert "-cp311-abi3-linux_" in wheel.name
    modules = sorted(path.name for path in (wheel / "vampd" / "io").glob("*.so"))
    assert modules == ["_rice.abi3.so", "_stack.abi3.so"]
    assert said == f"{wheel}/vampd True \n"


def test_without_a_compiler_a_wheel_is_made_all_the_same(tmp_path: Path) -> None:
    wheel = unpacked_wheel(tmp_path, CC="/no/compiler")

    said = said_with(wheel, CODER)

    assert wheel.name.endswith("-py3-none-any")
    assert not list(wheel.rglob("*.so"))
    assert said.startswith(f"{wheel}/vampd False which was not compiled")


def test_every_dependency_is_bounded() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]

    assert [each for each in wanted if not re.search(r">=[0-9.]+,<[0-9.]+", each)] == []


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (CHECKOUT / "pyproject.toml").read_text().splitlines()

    for requirement in PROJECT["dependencies"]:
        (line,) = (line for line in lines if f'"{requirement}"' in line)
        assert re.search(r'",\s+# \w', line), line


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout's copy on a machine that has only what every Debian has.

    Programs of `machine/bin` are the only ones; the tests put more there.
    """
    (tmp_path / "bin").mkdir()
    # Scripts, never links: a test that writes its own program over a link would write over the
    # real one.
    for name in ESSENTIAL:
        program(tmp_path, name, f'exec {shutil.which(name)} "$@"')
    shutil.copy(CHECKOUT / "dev", tmp_path)
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / "csrc", tmp_path / "csrc")
    return tmp_path


def program(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def dev(machine: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "dev"), *words],
        env={"PATH": str(machine / "bin")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("tset",)])
def test_dev_says_what_it_can_do(machine: Path, words: tuple[str, ...]) -> None:
    result = dev(machine, *words)

    assert result.returncode == 64
    assert result.stdout == ""
    assert result.stderr.startswith("./dev demo")
    assert "./dev test" in result.stderr


def test_dev_asks_apt_once_for_all_that_is_missing(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >>{machine}/asked')

    result = dev(machine, "demo")

    wanted = "rsync libcfitsio-bin python3 python3-venv python3-dev gcc pkg-config libsystemd-dev"
    assert (machine / "asked").read_text().splitlines() == [
        "update -qq",
        f"install -qq --yes --no-install-recommends {wanted}",
    ]
    assert result.stderr.splitlines()[0] == (
        f"+ apt-get install --yes --no-install-recommends {wanted}"
    )
    # This apt installs nothing, so there is still no Python.
    assert result.returncode == 69
    assert "needs Python 3.11 or newer" in result.stderr.splitlines()[-1]


def test_dev_asks_for_ssh_only_for_the_tests(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >>{machine}/asked; exit 1')

    dev(machine, "demo")
    result = dev(machine, "test")

    asked = (machine / "asked").read_text()
    assert asked.splitlines() == ["update -qq", "update -qq"]
    assert " openssh-client" in result.stderr
    assert "openssh" not in dev(machine, "demo").stderr


def test_dev_asks_by_sudo_for_who_is_not_root(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "sudo", f'echo "$@" >>{machine}/asked')
    program(machine, "apt-get", "exit 1")

    result = dev(machine, "demo")

    assert result.stderr.startswith("+ sudo apt-get install ")
    assert (machine / "asked").read_text().startswith("apt-get update")


@pytest.mark.parametrize(
    ("programs", "complaint"),
    [
        ({}, "dev: no apt-get here; install by hand what Debian calls: rsync"),
        ({"apt-get": "exit 0", "id": "echo 1000"}, "dev: as root: apt-get install rsync"),
        ({"apt-get": "exit 100", "id": "echo 0"}, "dev: apt-get could not install: rsync"),
        (
            {"apt-get": "exit 0", "id": "echo 0", "python3": "echo Python 3.9.2; exit 1"},
            "dev: needs Python 3.11 or newer, and there is only: Python 3.9.2",
        ),
    ],
)
def test_dev_gives_up_with_one_clear_line(
    machine: Path, programs: dict[str, str], complaint: str
) -> None:
    for name, script in programs.items():
        program(machine, name, script)

    result = dev(machine, "demo")

    assert result.returncode == 69
    assert result.stderr.splitlines()[-1].startswith(complaint)


def _with_all_programs(machine: Path) -> None:
    """Programs that do nothing, and a Python whose `venv` makes a Python like itself."""
    for name in ("rsync", "funpack", "gcc", "pkg-config"):
        program(machine, name, "")
    program(
        machine,
        "python3",
        f'echo "$@" >>{machine}/python; [ "$2" != venv ] || {{ PATH=/usr/bin:/bin\n'
        f"mkdir -p .venv/bin; cp $0 .venv/bin/python; cp $0 .venv/bin/vampd; }}\n"
        '[ "$2 $3" != "pip --version" ] || [ -x .venv/bin/vampd ]',
    )


def _times_installed(machine: Path) -> int:
    return (machine / "python").read_text().count("-m pip install")


def test_dev_installs_once(machine: Path) -> None:
    _with_all_programs(machine)

    results = [dev(machine, "demo", "--keep") for _ in range(2)]

    assert [result.returncode for result in results] == [0, 0]
    assert _times_installed(machine) == 1
    assert (machine / "python").read_text().splitlines()[-1] == "admin demo --keep"


def test_dev_installs_again_when_the_project_changed(machine: Path) -> None:
    _with_all_programs(machine)
    dev(machine, "demo")
    with (machine / "pyproject.toml").open("a") as project:
        project.write("# changed\n")

    dev(machine, "demo")

    assert _times_installed(machine) == 2


def test_dev_makes_a_new_venv_where_the_checkout_was_copied(machine: Path) -> None:
    _with_all_programs(machine)
    dev(machine, "demo")
    stamp = machine / ".venv" / "stamp"
    stamp.write_text(stamp.read_text().replace(str(machine), "/elsewhere"))
    (machine / ".venv" / "old").touch()

    result = dev(machine, "demo")

    assert result.returncode == 0
    assert _times_installed(machine) == 2
    assert not (machine / ".venv" / "old").exists()


def test_what_asks_for_the_status_starts_without_the_heavy_packages() -> None:
    heavy = {"astropy", "sqlite_utils", "imagecodecs", "rich", "apscheduler", "numpy"}
    code = (
        "import sys, vampd.settings.load, vampd.shipped, vampd.commands.config; print(*sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert heavy.isdisjoint(said.split())
