"""An empty ledger, made once a process and copied from then on: all migrations take their time."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from vampd.io.clock import Clock, SystemClock
from vampd.ledger.connection import Ledger, ledger_path, open_ledger

VERSION = "0.1.0"


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_ledger(Path(folder), version=VERSION, clock=SystemClock()).close()
        return ledger_path(Path(folder)).read_bytes()


def new_ledger(folder: Path, clock: Clock) -> Ledger:
    """The ledger in the state directory *folder*, a new one where there is none."""
    path = ledger_path(folder)
    if folder.is_dir() and not path.exists():
        path.write_bytes(_empty())
        path.chmod(0o600)
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    return open_ledger(folder, version=VERSION, clock=clock)
