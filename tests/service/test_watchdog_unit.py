"""The watchdog's units: systemd has nothing against them, and they fit the daemon's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vampd.shipped import unit_file

FOLDER = unit_file().parent
SERVICE = (FOLDER / "vampd-watchdog.service").read_text()
TIMER = (FOLDER / "vampd-watchdog.timer").read_text()

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def installed(folder: Path) -> tuple[Path, Path]:
    """The units, with a programme that exists."""
    program = re.search(r"^ExecStart=(\S+)", SERVICE, re.MULTILINE)
    assert program is not None
    service, timer = folder / "vampd-watchdog.service", folder / "vampd-watchdog.timer"
    service.write_text(SERVICE.replace(program[1], "/bin/true"))
    timer.write_text(TIMER)
    return service, timer


def analyzed(*words: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_systemd_has_nothing_against_the_watchdog(tmp_path: Path) -> None:
    service, timer = installed(tmp_path)

    # It exits 0 on misspelt keys, so only words count.
    assert analyzed("verify", "--man=no", service, timer).stderr == ""


@needs_systemd
def test_the_watchdog_exposes_little(tmp_path: Path) -> None:
    service, _ = installed(tmp_path)

    said = analyzed("security", "--offline=true", "--no-pager", service).stdout

    exposure = re.search(r"exposure level for vampd-watchdog\.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure.group(1)) <= 1.8


def test_the_watchdog_is_the_daemons_own_programme_and_user() -> None:
    daemon = unit_file().read_text()
    for key in ("User", "Group", "StateDirectory"):
        line = re.search(rf"^{key}=.*$", daemon, re.MULTILINE)
        assert line is not None
        assert line[0] in SERVICE
    program = re.search(r"^ExecStart=(\S+) admin run$", daemon, re.MULTILINE)
    assert program is not None
    assert f"ExecStart={program[1]} check --alert\n" in SERVICE


def test_what_the_daemon_tells_itself_is_no_failure_of_the_watchdog() -> None:
    assert "SuccessExitStatus=1 2\n" in SERVICE
