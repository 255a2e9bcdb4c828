"""How the site's own commands ended is told, and beforehand whether they can be run at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site

_COMMAND = "sbatch /opt/night.sh '{folder}'"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A safe night whose one command failed."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    site.insert(
        "hook_run",
        night=site.night("20251106", "safe"),
        batch=1,
        command=_COMMAND,
        state="failed",
        attempts=1,
        code=3,
        error="sbatch exited 3",
        output="no node is free",
        started_us=NOW_US,
        finished_us=NOW_US + 2_000_000,
        changed_us=NOW_US,
        changed_by="daemon",
    )
    return site


def test_a_failure_is_told_with_what_the_command_said(site: Site) -> None:
    said = " ".join(site.said("admin", "hooks", "last").split())

    assert "failed after 2.0 s" in said
    assert _COMMAND in said
    assert "sbatch exited 3" in said
    assert "no node is free" in said


def test_programs_get_the_same(site: Site) -> None:
    (night,) = site.answer("admin", "hooks", "last")["nights"]
    (shown,) = site.answer("show", "last")["nights"]

    (run,) = night["hooks"]
    assert (run["state"], run["code"], run["command"]) == ("failed", 3, _COMMAND)
    assert run["started"] == "2025-11-06T16:00:00.000000Z"
    assert shown["hooks"] == night["hooks"]
    assert shown["status"] == "safe"


def test_show_tells_how_it_ended(site: Site) -> None:
    assert f"{_COMMAND}: failed, sbatch exited 3" in " ".join(site.said("show", "last").split())


def test_a_night_without_any_says_so(site: Site) -> None:
    site.night("20251107", "collecting")

    assert "no command ran for it" in site.said("admin", "hooks", "20251107")


def test_again_makes_it_due_once_more(site: Site) -> None:
    dry = site.said("admin", "hooks", "last", "--again", "--dry-run")
    said = site.said("admin", "hooks", "last", "--again")

    assert "runs again: sbatch" in dry
    *done, no_daemon = said.splitlines()[1:]
    assert done == dry.splitlines()[1:]
    assert "nothing more happens until it runs" in no_daemon
    with closing(sqlite3.connect(site.ledger)) as ledger:
        assert ledger.execute("select state from hook_run").fetchall() == [("pending",)]


def test_a_command_that_cannot_be_run_is_bad_beforehand(site: Site) -> None:
    with site.config.open("a") as settings:
        settings.write('[hooks]\nafter_safe = [["/nowhere/reduce"], ["true"]]\n')

    found = site.answer("admin", "doctor")["findings"]

    told = {each["what"]: each["state"] for each in found if "hooks" in each["what"]}
    assert told == {
        "hooks.after_safe: /nowhere/reduce cannot be run": "bad",
        "hooks.after_safe: true": "ok",
    }
