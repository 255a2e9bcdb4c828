"""A ledger, settings and a clock that a test moves by hand."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from vampd.io.clock import Clock, SystemClock
from vampd.ledger.connection import Ledger, ledger_path, open_ledger
from vampd.ledger.nights import get_night, sight_night
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task, add_task, claim, tasks_of
from vampd.records import FileIdentity
from vampd.settings.load import load
from vampd.settings.sections import Config
from vampd.states import Kind, Stage

#: 2025-11-06 16:00:00 UTC
NOW_US = 1_762_444_800_000_000

_VERSION = "0.1.0"

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class FakeClock:
    """Stands still until a test moves it; both clocks go together."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_ns(self) -> int:
        return self._now_us * 1000

    def pass_seconds(self, seconds: float) -> None:
        self._now_us += round(seconds * SECOND_US)


@cache
def _empty() -> bytes:
    """An empty ledger, made once a process: all migrations take their time."""
    with tempfile.TemporaryDirectory() as folder:
        open_ledger(Path(folder), version=_VERSION, clock=SystemClock()).close()
        return ledger_path(Path(folder)).read_bytes()


def new_ledger(folder: Path, clock: Clock) -> Ledger:
    """The ledger in the state directory *folder*, a new one where there is none."""
    path = ledger_path(folder)
    if folder.is_dir() and not path.exists():
        path.write_bytes(_empty())
        path.chmod(0o600)
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    return open_ledger(folder, version=_VERSION, clock=clock)


def opened(folder: Path, clock: FakeClock | None = None) -> Ledger:
    return new_ledger(folder, clock or FakeClock())


def settings(folder: Path, more: str = "") -> Config:
    """Settings with an archive root that holds something, and a state folder."""
    for name in ("archive/lost+found", "far", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "vampd.toml"
    path.write_text(
        f"""
state_dir = "{folder}/state"
[[roots]]
kind = "archive"
path = "{folder}/archive"
[frame_ids]
first = 425189
[delivery.archive]
destination = "{folder}/far"
[night]
settle_seconds = 10
quiet_minutes = 30
grace_minutes = 60
[workers]
pause_above_io_percent = 0
pause_above_memory_percent = 0
[control]
socket = "{folder}/state/control.socket"
{more}
""",
        encoding="utf-8",
    )
    return load(path)


def a_night(ledger: Ledger, date: str = "20251106", kind: Kind = Kind.ARCHIVE) -> Night:
    return sight_night(ledger, kind, date, Path("/data") / date)


def a_task(ledger: Ledger, night: int, stage: Stage = Stage.SYNC, unit: str = "") -> int:
    """Make a task; return its number."""
    add_task(ledger, night, stage, unit)
    return next(
        int(row.id) for row in tasks_of(ledger, night) if (row.stage, row.unit) == (stage, unit)
    )


def claimed(ledger: Ledger, number: int) -> Task:
    """The task, which must be there to be claimed."""
    row = claim(ledger, number)
    assert row is not None
    return row


def reread(ledger: Ledger, night: Night) -> Night:
    return get_night(ledger, night.id)


def identity(size_bytes: int = 2880) -> FileIdentity:
    return FileIdentity(inode=7, size_bytes=size_bytes, modified_ns=5)
