"""Read the earlier pipeline's tables: text in, rows and complaints out.

`ARCHIVE_LOG.csv` and `PROCESSING_LOG.csv` say what was done with a night, and
`MARKED_FOR_DELETION.csv` what is to go and when. pandas, awk and editors wrote to them in
turn: an index column, `nan` for nothing, True without a time, lines that end in CR, a header
in the middle, a night twice, cells that are missing at a line's end. Their form is that of the
public repository scexao-org/scxkw (tools/vampires_processing, scripts/scxkw-vamp-*).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from msgspec import Struct

from vampd.watch.naming import night_date

#: The tables by name, and where more than one name was in use, all of them.
STATUS_TABLES = ("ARCHIVE_LOG.csv", "PROCESSING_LOG.csv", "PROCESS_LOG.csv")
DELETION_TABLE = "MARKED_FOR_DELETION.csv"

_FOLDER = "scexao5_path"
_DELETE_AFTER = "delete_after"
_MARKS = {
    "processed": "processed_timestamp",
    "transferred_to_scexao6": "transferred_timestamp",
    "safe_on_scexao6": "safe_timestamp",
}
_NOTHING = frozenset({"", "nan", "nat", "none", "null", "<na>"})
_YES = frozenset({"true", "1", "1.0", "yes"})
_NO = frozenset({"false", "0", "0.0", "no"})


class Said(Struct, frozen=True, kw_only=True):
    """What a table says of one step. *done* is None where its cell says neither yes nor no."""

    done: bool | None
    at: str  #: as written: some of these times are UTC, some the host's; '' where there is none


class StatusRow(Struct, frozen=True, kw_only=True):
    """One night of a status table."""

    source: str
    line: int
    folder: str
    processed: Said
    transferred: Said
    safe: Said


class DeletionRow(Struct, frozen=True, kw_only=True):
    """A folder that the earlier pipeline was going to delete."""

    source: str
    line: int
    folder: str
    delete_after: str


class Table(Struct, frozen=True, kw_only=True):
    """What one table says, and what is wrong with it."""

    rows: tuple[StatusRow, ...] = ()
    deletions: tuple[DeletionRow, ...] = ()
    problems: tuple[str, ...] = ()


def parse_table(text: str, source: str) -> Table:
    """Read the text of one table; *source* names it in every complaint.

    Never raises for what is in it: a line that makes no sense is a problem, and the others
    count. Of lines about the same folder the last one counts, as in the scripts that update
    in place, and a difference between them is a problem.
    """
    lines = csv.reader(text.removeprefix("\ufeff").splitlines())
    header = [name.strip() for name in next(lines, [])]
    if _FOLDER not in header or not ({*_MARKS} <= {*header} or _DELETE_AFTER in header):
        problem = f"{source}: not such a table: its first line is {','.join(header)!r}"
        return Table(problems=(problem,))
    problems: list[str] = []
    status: dict[str, StatusRow] = {}
    deletions: dict[str, DeletionRow] = {}
    for line, cells in _cells(lines, header):
        where = f"{source}, line {line}"
        folder = cells.get(_FOLDER, "")
        if not folder.startswith("/"):
            problems.append(f"{where}: {folder!r} is no folder's path")
        elif _DELETE_AFTER in header:
            deletions[folder] = DeletionRow(
                source=source, line=line, folder=folder, delete_after=cells.get(_DELETE_AFTER, "")
            )
        else:
            row = _status_row(cells, source, line, folder)
            problems += _complaints(row, status.get(folder), cells.get("utc_date", ""), where)
            status[folder] = row
    return Table(
        rows=tuple(status.values()), deletions=tuple(deletions.values()), problems=tuple(problems)
    )


def _cells(lines: Iterator[list[str]], header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Every line that has cells, with its number; a header that stands there again is left out."""
    for line, cells in enumerate(lines, start=2):
        stripped = [cell.strip() for cell in cells]
        if any(stripped) and stripped != header:
            yield line, dict(zip(header, map(_text, stripped), strict=False))


def _text(cell: str) -> str:
    return "" if cell.lower() in _NOTHING else cell


def _status_row(cells: Mapping[str, str], source: str, line: int, folder: str) -> StatusRow:
    said = [
        Said(done=_yes_or_no(cells.get(mark, "")), at=cells.get(at, ""))
        for mark, at in _MARKS.items()
    ]
    return StatusRow(
        source=source,
        line=line,
        folder=folder.rstrip("/"),
        processed=said[0],
        transferred=said[1],
        safe=said[2],
    )


def _yes_or_no(cell: str) -> bool | None:
    if cell.lower() in _YES:
        return True
    return False if cell.lower() in _NO else None


def _complaints(
    row: StatusRow, before: StatusRow | None, utc_date: str, where: str
) -> Iterator[str]:
    name = PurePath(row.folder).name
    if night_date(name) is None:
        yield f"{where}: {row.folder} is no night's folder"
    elif utc_date and utc_date.replace("-", "") != name:
        yield f"{where}: utc_date is {utc_date}, but the folder is {name}"
    said = {"processed": row.processed, "transferred": row.transferred, "safe": row.safe}
    for word, mark in said.items():
        if mark.done is None:
            yield f"{where}: neither True nor False for {word}"
    if row.safe.done and not row.transferred.done:
        yield f"{where}: safe, but never transferred"
    if row.transferred.done and not row.processed.done:
        yield f"{where}: transferred, but never processed"
    if before is not None and (before.processed, before.transferred, before.safe) != (
        row.processed,
        row.transferred,
        row.safe,
    ):
        yield f"{where}: {row.folder} stood in line {before.line} already, and otherwise"
