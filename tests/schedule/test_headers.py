"""Headers are read night by night; one whose disk is away keeps no other waiting."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.raw_cubes import COMMON_CARDS, card_text, write_raw_cube
from vampd.background.header_table import HeaderReader, work
from vampd.errors import RetryableError
from vampd.ledger import files, nights
from vampd.ledger.connection import HEADERS_NAME, Ledger
from vampd.ledger.headers import HeadersRead, select
from vampd.ledger.reading import reading_headers
from vampd.ledger.records import Night
from vampd.records import FileIdentity
from vampd.schedule.executor import Outcome
from vampd.settings.sections import Config
from vampd.states import ErrorClass, FileState, Kind

STEM = "vcam1_05:10:00.000000000"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


def _night(ledger: Ledger, root: Path, date: str, *cards: str, stem: str = STEM) -> Night:
    """A night with one whole cube; again, with another *stem*, one more."""
    folder = root / date
    pixels = [np.zeros((4, 6), np.uint16)]
    cube = write_raw_cube(folder, pixels, stem=stem, extra=(*COMMON_CARDS, *cards))
    night = nights.sight_night(ledger, Kind.ARCHIVE, date, folder)
    found = cube.stat()
    files.add_file(
        ledger,
        night.id,
        f"vcam1/{stem}.fits",
        role="cube",
        camera=1,
        stem=stem,
        who=FileIdentity(
            inode=found.st_ino, size_bytes=found.st_size, modified_ns=found.st_mtime_ns
        ),
        state=FileState.WHOLE,
        cause=None,
    )
    return night


def _selected(config: Config, *wanted: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with reading_headers(config.state_dir) as book:
        return select(book, [("archive", "20251106")], wanted=wanted)


def _due(background_job: HeaderReader, ledger: Ledger, config: Config) -> Any:
    return background_job.due(ledger, config)


def test_a_disk_that_is_away_keeps_no_other_night_waiting(
    tmp_path: Path, ledger: Ledger, clock: FakeClock
) -> None:
    config, background_job = settings(tmp_path), HeaderReader()
    away = _night(ledger, tmp_path / "away", "20251105")
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    there = _night(ledger, tmp_path / "there", "20251106")

    first = _due(background_job, ledger, config)
    with pytest.raises(RetryableError):
        work(first)
    failed: Outcome[Any] = Outcome(key=1, error_class=ErrorClass.TRANSIENT, error="away")
    background_job.record(ledger, config, first, failed)
    second = _due(background_job, ledger, config)
    background_job.record(ledger, config, second, Outcome(key=2, result=work(second)))
    nothing = _due(background_job, ledger, config)
    clock.pass_seconds(3600)

    assert (first.night, second.night, nothing) == (away.id, there.id, None)
    assert _due(background_job, ledger, config).night == away.id
    _, rows = _selected(config, "file_path", "OBJECT")
    assert rows == [(f"vcam1/{STEM}.fits", "a star")]


def test_a_table_that_cannot_be_written_costs_nothing_else(tmp_path: Path, ledger: Ledger) -> None:
    config, background_job = settings(tmp_path), HeaderReader()
    _night(ledger, tmp_path / "there", "20251106")
    (config.state_dir / HEADERS_NAME).write_bytes(b"no database" * 100)
    job = _due(background_job, ledger, config)

    with ledger.transaction():
        background_job.record(ledger, config, job, Outcome(key=1, result=work(job)))

    assert _due(background_job, ledger, config) is None
    assert ledger.value("select headed from raw_file") == 0


def test_a_header_that_kills_its_reader_costs_no_other_its_place(
    tmp_path: Path, ledger: Ledger
) -> None:
    config, background_job = settings(tmp_path), HeaderReader()
    stems = [f"vcam1_05:10:0{number}.000000000" for number in range(4)]
    for stem in stems:
        _night(ledger, tmp_path / "there", "20251106", stem=stem)
    deadly = f"vcam1/{stems[1]}.fits"

    while (job := _due(background_job, ledger, config)) is not None:
        dies = any(file.path == deadly for file in job.files)
        died: Outcome[Any] = Outcome(key=1, crashed=True, error="its worker died")
        read = died if dies else Outcome(key=1, result=work(job))
        background_job.record(ledger, config, job, read)

    _, rows = _selected(config, "file_path")
    kept = [f"vcam1/{stem}.fits" for stem in stems if stem not in deadly]
    assert sorted(path for (path,) in rows) == kept


def test_a_machine_that_can_begin_nothing_costs_no_header_its_place(
    tmp_path: Path, ledger: Ledger
) -> None:
    config, background_job = settings(tmp_path), HeaderReader()
    _night(ledger, tmp_path / "there", "20251106")
    job = _due(background_job, ledger, config)

    short: Outcome[Any] = Outcome(
        key=0, error_class=ErrorClass.DETERMINISTIC, error="no process", is_ours=True
    )
    background_job.record(ledger, config, job, short)

    assert ledger.value("select headed from raw_file") == 0


def _taken(ledger: Ledger, config: Config) -> None:
    """Let everything that is due be read and kept."""
    background_job = HeaderReader()
    while (job := _due(background_job, ledger, config)) is not None:
        background_job.record(ledger, config, job, Outcome(key=1, result=work(job)))


@pytest.mark.parametrize(
    ("cards", "held"),
    [
        (["object  = 'M 31    '"], {"OBJECT": "a star"}),
        (["Gain    =                  1.5"], {"GAIN": 1.5}),
        (["Gain    =                  1.5", "GAIN    =                  2.5"], {"GAIN": 2.5}),
        (["OVERFLOW=                1E400"], {"OVERFLOW": math.inf}),
        ([f"COUNTER = {2**63:>20}"], {"COUNTER": str(2**63)}),
        ([f"COUNTER = {-(2**63):>20}"], {"COUNTER": -(2**63)}),
        (['A"B     =                    3', "a'b     =                    4"], {'A"B': 3}),
        (["SELECT  =                    5"], {"SELECT": 5}),
    ],
)
def test_a_strange_card_is_in_the_table_as_far_as_a_table_can_hold_it(
    tmp_path: Path, ledger: Ledger, cards: list[str], held: dict[str, Any]
) -> None:
    config = settings(tmp_path)
    _night(ledger, tmp_path / "root", "20251106", *map(card_text, cards))

    _taken(ledger, config)

    _, rows = _selected(config, *held)
    assert rows == [tuple(held.values())]
    names, rows = _selected(config)
    assert dict(zip(names, rows[0], strict=True)).items() >= held.items()


def test_a_header_that_no_table_can_hold_keeps_no_other_away(
    tmp_path: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    config, background_job = settings(tmp_path), HeaderReader()
    other = f"{STEM[:-1]}1"
    _night(ledger, tmp_path / "root", "20251106")
    _night(ledger, tmp_path / "root", "20251106", stem=other)
    job = _due(background_job, ledger, config)
    read = work(job)
    path = f"vcam1/{STEM}.fits"
    worse = {**(read.cards[path] or {}), "WORSE": "\udc80"}  # no text of UTF-8
    read = HeadersRead(cards={**read.cards, path: worse})

    background_job.record(ledger, config, job, Outcome(key=1, result=read))

    assert f"vcam1/{STEM}.fits: its header is not in the table" in caplog.text
    assert _due(background_job, ledger, config) is None
    _, rows = _selected(config, "file_path")
    assert rows == [(f"vcam1/{other}.fits",)]
