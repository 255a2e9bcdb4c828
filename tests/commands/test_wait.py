"""`vampd wait`: it ends when the night is there, or when it does not get there without somebody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.causes import Cause
from vampd.errors import OperatorError, RetryableError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.states import HoldCode, Kind, NightStatus
from vampd.time_units import HST


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def test_a_night_that_is_there_is_not_waited_for(site: Site) -> None:
    site.night("20251106", "safe")
    site.night("20251106", "reclaimed", kind=Kind.ENGINEERING)

    said = site.said("wait", "20251106")

    assert said == "archive 20251106 is safe\nengineering 20251106 is reclaimed\n"


def test_a_night_that_waits_for_somebody_ends_the_wait_with_what_to_do(site: Site) -> None:
    site.night("20251106", "held", cause=Cause(HoldCode.ORDER, {"why": "clouds"}))

    failed = site.run("wait", "20251106").exception

    assert isinstance(failed, OperatorError)
    assert "held: clouds" in str(failed)
    assert "vampd release 20251106" in str(failed)


@pytest.mark.parametrize("status", [NightStatus.EMPTY, NightStatus.ABANDONED])
def test_a_night_that_ended_otherwise_ends_the_wait(site: Site, status: NightStatus) -> None:
    site.night("20251106", status)

    failed = site.run("wait", "20251106").exception

    assert isinstance(failed, OperatorError)
    assert f"it is {status}" in str(failed)


def test_without_a_daemon_nothing_is_waited_for(site: Site) -> None:
    site.night("20251106", "running")

    failed = site.run("wait", "20251106").exception

    assert isinstance(failed, OperatorError)
    assert "systemctl start vampd" in str(failed)


@pytest.mark.parametrize("date", ["20251106", "today"])
def test_the_time_that_is_given_ends_the_wait_of_what_still_comes(site: Site, date: str) -> None:
    site.night("20251106", "running")

    with StateLock.acquire(site.state):
        failed = site.run("wait", date, "--timeout", "0").exception

    assert isinstance(failed, RetryableError)
    assert ("it was not seen yet" if date == "today" else "it is running") in str(failed)


def test_who_waits_for_a_closed_night_is_content_with_a_running_one(site: Site) -> None:
    site.night("20251106", "running")

    assert site.said("wait", "20251106", "ready") == "archive 20251106 is running\n"


@pytest.fixture
def late_in_hawaii(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on Hawaii's time, at 23:30 of 5 November 2025: in UTC that is the 6th."""
    late = datetime(2025, 11, 5, 23, 30, tzinfo=HST)
    monkeypatch.setattr(SystemClock, "now_us", lambda _: round(late.timestamp() * 1e6))
    monkeypatch.setenv("TZ", "HST10")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


@pytest.mark.usefixtures("late_in_hawaii")
def test_today_and_yesterday_are_dates_of_utc(site: Site) -> None:
    site.night("20251106", "safe")
    site.night("20251105", "empty")

    assert "archive 20251106 is safe" in site.said("wait", "today")
    assert "archive 20251105 has been empty" in " ".join(site.said("explain", "yesterday").split())


def test_commands_that_read_show_both_kinds_of_a_date(site: Site) -> None:
    for kind in Kind:
        site.night("20251106", "safe", kind=kind)

    for words in (("explain",), ("show",), ("quarantine",), ("data", "files")):
        said = site.said(*words, "20251106")
        assert "archive 20251106" in said, words
        assert "engineering 20251106" in said, words
