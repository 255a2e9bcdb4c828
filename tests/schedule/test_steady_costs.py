"""What a task costs the daemon does not grow with its night: counted in steps of SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_ledger import FakeClock, a_night, opened, settings
from vampd.ledger import files, outputs
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Output
from vampd.ledger.reports import add_reports
from vampd.records import Report
from vampd.schedule.facts import read_facts
from vampd.settings.sections import Compress
from vampd.stages import build
from vampd.states import Stage
from vampd.watch.scan_cycle import ScanCycle

_FEW, _MANY = 20, 400
_NOISE = 1.5


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "state").mkdir()
    with closing(opened(tmp_path / "state")) as ledger:
        yield ledger


@contextmanager
def _counted(ledger: Ledger) -> Iterator[list[int]]:
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    ledger.connection.set_progress_handler(count, 1)
    try:
        yield steps
    finally:
        ledger.connection.set_progress_handler(None, 1)


def _growth(ledger: Ledger, do: Callable[[], object]) -> float:
    """By how much more *do* takes in a night of many cubes than in one of few."""
    taken = []
    for first, last in ((0, _FEW), (_FEW, _MANY)):
        with ledger.transaction():
            for number in range(first, last):
                _add_cube(ledger, number)
        with _counted(ledger) as steps:
            do()
        taken.append(steps[0])
    return taken[1] / taken[0]


def _add_cube(ledger: Ledger, number: int) -> None:
    """A whole cube that nobody read through, its output, which is built, and its task, done."""
    common: dict[str, Any] = {"night": 1, "changed_us": 0, "changed_by": "test"}
    raw = ledger.insert(
        "raw_file",
        path=f"vcam1/{number:05}",
        role="cube",
        inode=number,
        size_bytes=1,
        modified_ns=number,
        state="whole",
        seen_us=0,
        **common,
    )
    ledger.insert(
        "output",
        ordinal=number,
        cube=number,
        camera=1,
        synchronised=0,
        flc_state="",
        name=str(number),
        frames=9 if number else 10,
        width=6,
        height=4,
        first_us=0,
        last_us=1,
        header_file=raw,
        content_key=str(number),
        state="built",
        **common,
    )
    ledger.insert("task", stage="build", unit=f"{number}.1", state="done", **common)


def test_the_facts_of_a_night_cost_the_same_however_many_tasks_are_done(
    ledger: Ledger, tmp_path: Path
) -> None:
    a_night(ledger)
    ledger.execute("update night set closed_us = 1, status = 'running'")
    cycle = ScanCycle(ledger, FakeClock(), settings(tmp_path))

    def read() -> None:
        ledger.execute("update raw_file set sha256 = 'x' where sha256 is null")
        with _counted(ledger) as steps:
            read_facts(ledger, cycle, {})
        taken.append(steps[0])

    taken: list[int] = []
    _growth(ledger, read)

    assert taken[1] < _NOISE * taken[0]


def test_whether_others_must_read_an_output_costs_the_same_however_many_are_built(
    ledger: Ledger,
) -> None:
    night = a_night(ledger)

    def choose() -> list[int]:
        rows: list[Output] = outputs.outputs_of_unit(ledger, night.id, "1.1")
        return build._read_whole(ledger, night, rows, Compress())

    assert _growth(ledger, choose) < _NOISE
    assert choose() == []


def test_the_next_files_to_be_read_through_cost_the_same_however_many_are_left(
    ledger: Ledger,
) -> None:
    a_night(ledger)

    assert _growth(ledger, lambda: files.without_digest(ledger, 1, 10)) < _NOISE
    assert [row.path for row in files.without_digest(ledger, 1, 2)] == [
        "vcam1/00000",
        "vcam1/00001",
    ]


def test_reports_cost_in_proportion_to_their_number_and_each_is_kept_once(ledger: Ledger) -> None:
    a_night(ledger)
    taken = []
    for count in (_FEW, _MANY):
        reports = [Report(text=f"{count} {number}", raw_file=None) for number in range(count)]
        with _counted(ledger) as steps, ledger.transaction():
            add_reports(ledger, 1, Stage.SYNC, [*reports, *reports])
        taken.append(steps[0])

    assert taken[1] / taken[0] < _NOISE * _MANY / _FEW
    assert ledger.value("select count(*) from report") == _FEW + _MANY
