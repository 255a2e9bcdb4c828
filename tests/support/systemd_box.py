"""A machine with a real systemd, in a box: see tests/rigs/systemd-box; and what it installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
RIG = CHECKOUT / "tests" / "rigs" / "systemd-box"


def copy_checkout(folder: Path) -> Path:
    """Copy to *folder* what of this checkout is installed, to be changed there; return *folder*."""
    for name in ("vampd", "csrc", "migrations", "config", "systemd", "man"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


class Box:
    """What a test asks of such a machine."""

    def __init__(self, name: str) -> None:
        self.environment = os.environ | {"BOX": name}

    def rig(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(RIG), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def run(self, *words: str) -> str:
        """What a command inside prints; it may fail."""
        return self.rig("run", *words).stdout.strip()

    def must(self, *words: str, seconds: float = 120) -> str:
        """What a command inside prints, which must succeed."""
        done = self.rig("run", *words, seconds=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def shows(self, key: str) -> str:
        return self.run("systemctl", "show", "--property", key, "--value", "vampd")

    def journal(self, *words: str) -> str:
        return self.run("journalctl", "--quiet", "--output=cat", *words)


@contextmanager
def booted(name: str, furnish: Path) -> Iterator[Box]:
    """A box that runs the script *furnish* before it boots. Skips the test where none can be."""
    box = Box(f"vampd-{name}-{os.getpid()}")
    result = box.rig("up", str(furnish))
    if result.returncode == 69:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, result.stderr
    try:
        yield box
    finally:
        box.rig("down")


def soon(question: Callable[[], bool], *, seconds: float = 20) -> bool:
    """Whether the answer becomes yes within *seconds*."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
