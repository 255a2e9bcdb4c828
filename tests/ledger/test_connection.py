"""The ledger is migrated whole or not at all, and keeps its own rules."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, a_night, opened, reread
from vampd.causes import Cause
from vampd.errors import OperatorError
from vampd.ledger import connection
from vampd.ledger.connection import ledger_path, open_ledger, pending_migrations
from vampd.ledger.nights import get_night, set_status
from vampd.shipped import migrations_folder
from vampd.states import HoldCode, NightStatus


def applied(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(ledger_path(folder))) as ledger:
        return ledger.execute("select name, applied_at from _sqlite_migrations").fetchall()


def use_migrations(monkeypatch: pytest.MonkeyPatch, folder: Path, **more: str) -> None:
    """The shipped migrations, and *more* by the names of their files."""
    folder.mkdir()
    for file in migrations_folder().glob("*.sql"):
        (folder / file.name).write_text(file.read_text())
    for name, script in more.items():
        (folder / f"{name.lstrip('_')}.sql").write_text(script)
    monkeypatch.setattr(connection, "migrations_folder", lambda: folder)


def test_a_new_ledger_lacks_every_migration_and_an_open_one_none(tmp_path: Path) -> None:
    before = pending_migrations(ledger_path(tmp_path))
    opened(tmp_path).close()

    assert before == [file.stem for file in sorted(migrations_folder().glob("*.sql"))]
    assert pending_migrations(ledger_path(tmp_path)) == []


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    opened(tmp_path).close()
    first = applied(tmp_path)

    opened(tmp_path).close()

    assert applied(tmp_path) == first


def test_a_migration_that_fails_leaves_neither_its_tables_nor_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).close()
    broken = "create table half (id integer primary key) strict;\ninsert into nowhere values (1);\n"
    use_migrations(monkeypatch, tmp_path / "migrations", _0099_broken=broken)

    with pytest.raises(OperatorError, match="nowhere"):
        opened(tmp_path)

    assert pending_migrations(ledger_path(tmp_path)) == ["0099_broken"]
    with closing(sqlite3.connect(ledger_path(tmp_path))) as ledger:
        assert ledger.execute("select * from sqlite_master where name = 'half'").fetchall() == []


def test_the_last_statement_counts_even_without_its_semicolon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "create table one (id integer) strict;\ncreate table two (id integer) strict\n"
    use_migrations(monkeypatch, tmp_path / "migrations", _0099_two_tables=script)

    with closing(opened(tmp_path)) as ledger:
        assert ledger.value("select count(*) from two") == 0


def test_a_ledger_of_a_newer_vampd_is_refused_and_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer_script = "create table novelty (id integer) strict;\n"
        use_migrations(newer, tmp_path / "migrations", _0099_novelty=newer_script)
        opened(tmp_path).close()
    before = applied(tmp_path)

    with pytest.raises(OperatorError, match=r"newer vampd.*0099_novelty"):
        opened(tmp_path)

    assert applied(tmp_path) == before


def test_what_is_no_ledger_is_refused_by_name(tmp_path: Path) -> None:
    ledger_path(tmp_path).write_bytes(b"this is no database at all" * 100)

    with pytest.raises(OperatorError, match=r"ledger\.sqlite3.*is it a ledger"):
        opened(tmp_path)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="missing"):
        opened(tmp_path / "missing")


def test_every_commit_is_synchronised_with_the_disk(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        assert ledger.value("pragma synchronous") == 2
        assert ledger.value("pragma journal_mode") == "wal"
        assert ledger.value("pragma foreign_keys") == 1


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        with pytest.raises(AssertionError), ledger.transaction():
            get_night(ledger, a_night(ledger).id + 1)

        assert ledger.value("select count(*) from night") == 0
        assert ledger.value("select count(*) from event") == 0


def test_events_name_the_version_that_wrote_them(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with closing(open_ledger(tmp_path, version="9.8.7", clock=FakeClock())) as ledger:
        a_night(ledger)

        assert ledger.value("select version from event") == "9.8.7"


def test_a_status_is_set_only_if_the_night_is_still_what_it_was(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        stale = a_night(ledger)
        assert set_status(ledger, stale, NightStatus.READY, None)

        moved = set_status(ledger, stale, NightStatus.HELD, Cause(HoldCode.RESTORED))

        assert not moved
        assert reread(ledger, stale).status == NightStatus.READY


def test_a_move_that_the_states_do_not_know_is_refused(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        night = a_night(ledger)

        with pytest.raises(OperatorError, match="cannot go from collecting to reclaimed"):
            set_status(ledger, night, NightStatus.RECLAIMED, None)


def test_a_ledger_whose_making_was_broken_off_is_made_whole_without_a_copy_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_migrations(monkeypatch, tmp_path / "migrations")
    for file in sorted((tmp_path / "migrations").glob("*.sql"))[5:]:
        file.unlink()
    open_ledger(tmp_path, version="0", clock=FakeClock()).close()
    monkeypatch.undo()

    opened(tmp_path).close()

    assert pending_migrations(ledger_path(tmp_path)) == []
    assert list(tmp_path.glob("*.before-*")) == []
