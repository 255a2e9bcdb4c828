"""Verbs that change a night: safe while a daemon runs, and without one; twice is once."""

from __future__ import annotations

import os
import pwd
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_site import Site
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.errors import OperatorError, UsageError
from vampd.io.lock import StateLock, holder
from vampd.states import Kind, Stage

_ME = f"uid {os.getuid()} ({pwd.getpwuid(os.getuid()).pw_name})"
_CUBE = "vcam1/vcam1_05:10:00.000000000.fits"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A night of each kind on one date; the archive one failed in its transfer."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.TRANSFER)
    site.execute(
        "update task set state = 'failed', error = 'x', error_class = 'deterministic'"
        " where stage = 'transfer'"
    )
    site.cube(night, "vcam1_05:10:00.000000000", frames=10)
    site.night("20251106", "collecting", kind=Kind.ENGINEERING)
    return site


def acted(site: Site, *arguments: object) -> dict[str, Any]:
    (night,) = site.answer(*arguments, "--kind", "archive")["nights"]
    result: dict[str, Any] = night
    return result


def rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.ledger)) as ledger:
        return ledger.execute(query).fetchall()


def _hears(site: Site) -> bool:
    return (site.state / "vampd.sock").exists() and holder(site.state) is not None


@contextmanager
def running_daemon(site: Site) -> Iterator[None]:
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "admin", "run"]
    with (site.folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stderr=log)
    try:
        wait_until(
            lambda: daemon.poll() is not None or _hears(site), (site.folder / "log").read_text
        )
        assert daemon.poll() is None, (site.folder / "log").read_text()
        yield
    finally:
        daemon.terminate()
        assert daemon.wait(timeout=30) == 0, (site.folder / "log").read_text()


def test_without_a_daemon_the_command_acts_itself_in_the_operators_name(site: Site) -> None:
    answer = acted(site, "retry", "20251106")

    assert answer["changed"] is True
    assert answer["lines"] == ["it is tried again now"]
    ((state, by),) = rows(site, "select state, changed_by from task where stage = 'transfer'")
    assert (state, by) == ("pending", _ME)
    assert holder(site.state) is None, "the lock is given back"


def test_the_screen_says_which_night_was_meant(site: Site) -> None:
    said = site.said("hold", "last", "--kind", "archive", "--why", "clouds")

    assert said.splitlines()[0] == f"archive 20251106, {site.folder}/archive/20251106:"
    assert "to be held (clouds): vampd release 20251106 --kind archive" in " ".join(
        site.said("status").split()
    )


@pytest.mark.parametrize(
    "words",
    [
        ("retry", "20251106"),
        ("hold", "20251106", "--why", "clouds"),
        ("abandon", "20251106", "--why", "clouds", "-y"),
        ("quarantine", "20251106", _CUBE, "--add", "--why", "cosmic rays"),
    ],
)
def test_a_dry_run_says_the_same_and_changes_nothing(site: Site, words: tuple[str, ...]) -> None:
    query = "select * from night, task, raw_file"
    before = rows(site, query), rows(site, "select count(*) from event")

    dry = acted(site, *words, "--dry-run")

    assert (rows(site, query), rows(site, "select count(*) from event")) == before
    assert dry["lines"] == acted(site, *words)["lines"]
    assert rows(site, query) != before[0]


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "20251106", "--why", "clouds"),
        ("abandon", "20251106", "--why", "clouds", "-y"),
        ("quarantine", "20251106", _CUBE, "--add", "--why", "cosmic rays"),
        ("retry", "20251106"),
        ("close", "20251106"),
    ],
)
def test_twice_is_once(site: Site, words: tuple[str, ...]) -> None:
    acted(site, *words)
    before = rows(site, "select * from night, task, raw_file")

    assert acted(site, *words)["changed"] is False

    assert rows(site, "select * from night, task, raw_file") == before


def test_what_is_quarantined_by_hand_is_listed_with_its_reason(site: Site) -> None:
    acted(site, "quarantine", "20251106", _CUBE, "--add", "--why", "cosmic rays")

    (night,) = site.answer("quarantine", "20251106", "--kind", "archive")["nights"]
    assert {each["reason"] for each in night["files"]} == {"cosmic rays"}
    assert [(each["code"], each["arguments"]) for each in night["files"]] == [
        ("by hand", {"why": "cosmic rays"})
    ] * len(night["files"])
    assert {each["by"] for each in night["files"]} == {_ME}


def test_restoring_a_night_that_was_never_processed_does_nothing(site: Site) -> None:
    raw = site.folder / "archive/20251106" / _CUBE
    raw.parent.mkdir()
    raw.write_bytes(b"photons")
    before = digests_of_tree(site.folder / "archive")

    assert acted(site, "restore", "20251106")["changed"] is False

    assert digests_of_tree(site.folder / "archive") == before


def test_a_refusal_is_an_error(site: Site) -> None:
    with pytest.raises(OperatorError, match="vampd knows no file x"):
        site.said("quarantine", "20251106", "x", "--add", "--why", "y", "--kind", "archive")
    with pytest.raises(UsageError, match="has no stage manifest"):
        site.said("retry", "20251106", "--from", "manifest", "--kind", "engineering")


def test_a_lock_without_a_daemon_behind_it_is_not_waited_for(site: Site) -> None:
    with StateLock.acquire(site.state):
        error = site.run("retry", "20251106", "--kind", "archive").exception

    assert getattr(error, "exit_code", None) == 69


def test_a_running_daemon_acts_in_the_name_that_the_kernel_tells(site: Site) -> None:
    # The daemon holds a night whose recorded files are not on the disk, and closes a quiet one.
    site.execute("update night set last_change_us = ?", time.time_ns() // 1000)
    words = ("abandon", "20251106", "--kind", "engineering", "--why", "clouds", "-y")
    with running_daemon(site):
        answers = [site.answer(*words)["nights"][0]["changed"] for _ in range(2)]
        with pytest.raises(OperatorError, match="vampd knows no file x"):
            site.said("quarantine", "20251106", "x", "--accept", "--kind", "engineering")

    assert answers == [True, False]
    (event,) = rows(site, f"select subject, became from event where actor = '{_ME}'")
    assert event == ("night", "abandoned")


def test_an_abandoned_night_is_not_retried_and_the_way_that_is_told_takes_it_up_again(
    site: Site,
) -> None:
    named = ("20251106", "--kind", "engineering")
    site.said("abandon", *named, "--why", "clouds", "-y")

    refused = site.run("retry", *named).exception
    site.said("restore", *named, "-y")
    site.said("release", *named)

    assert isinstance(refused, OperatorError)
    assert "abandoned (clouds)" in str(refused)
    name = "20251106 --kind engineering"
    assert f"`vampd restore {name}`, then `vampd release {name}`" in str(refused)
    statuses = rows(site, "select status, hold from night where kind = 'engineering'")
    assert statuses == [("collecting", None)]
