"""Before the schema changes the ledger is copied; going back forgets nothing that was done."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd import shipped
from vampd.errors import OperatorError
from vampd.ledger import connection
from vampd.ledger.reading import reading

_NEW = "9999_later"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A ledger of this version with a night in it, and a vampd that has a migration more."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    site.night("20251106", "collecting")
    folder = tmp_path / "migrations"
    shutil.copytree(shipped.migrations_folder(), folder)
    (folder / f"{_NEW}.sql").write_text("create table later (id integer primary key) strict;")
    monkeypatch.setattr(connection, "migrations_folder", lambda: folder)
    return site


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as ledger:
        return {row[0] for row in ledger.execute("select name from sqlite_master")}


def test_a_migration_leaves_a_copy_of_what_was(site: Site) -> None:
    site.said("admin", "migrate")

    copy = site.state / f"ledger.before-{_NEW}.sqlite3"
    assert "later" in tables(site.ledger)
    assert "later" not in tables(copy)
    with closing(sqlite3.connect(copy)) as ledger:
        assert ledger.execute("select date from night").fetchall() == [("20251106",)]


def test_a_new_ledger_needs_no_copy(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")

    site.said("admin", "migrate")

    assert list(site.state.glob("*.before-*")) == []


def test_going_back_keeps_both(site: Site) -> None:
    site.said("admin", "migrate")
    site.night("20251107", "collecting")

    dry = site.said("admin", "migrate", "--back", "--dry-run")
    before = tables(site.ledger)
    said = site.said("admin", "migrate", "--back")

    assert dry == said
    assert "later" in before
    assert "later" not in tables(site.ledger)
    with reading(site.state) as ledger:
        assert [row["date"] for row in ledger.execute("select date from night")] == ["20251106"]
    assert "later" in tables(site.state / f"ledger.undone-{_NEW}.sqlite3")


def test_nothing_that_was_done_is_forgotten(site: Site) -> None:
    site.said("admin", "migrate")
    site.insert(
        "frame_id",
        number=425189,
        night=1,
        content_key="x",
        state="bound",
        reserved_us=1,
        changed_us=1,
        changed_by="daemon",
    )

    with pytest.raises(OperatorError, match="1 times frame_id bound"):
        site.said("admin", "migrate", "--back")

    assert "later" in tables(site.ledger)


def test_without_a_copy_there_is_no_way_back(site: Site) -> None:
    with pytest.raises(OperatorError, match="no migration of it left a copy"):
        site.said("admin", "migrate", "--back")
