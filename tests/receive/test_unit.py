"""The receiver's unit: the settings name the same places."""

from __future__ import annotations

import re
from pathlib import Path

from vampd.receive.settings import load
from vampd.shipped import receive_config, unit_file

UNIT = (unit_file().parent / "vampd-receive.service").read_text()


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
