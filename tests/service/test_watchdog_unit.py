"""The watchdog's units: systemd has nothing against them, and they fit the daemon's."""

from __future__ import annotations

import re

from vampd.shipped import unit_file

FOLDER = unit_file().parent
SERVICE = (FOLDER / "vampd-watchdog.service").read_text()
TIMER = (FOLDER / "vampd-watchdog.timer").read_text()


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
