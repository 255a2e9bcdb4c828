"""`doctor` finds what is missing, says what to do, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.commands.ledgers import NOW_US, Site
from tests.support import digests_of_tree
from vampd.cli import group
from vampd.io.lock import StateLock
from vampd.states import Kind


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for kind in Kind:
        site.root(kind)
        (site.folder / "far" / kind).mkdir()
    return site


def findings(site: Site) -> dict[str, list[str]]:
    """What was found, by state; the exit code must fit."""
    result = CliRunner().invoke(group, ["--config", str(site.config), "doctor", "--json"])
    answer = json.loads(result.stdout)
    found: dict[str, list[str]] = {"ok": [], "warn": [], "bad": []}
    for each in answer["findings"]:
        found[each["state"]].append(f"{each['what']} -> {each['advice']}")
    assert result.exit_code == (1 if found["bad"] else 0)
    assert answer["ok"] is not bool(found["bad"])
    return found


def tree(site: Site) -> dict[str, str]:
    """Every file but those that SQLite needs beside the ledger while somebody reads it."""
    every = digests_of_tree(site.folder)
    return {path: digest for path, digest in every.items() if not path.endswith(("-wal", "-shm"))}


def has(lines: list[str], text: str) -> bool:
    return any(text in line for line in lines)


def test_a_healthy_site_has_nothing_bad_and_stays_as_it_is(site: Site) -> None:
    before = tree(site)

    found = findings(site)

    assert not found["bad"]
    assert has(found["ok"], f"archive root {site.folder}/archive")
    assert has(found["ok"], f"{site.folder}/far/archive: reachable, writable")
    assert has(found["ok"], "schema up to date")
    assert has(found["warn"], "nobody holds it, so no daemon runs")
    assert tree(site) == before


def test_a_running_daemon_is_named(site: Site) -> None:
    with StateLock.acquire(site.state):
        assert has(findings(site)["ok"], "daemon's lock: held by pid")


def test_another_disk_in_a_roots_place_is_bad(site: Site) -> None:
    marker = site.folder / "archive/.vampd-root"
    marker.write_text("vampd-root 00000000-0000-0000-0000-000000000000\n")

    assert has(findings(site)["bad"], "its marker is foreign")


def test_a_missing_root_is_bad(site: Site) -> None:
    (site.folder / "archive").rename(site.folder / "elsewhere")

    assert has(findings(site)["bad"], "archive: no such folder -> mount its disk")


def test_a_missing_far_folder_is_bad(site: Site) -> None:
    (site.folder / "far/archive").rmdir()

    assert has(findings(site)["bad"], "is no folder there")


def test_a_far_machine_that_cannot_be_reached_is_bad(site: Site) -> None:
    text = site.config.read_text()
    text = text.replace(f'"{site.folder}/far/archive"', '"127.0.0.1:/far"')
    site.config.write_text(text + '[ssh]\noptions = ["-p", "1"]\n')

    assert has(findings(site)["bad"], "Connection refused")


def test_a_missing_program_is_bad(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    found = findings(site)

    assert has(found["bad"], "funpack is not installed")
    assert has(found["bad"], "rsync is not installed")


def test_a_clock_that_went_back_is_bad(site: Site) -> None:
    site.daemon()
    site.execute("update daemon set heard_us = ?", 2 * NOW_US)

    assert has(findings(site)["bad"], "but the daemon was heard of at")


def test_a_damaged_ledger_is_bad_and_stops_no_other_check(site: Site) -> None:
    site.ledger.write_bytes(b"nonsense" * 1000)

    found = findings(site)

    assert has(found["bad"], "not a database")
    assert has(found["ok"], "far/archive: reachable")


def test_mistakes_in_the_settings_are_bad_and_programs_are_looked_at_all_the_same(
    site: Site,
) -> None:
    site.config.write_text("nonsense = 1\n")

    found = findings(site)

    assert has(found["bad"], "nonsense is not a setting")
    assert has(found["ok"], "rsync:")
