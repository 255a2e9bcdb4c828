"""What somebody looked at is not told again, until it is quarantined for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.errors import OperatorError, UsageError

_PATH = "vcam1/vcam1_05:10:00.0.fits"
_DATE = "20251106"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night(_DATE, "safe")
    for second in (0, 1):
        site.cube(night, f"vcam1_05:10:0{second}.0", state="quarantined", reason="no timing file")
    return site


def told(site: Site) -> int:
    """How many quarantined cubes an operator is still told of."""
    [night] = site.answer("status", "--all")["nights"]
    left: int = night["quarantined"] - night["quarantined_seen"]
    return left


def test_all_of_a_night_are_told_no_more_and_stay_in_the_list_with_who_looked(site: Site) -> None:
    assert told(site) == 2
    assert "2 cubes quarantined" in site.said("status")

    site.said("quarantine", _DATE, "--seen", "--why", "the shutter was closed")

    assert told(site) == 0
    assert "quarantined" not in site.said("status")
    assert "quarantined" not in site.said("explain", _DATE)
    said = site.said("quarantine", _DATE)
    assert "no timing file" in said
    assert "the shutter was closed" in said
    assert "looked at, uid " in said


def test_one_file_is_told_no_more_and_twice_is_once(site: Site) -> None:
    site.said("quarantine", _DATE, _PATH, "--seen", "--why", "x")

    assert told(site) == 1
    assert isinstance(
        site.run("quarantine", _DATE, _PATH, "--seen", "--why", "x").exception, OperatorError
    )
    site.said("quarantine", _DATE, "--seen", "--why", "x")
    assert "no quarantined file" in site.said("quarantine", _DATE, "--seen", "--why", "x")


def test_a_dry_run_marks_nothing_and_a_reason_is_needed(site: Site) -> None:
    site.said("quarantine", _DATE, "--seen", "--why", "x", "--dry-run")

    assert told(site) == 2
    assert isinstance(site.run("quarantine", _DATE, "--seen").exception, UsageError)
