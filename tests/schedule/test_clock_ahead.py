"""A date that was years ahead for a while, or jumps, keeps no night from its end, nor ends one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_ledger import DAY_US, FakeClock, opened, settings
from tests.support.raw_cubes import write_raw_cube
from vampd.ledger import nights
from vampd.ledger.connection import Ledger
from vampd.ledger.dates import Dates
from vampd.ledger.records import Night
from vampd.schedule.engine import Engine
from vampd.schedule.workers import Workers
from vampd.states import Kind, NightStatus
from vampd.watch import inspect
from vampd.watch.scan_cycle import ScanCycle

DATE = "20251105"
STEM = "vcam1_05:10:00.000000000"

_FIRST_US = 1_762_300_800_000_000 + 5 * 3_600_000_000
_YEARS_US = 5 * 365 * DAY_US


class SteppingClock(FakeClock):
    """Its date can be wrong; the other clock never steps."""

    error_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.error_us


class Scene:
    """A night of one cube, and all that closes it, but no worker."""

    def __init__(self, folder: Path, ledger: Ledger, clock: SteppingClock) -> None:
        self.folder = folder / "archive" / DATE
        self.ledger = ledger
        self.clock = clock
        self.write(0)
        self._config = settings(folder)
        self.begin()

    def begin(self) -> None:
        """Begin as another daemon."""
        self.scan_cycle = ScanCycle(self.ledger, self.clock, self._config)
        self.engine = Engine(self.ledger, self._config, self.scan_cycle, Workers(nice=0), ())

    def write(self, number: int) -> None:
        frames = [np.full((4, 6), value, np.uint16) for value in range(3)]
        stem, later_us = f"vcam1_05:{number:02d}:00.000000000", number * 60_000_000
        write_raw_cube(self.folder, frames, stem=stem, first_us=_FIRST_US + later_us)

    @property
    def night(self) -> Night:
        return nights.find_night(self.ledger, Kind.ARCHIVE, DATE)

    def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            self.clock.pass_seconds(60)
            self.scan_cycle.go()
            for watch in self.scan_cycle.nights.values():
                wanted = dict(watch.wanted)
                read = [inspect.inspect_cube(watch.folder, *pair) for pair in wanted.values()]
                self.scan_cycle.accept(watch.night, wanted, read)
            self.engine._mend_dates()
            self.engine.refresh()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = SteppingClock()
    settings(tmp_path)
    with closing(opened(tmp_path / "state", clock)) as ledger:
        yield Scene(tmp_path, ledger, clock)


@pytest.mark.parametrize("restarted", [True, False])
def test_a_night_first_seen_in_years_to_come_closes_after_its_quiet_time(
    scene: Scene, caplog: pytest.LogCaptureFixture, restarted: bool
) -> None:
    scene.clock.error_us = _YEARS_US
    scene.pass_minutes(2)
    ahead = scene.night
    scene.clock.error_us = 0
    if restarted:
        scene.begin()

    with caplog.at_level(logging.WARNING):
        scene.pass_minutes(25)
        early = scene.night.closed_us
        scene.pass_minutes(10)

    assert ahead.last_change_us > scene.clock.now_us() + _YEARS_US - DAY_US
    assert early is None
    assert scene.night.closed_us is not None
    told = [record for record in caplog.records if "the host's date was ahead" in record.message]
    assert len(told) == 1


def test_a_date_that_jumps_ahead_closes_no_night_at_which_the_cameras_are(scene: Scene) -> None:
    for number in range(1, 4):
        scene.pass_minutes(10)
        scene.write(number)
    scene.clock.error_us = _YEARS_US
    for number in range(4, 7):
        scene.pass_minutes(10)
        scene.write(number)
    during = scene.night.closed_us
    scene.pass_minutes(40)

    assert during is None
    assert scene.night.closed_us is not None


def test_a_date_that_goes_back_waits_for_no_more_than_it_should(scene: Scene) -> None:
    scene.pass_minutes(10)
    scene.clock.error_us = -3 * 3_600_000_000

    scene.pass_minutes(40)

    assert scene.night.status != NightStatus.COLLECTING


def test_every_time_that_is_still_to_come_counts_from_now(scene: Scene) -> None:
    scene.pass_minutes(1)
    ledger, night = scene.ledger, scene.night.id
    wrong_us = ledger.now_us() + _YEARS_US
    stamp = ledger.stamp()
    task = ledger.insert(
        "task", night=night, stage="sync", state="done", finished_us=wrong_us, **stamp
    )
    ledger.insert("hook", command="true", since_us=wrong_us)
    ledger.execute("insert into scrubbed (night, oldest_us) values (?, ?)", [night, wrong_us])
    ledger.insert("disk", path="/", present=1, looked_us=wrong_us)
    ledger.insert("deliverable", night=night, path="a", size_bytes=1, sha256="", sent_us=wrong_us)

    Dates(ledger).mend(1)

    now_us = ledger.now_us()
    assert ledger.value("select finished_us from task where id = ?", [task]) == now_us
    assert ledger.value("select since_us from hook") == now_us
    assert ledger.value("select oldest_us from scrubbed") == now_us
    assert ledger.value("select looked_us from disk") == now_us
    assert ledger.value("select sent_us from deliverable") == now_us
