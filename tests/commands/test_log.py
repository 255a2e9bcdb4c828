"""`vampd log` tells what happened in words, and `--follow` what happens now."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.errors import UsageError
from vampd.states import Kind, Stage

_HOUR_US = 3_600_000_000


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def move(site: Site, table: str, number: int, state: str, **values: object) -> None:
    """Bring a row into another state, as vampd does unless *values* say otherwise."""
    stamp = {"changed_us": NOW_US + _HOUR_US, "changed_by": "vampd", "why": None} | values
    column = "status" if table == "night" else "state"
    columns = ", ".join(f"{name} = ?" for name in stamp)
    query = f"update {table} set {column} = ?, {columns} where id = ?"
    site.execute(query, state, *stamp.values(), number)


def test_what_happened_is_told_with_time_person_and_reason(site: Site) -> None:
    night = site.night("20251106", "running")
    task = site.task(night, Stage.TRANSFER, "pending")
    move(site, "task", task, "running")
    move(site, "task", task, "failed", why="rsync exited 23")
    move(site, "night", night, "held", changed_by="uid 1000 (observer)", why="look first")

    said = site.said("log", "20251106")

    assert said.splitlines()[0] == "2025-11-06 UT"
    assert "17:00:00 UT (07:00 HST) archive 20251106: transfer pending -> running\n" in said
    words = " ".join(said.split())
    assert "archive 20251106: transfer running -> failed: rsync exited 23 " in words
    assert "archive 20251106: running -> held by uid 1000 (observer): look first" in words


def test_what_a_night_has_many_of_is_told_together(site: Site) -> None:
    night = site.night("20251106", "collecting")
    cubes = [site.cube(night, f"vcam1_05:10:0{second}.000000000") for second in range(3)]
    task = site.task(night, Stage.BUILD, "pending", "1.1")
    move(site, "task", task, "running")
    for cube in cubes:
        move(site, "raw_file", cube, "late", why="came after its night was closed")

    said, each = site.said("log", "last"), site.said("log", "last", "--each")

    assert "3 raw files whole -> late: came after its night was closed" in " ".join(said.split())
    assert "archive 20251106: build 1.1 pending -> running" in said
    assert len(said.splitlines()) < len(each.splitlines()) - 2
    assert "raw file vcam1/vcam1_05:10:02.000000000.fits whole -> late" in " ".join(each.split())


def test_a_unit_that_was_forgotten_is_still_told_by_name(site: Site) -> None:
    night = site.night("20251106", "running")
    site.task(night, Stage.BUILD, "failed", "3.2")
    site.execute("delete from task")

    (*_, event) = site.answer("log", "last")["events"]

    assert (event["about"], event["became"]) == ("build 3.2", "forgotten")


def test_since_and_kind_choose_events(site: Site) -> None:
    night = site.night("20251106", "collecting")
    site.night("20251106", "collecting", kind=Kind.ENGINEERING)
    move(site, "night", night, "ready")

    later = site.answer("log", "--since", "2025-11-06T16:30")["events"]
    kind = site.answer("log", "--kind", "engineering")["events"]
    hawaii = site.answer("log", "--since", "2025-11-06 06:30 HST")["events"]

    assert [event["became"] for event in later] == ["ready"]
    assert [event["kind"] for event in kind] == ["engineering"]
    assert hawaii == later
    assert isinstance(site.run("log", "--since", "yesterday").exception, UsageError)


def test_follow_tells_what_happens_and_ends_with_ctrl_c_as_a_success(site: Site) -> None:
    night = site.night("20251106", "collecting")
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "log", "--follow"]

    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        move(site, "night", night, "ready", why="closed by vampd")
        second = json.loads(following.stdout.readline())
        following.send_signal(signal.SIGINT)
        code = following.wait(timeout=30)

    assert (first["schema"], first["became"]) == (1, "collecting")
    assert (second["was"], second["became"], second["why"]) == (
        "collecting",
        "ready",
        "closed by vampd",
    )
    assert code == 0
