"""The receiver's unit: systemd has nothing against it, and the settings name the same places."""

from __future__ import annotations

import re
from pathlib import Path

from tests.service.test_watchdog_unit import analyzed, needs_systemd
from vampd.receive.settings import load
from vampd.shipped import receive_config, unit_file

UNIT = (unit_file().parent / "vampd-receive.service").read_text()


def _installed(folder: Path) -> Path:
    """The unit, with a program that exists."""
    unit = folder / "vampd-receive.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    return unit


@needs_systemd
def test_systemd_has_nothing_against_the_receiver(tmp_path: Path) -> None:
    # It exits 0 on misspelt keys, so only words count.
    assert analyzed("verify", "--man=no", _installed(tmp_path)).stderr == ""


@needs_systemd
def test_the_receiver_exposes_little(tmp_path: Path) -> None:
    said = analyzed("security", "--offline=true", "--no-pager", _installed(tmp_path)).stdout

    exposure = re.search(r"exposure level for vampd-receive\.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure.group(1)) <= 2.0


def test_the_unit_and_the_shipped_settings_name_the_same_places() -> None:
    config = load(receive_config())

    assert f"StateDirectory={config.state_dir.name}\n" in UNIT
    assert f"RuntimeDirectory={config.socket.parent.name}\n" in UNIT
    writable = re.search(r"^ReadWritePaths=(.*)$", UNIT, re.MULTILINE)
    assert writable is not None
    folders = [Path(word.lstrip("-")) for word in writable[1].split()]
    for inbox in config.inbox:
        assert any(inbox.folder.is_relative_to(folder) for folder in folders)
        assert any(inbox.base().is_relative_to(folder) for folder in folders)
