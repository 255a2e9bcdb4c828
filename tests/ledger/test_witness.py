"""Time counts only as it was seen to pass, whatever becomes of the host's date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.reclaim_nights import DAY_US, HOUR_US, TwoClocks
from vampd.ledger import elapsed, nights
from vampd.ledger.connection import Ledger, open_ledger
from vampd.states import Kind, NightStatus


@pytest.fixture
def clock() -> TwoClocks:
    return TwoClocks()


@pytest.fixture
def ledger(tmp_path: Path, clock: TwoClocks) -> Ledger:
    ledger = open_ledger(tmp_path, version="0", clock=clock)
    elapsed.record_elapsed(ledger)
    return ledger


def test_time_is_seen_to_pass(ledger: Ledger, clock: TwoClocks) -> None:
    clock.true_us += DAY_US

    assert elapsed.record_elapsed(ledger) == DAY_US


def test_a_daemon_that_was_away_on_a_running_host_lost_no_time(
    ledger: Ledger, clock: TwoClocks
) -> None:
    clock.true_us += 9 * DAY_US

    assert elapsed.passed_us(ledger) == 9 * DAY_US


@pytest.mark.parametrize("error_us", [400 * DAY_US, -400 * DAY_US])
def test_the_date_counts_for_nothing(ledger: Ledger, clock: TwoClocks, error_us: int) -> None:
    clock.date_error_us = error_us
    clock.true_us += HOUR_US

    assert elapsed.record_elapsed(ledger) == HOUR_US


def test_a_host_that_was_off_was_not_seen(ledger: Ledger, clock: TwoClocks) -> None:
    clock.true_us += DAY_US
    elapsed.record_elapsed(ledger)
    clock.true_us += 5 * DAY_US
    clock.started_us = clock.true_us
    clock.true_us += HOUR_US

    elapsed.record_elapsed(ledger)
    clock.true_us += HOUR_US

    assert elapsed.record_elapsed(ledger) == DAY_US + HOUR_US


def _safe_night(ledger: Ledger) -> int:
    night = nights.sight_night(ledger, Kind.ARCHIVE, "20251106", Path("/data/20251106"))
    for status in (NightStatus.READY, NightStatus.RUNNING, NightStatus.SAFE):
        nights.set_status(ledger, nights.get_night(ledger, night.id), status, None)
    return int(night.id)


def test_a_night_is_safe_since_it_was_seen_so(ledger: Ledger, clock: TwoClocks) -> None:
    number = _safe_night(ledger)
    clock.true_us += 9 * DAY_US
    before = elapsed.safe_since(ledger, number)
    elapsed.record_elapsed(ledger)

    since = elapsed.safe_since(ledger, number)

    assert before is None
    assert since is not None
    assert since.passed_us == 9 * DAY_US
    assert since.since_us == clock.now_us()


@pytest.mark.parametrize("way", [[], [NightStatus.HELD]])
def test_a_night_that_becomes_safe_anew_begins_anew(
    ledger: Ledger, clock: TwoClocks, way: list[NightStatus]
) -> None:
    number = _safe_night(ledger)
    elapsed.record_elapsed(ledger)
    clock.true_us += DAY_US
    for status in (NightStatus.READY, NightStatus.RUNNING, *way, NightStatus.SAFE):
        nights.set_status(ledger, nights.get_night(ledger, number), status, None)
    elapsed.record_elapsed(ledger)

    since = elapsed.safe_since(ledger, number)

    assert since is not None
    assert since.passed_us == DAY_US


def test_a_hold_in_between_begins_nothing_anew(ledger: Ledger, clock: TwoClocks) -> None:
    number = _safe_night(ledger)
    elapsed.record_elapsed(ledger)
    clock.true_us += DAY_US
    for status in (NightStatus.HELD, NightStatus.SAFE):
        nights.set_status(ledger, nights.get_night(ledger, number), status, None)
    elapsed.record_elapsed(ledger)

    since = elapsed.safe_since(ledger, number)

    assert since is not None
    assert since.passed_us == 0


def test_what_is_dated_in_the_future_counts_from_now(ledger: Ledger, clock: TwoClocks) -> None:
    clock.date_error_us = 400 * DAY_US
    number = _safe_night(ledger)
    elapsed.record_elapsed(ledger)
    clock.date_error_us = 0

    elapsed.mend_dates(ledger)

    since = elapsed.safe_since(ledger, number)
    assert since is not None
    assert since.since_us == clock.now_us()
