"""The units beside the daemon's: systemd has nothing against them, and they expose little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vampd.shipped import unit_file

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)

#: By unit: how much it may expose at most, as systemd counts it, and what goes along with it.
_UNITS = {
    "vampd-page.service": (1.8, ()),
    "vampd-receive.service": (2.0, ()),
    "vampd-watchdog.service": (1.8, ("vampd-watchdog.timer",)),
}


def _installed(folder: Path, *names: str) -> list[Path]:
    """The units, with a program that exists."""
    for name in names:
        text = (unit_file().parent / name).read_text()
        program = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        (folder / name).write_text(program)
    return [folder / name for name in names]


def _analyzed(*words: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", _UNITS)
def test_systemd_has_nothing_against_it(tmp_path: Path, name: str) -> None:
    units = _installed(tmp_path, name, *_UNITS[name][1])

    # It exits 0 on misspelt keys, so only words count.
    assert _analyzed("verify", "--man=no", *units).stderr == ""


@pytest.mark.parametrize("name", _UNITS)
def test_it_exposes_little(tmp_path: Path, name: str) -> None:
    (unit,) = _installed(tmp_path, name)

    said = _analyzed("security", "--offline=true", "--no-pager", unit).stdout

    exposure = re.search(rf"exposure level for {re.escape(name)}: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= _UNITS[name][0]
