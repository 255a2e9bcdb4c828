"""Headers are read night by night; one whose disk is away keeps no other waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.raw_cubes import write_raw_cube
from tests.schedule.made import FakeClock, opened, settings
from vampd.errors import RetryableError
from vampd.ledger import files, nights
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.headers import HEADERS_NAME, select
from vampd.records import FileIdentity
from vampd.schedule.headers import HeaderReader
from vampd.schedule.workers import Outcome
from vampd.sections import Config
from vampd.stages.headers import work
from vampd.states import ErrorClass, FileState, Kind

STEM = "vcam1_05:10:00.000000000"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


def _night(ledger: Ledger, root: Path, date: str) -> Row:
    """A night with one whole cube."""
    folder = root / date
    cube = write_raw_cube(folder, [np.zeros((4, 6), np.uint16)], stem=STEM)
    night = nights.sight_night(ledger, Kind.ARCHIVE, date, folder)
    found = cube.stat()
    files.add_file(
        ledger,
        night["id"],
        f"vcam1/{STEM}.fits",
        role="cube",
        camera=1,
        stem=STEM,
        who=FileIdentity(
            inode=found.st_ino, size_bytes=found.st_size, modified_ns=found.st_mtime_ns
        ),
        state=FileState.WHOLE,
        reason=None,
    )
    return night


def _due(chore: HeaderReader, ledger: Ledger, config: Config) -> Any:
    return chore.due(ledger, config)


def test_a_disk_that_is_away_keeps_no_other_night_waiting(
    tmp_path: Path, ledger: Ledger, clock: FakeClock
) -> None:
    config, chore = settings(tmp_path), HeaderReader()
    away = _night(ledger, tmp_path / "away", "20251105")
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    there = _night(ledger, tmp_path / "there", "20251106")

    first = _due(chore, ledger, config)
    with pytest.raises(RetryableError):
        work(first)
    failed = Outcome(key=1, error_class=ErrorClass.TRANSIENT, error="away")
    chore.record(ledger, config, first, failed)
    second = _due(chore, ledger, config)
    chore.record(ledger, config, second, Outcome(key=2, result=work(second)))
    nothing = _due(chore, ledger, config)
    clock.pass_seconds(3600)

    assert (first["night"], second["night"], nothing) == (away["id"], there["id"], None)
    assert _due(chore, ledger, config)["night"] == away["id"]
    _, rows = select(
        config.state_dir / HEADERS_NAME, [("archive", "20251106")], wanted=["file_path", "OBJECT"]
    )
    assert rows == [(f"vcam1/{STEM}.fits", "a star")]


def test_a_table_that_cannot_be_written_costs_nothing_else(tmp_path: Path, ledger: Ledger) -> None:
    config, chore = settings(tmp_path), HeaderReader()
    _night(ledger, tmp_path / "there", "20251106")
    (config.state_dir / HEADERS_NAME).write_bytes(b"no database" * 100)
    job = _due(chore, ledger, config)

    with ledger.transaction():
        chore.record(ledger, config, job, Outcome(key=1, result=work(job)))

    assert _due(chore, ledger, config) is None
    assert ledger.value("select headed from raw_file") == 0
