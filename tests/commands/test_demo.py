"""`vampd admin demo` carries a night through the real daemon, and leaves it to be looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def vampd(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vampd", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_a_whole_night_goes_through_and_can_be_audited_and_verified(tmp_path: Path) -> None:
    done = vampd("admin", "demo", "--folder", tmp_path / "demo")

    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("archive 20251106: safe", "look round:", "far copy"):
        assert said in done.stdout
    settings = ("--config", tmp_path / "demo/vampd.toml")
    status = json.loads(vampd(*settings, "status", "--json").stdout)
    (night,) = status["nights"]
    assert night["status"] == "safe"
    assert night["quarantined"] == 6
    assert night["outputs"] == night["verified"] > 0
    audit = vampd(*settings, "data", "audit", "last", "--digests")
    assert audit.returncode == 0, audit.stdout
    verify = vampd(*settings, "data", "verify", "last", "--full")
    assert verify.returncode == 0, verify.stdout


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()

    done = vampd("admin", "demo", "--folder", tmp_path)

    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "precious"]


@pytest.mark.parametrize("arguments", [("--folder", "x", "--remove")])
def test_only_its_own_folder_is_removed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = vampd("admin", "demo", *arguments)

    assert done.returncode == 64
    assert not (tmp_path / "x").exists()
