"""A night that an operator closes before its date is over is processed, whoever is asked to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.support.daemon_site import DaemonSite, make_site
from tests.support.raw_cubes import write_raw_cube
from tests.support.waiting import wait_until
from vampd.io.clock import SystemClock

_SECOND_US = 1_000_000


@pytest.fixture
def tonight(tmp_path: Path) -> tuple[DaemonSite, str]:
    """A site with a night of today's date."""
    site = make_site(tmp_path)
    now_us = SystemClock().now_us()
    begins = datetime.fromtimestamp(now_us // _SECOND_US, UTC).replace(hour=0, minute=0, second=0)
    date = f"{begins:%Y%m%d}"
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    first_us = round(begins.timestamp()) * _SECOND_US + 10 * _SECOND_US
    stem = "vcam1_00:00:11.000000000"
    write_raw_cube(site.root() / date, frames, stem=stem, first_us=first_us)
    return site, date


def test_a_night_closed_without_a_daemon_is_processed_by_the_next_run(
    tonight: tuple[DaemonSite, str],
) -> None:
    site, date = tonight
    site.run()
    before = site.status()

    closed = site.call("close", date)
    site.run()

    assert before == "collecting"
    assert closed.returncode == 0, closed.stderr
    assert site.status() == "safe"


def test_such_a_run_says_by_its_exit_status_what_became_of_the_night(
    tonight: tuple[DaemonSite, str],
) -> None:
    site, date = tonight
    site.run()
    site.call("close", date)
    (site.far().parent).rmdir()  # there is nowhere to send it

    site.run(status=1)

    assert site.status() == "failed"


def test_a_night_closed_while_a_daemon_runs_is_processed_at_once(
    tonight: tuple[DaemonSite, str],
) -> None:
    site, date = tonight
    site.run()  # known from now on
    with site.running():
        wait_until(lambda: site.call("close", date).returncode == 0)
        wait_until(lambda: site.status() == "safe")
