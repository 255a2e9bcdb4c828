"""Nothing is begun while the cameras write and others wait for the disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.fake_ledger import FakeClock, opened, settings
from vampd.io.pressure import Resource
from vampd.schedule.brake import Brake, why_pause
from vampd.schedule.engine import Engine
from vampd.schedule.work import Seat
from vampd.schedule.workers import Workers
from vampd.watch.night_tracker import NightTracker
from vampd.watch.scan_cycle import ScanCycle

LIMITS: dict[Resource, float] = {"io": 20.0, "memory": 10.0}


def test_a_busy_disk_is_named_with_its_figures() -> None:
    why = why_pause(LIMITS, {"io": 43.2, "memory": 0.0}, paused=False)

    assert why == "the disk is busy (PSI some 43 % > 20 %)"


@pytest.mark.parametrize(
    ("percent", "paused", "pauses"),
    [(20.0, False, False), (20.1, False, True), (10.1, True, True), (10.0, True, False)],
)
def test_a_pause_ends_only_well_below_where_it_began(
    percent: float, *, paused: bool, pauses: bool
) -> None:
    why = why_pause(LIMITS, {"io": percent, "memory": None}, paused=paused)

    assert bool(why) is pauses


def test_a_limit_of_nothing_is_none() -> None:
    assert not why_pause({"io": 0.0, "memory": 0.0}, {"io": 99.0, "memory": 99.0}, paused=False)


def test_it_brakes_while_the_cameras_write_and_goes_on_by_itself(tmp_path: Path) -> None:
    config = settings(tmp_path)
    config = replace(config, workers=replace(config.workers, pause_above_io_percent=20.0))
    clock = FakeClock()
    percent: list[float] = [43.0]
    with closing(opened(tmp_path / "state", clock)) as ledger:
        scan_cycle = ScanCycle(ledger, clock, config)
        engine = Engine(ledger, config, scan_cycle, Workers(nice=0), ())
        engine.brake = Brake(scan_cycle, clock, lambda _resource: percent[0])
        watch = NightTracker(night=1, folder=tmp_path / "archive/20251106")
        scan_cycle.nights[1] = watch
        found = []
        for seconds, waiting, changes in [
            (0, 43, False),  # nobody writes
            (2, 43, True),
            (2, 12, True),
            (2, 9, True),
            (2, 43, True),
            (130, 43, False),  # they stopped writing
        ]:
            clock.pass_seconds(seconds)
            percent[0] = waiting
            if changes:
                watch.changed_ns = clock.monotonic_ns()
            engine.brake.look()
            found.append((bool(engine.brake.why), engine._is_free(Seat.NETWORK)))

    assert found == [
        (False, True),
        (True, False),
        (True, False),
        (False, True),
        (True, False),
        (False, True),
    ]
