"""The page's unit: systemd has nothing against it, and it is the daemon's own program and user."""

from __future__ import annotations

import re
from pathlib import Path

from tests.service.test_watchdog_unit import analyzed, needs_systemd
from vampd.shipped import unit_file

UNIT = (unit_file().parent / "vampd-page.service").read_text()


def _installed(folder: Path) -> Path:
    """The unit, with a program that exists."""
    unit = folder / "vampd-page.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    return unit


@needs_systemd
def test_systemd_has_nothing_against_the_page(tmp_path: Path) -> None:
    # It exits 0 on misspelt keys, so only words count.
    assert analyzed("verify", "--man=no", _installed(tmp_path)).stderr == ""


@needs_systemd
def test_the_page_exposes_little(tmp_path: Path) -> None:
    said = analyzed("security", "--offline=true", "--no-pager", _installed(tmp_path)).stdout

    exposure = re.search(r"exposure level for vampd-page\.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure.group(1)) <= 1.8


def test_the_page_is_the_daemons_own_program_and_user() -> None:
    daemon = unit_file().read_text()

    program = re.search(r"^ExecStart=(\S+ admin) run$", daemon, re.MULTILINE)
    assert program is not None
    assert f"ExecStart={program[1]} page\n" in UNIT
    for key in ("User", "Group", "StateDirectory"):
        line = re.search(rf"^{key}=.*$", daemon, re.MULTILINE)
        assert line is not None
        assert line[0] in UNIT
