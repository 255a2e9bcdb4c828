"""The table of headers: a row for each raw cube and each output, a column for each card.

It lies in a file of its own beside the ledger, `headers.sqlite3`, for it is large and can be
read again from the files at any time. Names of its own columns have more than eight characters,
as no FITS keyword has (FITS standard 4.0, section 4.1.2.1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from vampd.errors import ResourceError, UsageError
from vampd.io.private import make_private_file
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.ledger.write_ahead import FOLD_BYTES
from vampd.records import CardValue

_MOST_FILES = 200  # a worker reads so many headers in a tenth of a second
_MOST_COLUMNS = 1900  # of SQLite's 2000
_TWO_TO_63 = 1 << 63

#: What SQLite says of a statement or a value of ours, and not of the file that it writes.
_THE_FILE_S = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)

_MAKE = """
create table if not exists header (
    night_kind text not null,
    night_date text not null,
    file_path text not null,
    file_kind text not null,
    primary key (night_date, night_kind, file_path)
)
"""


Cards = Mapping[str, CardValue]


class HeaderFile(Struct, frozen=True, kw_only=True):
    """A file whose header is to be read."""

    id: int
    kind: str  #: raw, output
    path: str

    @property
    def table(self) -> str:
        """In which the ledger has it."""
        return "raw_file" if self.kind == "raw" else "output"


class HeaderJob(Struct, frozen=True, kw_only=True):
    """Files of one night; where there are none, headers are to be forgotten."""

    night: int | None = None
    folder: str = "/"
    files: Sequence[HeaderFile] = ()


class HeadersRead(Struct, frozen=True, kw_only=True):
    """By path the values of its cards, by keyword; None: it cannot be read."""

    cards: Mapping[str, Cards | None] = {}


def due(ledger: Ledger, resting: Collection[int] = ()) -> HeaderJob | None:
    """The next files whose headers are to be read, of one night; None when there are none.

    Nights that are *resting* are left out.
    """
    others = f" and night not in ({', '.join(map(str, sorted(resting)))})" if resting else ""
    for kind, query in _QUERIES.items():
        first = ledger.row(f"{query}{others} order by id limit 1")
        if first is None:
            continue
        night = fetch_one(Night, ledger, "select * from night where id = ?", [first["night"]])
        assert night is not None
        rows = ledger.rows(f"{query} and night = ? order by id limit ?", [night.id, _MOST_FILES])
        files = [HeaderFile(id=row["id"], kind=kind, path=row["path"]) for row in rows]
        return HeaderJob(night=night.id, folder=night.folder, files=files)
    if ledger.value("select 1 from header_gone limit 1"):
        return HeaderJob()
    return None


_QUERIES = {
    "raw": (
        "select id, night, path from raw_file where headed = 0 and role = 'cube'"
        " and state in ('whole', 'quarantined')"
    ),
    "output": (
        "select id, night, 'vgen2/' || coalesce('VMPA' || printf('%08d', frame_id), name)"
        " || '.fits.fz' as path from output where headed = 0 and state in ('built', 'verified')"
    ),
}


def record(
    ledger: Ledger, path: Path, job: HeaderJob, read: Mapping[str, Cards | None]
) -> dict[str, str]:
    """Keep the headers that were *read*, by path, in the file *path*, and that they were.

    Returns why the header of a file is not kept, by its path: no table can hold it.
    ResourceError: that file cannot be written.
    """
    nights = {row.id: row for row in fetch_all(Night, ledger, "select * from night")}
    refused: dict[str, str] = {}
    try:
        with closing(_open(path)) as book, book:
            book.execute("begin immediate")
            for row in ledger.rows("select * from header_gone"):
                _forget(book, nights[row["night"]], row["path"])
            for file in job.files:
                cards = read[file.path]
                if cards is not None and (why := _try(book, nights[job.night or 0], file, cards)):
                    refused[file.path] = why
    except (sqlite3.Error, OSError) as error:
        msg = f"{path}: {error}; it can be deleted: every header is then read again"
        raise ResourceError(msg) from error
    ledger.execute("delete from header_gone")
    for file in job.files:
        kept = read[file.path] is not None and file.path not in refused
        ledger.update(file.table, file.id, headed=1 if kept else 2)
    return refused


def ask_anew(ledger: Ledger) -> None:
    """The table is lost: every header is to be read again."""
    for table in ("raw_file", "output"):
        ledger.execute(f"update {table} set headed = 0 where headed != 0")  # noqa: S608


def give_up(ledger: Ledger, job: HeaderJob) -> None:
    """These files killed who read them: they are not asked for again."""
    for file in job.files:
        ledger.update(file.table, file.id, headed=2)


def columns(book: sqlite3.Connection) -> list[str]:
    """The columns of the table: its own, then every card that any file ever had."""
    return [row[1] for row in book.execute("pragma table_info(header)")]


def select(
    book: sqlite3.Connection,
    nights: Iterable[tuple[str, str]],
    *,
    wanted: Sequence[str] = (),
    preferred: Sequence[str] = (),
    where: str = "",
    file_kind: str = "",
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The columns *wanted* of the files of *nights*, each (kind, date), in order; with their names.

    Without them: those of *preferred* that are there; without these, all. *where* is an expression
    of SQL. UsageError: there is no such column, or SQLite does not understand *where*.
    """
    known = columns(book)
    names = [_known(name, known) for name in wanted]
    names = names or [name for name in preferred if name in known] or known
    chosen = list(nights)
    query = (
        f"select {', '.join(map(_quoted, names))} from header where (night_kind, night_date)"  # noqa: S608
        f" in (values {', '.join(['(?, ?)'] * len(chosen))})"
        f" and (file_kind = ? or ? = '') and ({where or 'true'})"
        " order by night_date, night_kind, file_kind desc, file_path"
    )
    values = [word for night in chosen for word in night]
    try:
        rows = book.execute(query, [*values, file_kind, file_kind]).fetchall()
    except sqlite3.Error as error:
        msg = (
            f"--where {where!r}: {error}; a card is named in double quotes,"
            " a text stands in single ones: \"RET-ANG1\" > 3 and OBJECT = 'M 31'"
        )
        raise UsageError(msg) from error
    return names, [tuple(row) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    make_private_file(path)
    book = sqlite3.connect(path, timeout=30)
    book.execute("pragma journal_mode = wal")
    book.execute(f"pragma journal_size_limit = {FOLD_BYTES}")
    book.execute(_MAKE)
    return book


def _store(book: sqlite3.Connection, night: Night, file: HeaderFile, cards: Cards) -> None:
    values: dict[str, Any] = {
        "night_kind": night.kind,
        "night_date": night.date,
        "file_path": file.path,
        "file_kind": file.kind,
    }
    known = {name.upper(): name for name in columns(book)}
    for keyword, value in _folded(cards).items():
        if keyword not in known and len(known) < _MOST_COLUMNS:
            book.execute(f"alter table header add column {_quoted(keyword)}")
            known[keyword] = keyword
        if keyword in known:
            values[known[keyword]] = _held(value)
    names = ", ".join(map(_quoted, values))
    places = ", ".join(["?"] * len(values))
    book.execute(
        f"insert or replace into header ({names}) values ({places})",  # noqa: S608
        list(values.values()),
    )


def _try(book: sqlite3.Connection, night: Night, file: HeaderFile, cards: Cards) -> str | None:
    """Keep one file's header; return why it cannot be kept. sqlite3.Error: the table is at fault.

    One header that no table can hold must not keep those of all others away.
    """
    book.execute("savepoint file")
    try:
        _store(book, night, file, cards)
    except (ValueError, OverflowError) as error:
        why: str | None = str(error)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) not in _THE_FILE_S:
            raise
        why = str(error)
    else:
        why = None
    if why is not None:
        book.execute("rollback to file")
    book.execute("release file")
    return why


def _folded(cards: Mapping[str, CardValue]) -> dict[str, CardValue]:
    """The values by their column: SQLite takes `object` and `OBJECT` for the same.

    The standard knows capitals alone, so of twins they count; else the first.
    """
    folded = {keyword: value for keyword, value in cards.items() if keyword == keyword.upper()}
    for keyword, value in cards.items():
        folded.setdefault(keyword.upper(), value)
    return folded


def _held(value: CardValue) -> CardValue:
    """*value* as SQLite holds it; a whole number of more than 64 bits as its digits."""
    if isinstance(value, int) and not -_TWO_TO_63 <= value < _TWO_TO_63:
        return str(value)
    return value


def _forget(book: sqlite3.Connection, night: Night, path: str) -> None:
    book.execute(
        "delete from header where night_kind = ? and night_date = ? and file_path = ?",
        [night.kind, night.date, path],
    )


def _known(name: str, known: Sequence[str]) -> str:
    for column in known:
        if column.lower() == name.lower():
            return column
    import difflib

    near = difflib.get_close_matches(name.upper(), known, n=1)
    msg = f"{name}: no header has such a card{f'; did you mean {near[0]}?' if near else ''}"
    raise UsageError(msg)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
