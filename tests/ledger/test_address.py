"""A path names one database, whatever signs it holds."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import a_night, opened
from vampd.ledger.address import address
from vampd.ledger.backups import copy_before
from vampd.ledger.connection import ledger_path, pending_migrations
from vampd.ledger.headers import columns, select
from vampd.ledger.reading import reading, reading_headers
from vampd.views.summaries import nights

NAMES = [
    "state#2",
    "state?mode=rwc",
    "100%41",
    "a b",
    "'quoted\"",
    "ünï",
    os.fsdecode(b"not\xffutf8"),
    "file:other",
    ":memory:",
    "semi;colon&immutable=1",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_reader_opens_the_ledger_that_the_writer_wrote(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    ledger = opened(folder)
    a_night(ledger)
    copy = copy_before(ledger.connection, ledger_path(folder), "0099")
    ledger.close()

    with reading(folder) as reader:
        found = nights(reader)
    with closing(sqlite3.connect(address(copy, "ro"), uri=True)) as copied:
        (in_the_copy,) = copied.execute("select count(*) from night").fetchone()

    assert len(found) == in_the_copy == 1
    assert pending_migrations(ledger_path(folder)) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_headers_is_the_one_that_was_named(tmp_path: Path, name: str) -> None:
    table = tmp_path / name / "headers.sqlite3"
    table.parent.mkdir()
    with closing(sqlite3.connect(table)) as book, book:
        book.execute("create table header (night_kind, night_date, file_path, file_kind)")
        book.execute("insert into header values ('archive', '20251106', 'a.fits', 'raw')")
        expected = columns(book)

    with reading_headers(table.parent) as found:
        names, rows = select(found, [("archive", "20251106")])

    assert names == expected
    assert rows == [("archive", "20251106", "a.fits", "raw")]


def test_a_path_that_begins_with_two_strokes_is_no_host_s(tmp_path: Path) -> None:
    opened(tmp_path).close()

    with reading(Path(f"/{tmp_path}")) as reader:
        assert nights(reader) == []


def test_no_other_address_is_made_by_hand() -> None:
    """Quoting forgotten once opens another database, and nobody notices."""
    package = Path(__file__).parents[2] / "vampd"
    by_hand = [
        str(path)
        for path in package.rglob("*.py")
        if "?mode=" in path.read_text() and path.name != "address.py"
    ]

    assert by_hand == []
