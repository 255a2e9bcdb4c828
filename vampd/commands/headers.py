"""`vampd data headers DATE`: header cards of a night's files as a table, sorted out by SQL."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vampd.commands import dates
from vampd.commands.screen import json_text
from vampd.errors import UsageError
from vampd.ledger import headers
from vampd.ledger.reading import reading, reading_headers
from vampd.views.summaries import nights

#: What is shown to people who do not say which columns they want.
_COLUMNS = (
    "night_date",
    "file_path",
    "DATA-TYP",
    "OBJECT",
    "FILTER01",
    "FILTER02",
    "EXPTIME",
    "U_SYNC",
    "U_FLC",
    "RET-ANG1",
    "UT-STR",
)

_FORMATS = ("table", "csv", "json", "ecsv", "fits")

Rows = Sequence[tuple[Any, ...]]


@click.command("headers")
@click.argument(
    "night_texts", metavar="DATE...", nargs=-1, required=True, shell_complete=dates.complete
)
@dates.kind_option
@click.option(
    "--where", default="", metavar="SQL", help="""E.g. "OBJECT = 'M 31' and EXPTIME > 1"."""
)
@click.option("--columns", metavar="NAME,...", help="These columns only; 'all': every card.")
@click.option("--raw", "only_raw", is_flag=True, help="Only what the cameras wrote.")
@click.option("--outputs", "only_outputs", is_flag=True, help="Only what vampd made.")
@click.option("-o", "--output", "form", type=click.Choice(_FORMATS), default="table")
@click.option("--to", "target", type=click.Path(path_type=Path), help="Write into this new file.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    night_texts: tuple[str, ...],
    kind: str | None,
    where: str,
    columns: str | None,
    only_raw: bool,
    only_outputs: bool,
    form: str,
    target: Path | None,
    as_json: bool,
) -> None:
    """List header cards of raw cubes and outputs, a row for each file.

    The table itself is `headers.sqlite3` beside the ledger; any SQLite tool reads it. Keywords
    are in capitals. In JSON, which has no infinity, such a value is null.
    """
    if only_raw and only_outputs:
        msg = "either --raw or --outputs, not both"
        raise UsageError(msg)
    form = "json" if as_json else form
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.chosen(nights(ledger), night_texts, kind)
    with reading_headers(config.state_dir, config.reading_socket) as book:
        names, rows = headers.select(
            book,
            [(night.kind.value, night.date) for night in chosen],
            wanted=_wanted(columns),
            preferred=_COLUMNS if form == "table" and columns is None else (),
            where=where,
            file_kind="raw" if only_raw else "output" if only_outputs else "",
        )
    _write(_content(form, names, rows), form, target)


def _wanted(columns: str | None) -> list[str]:
    if columns is None or columns == "all":
        return []
    return [name.strip() for name in columns.split(",") if name.strip()]


def _content(form: str, names: list[str], rows: Rows) -> bytes:
    if form == "json":
        files = [dict(zip(names, row, strict=True)) for row in rows]
        return f"{json_text({'columns': names, 'files': files})}\n".encode()
    if form == "csv":
        return _csv(names, rows)
    if form == "table":
        return _table(names, rows)
    return _astropy(form, names, rows)


def _csv(names: list[str], rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def _table(names: list[str], rows: Rows) -> bytes:
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in cells)]) for at, name in enumerate(names)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [names, *cells]
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _astropy(form: str, names: list[str], rows: Rows) -> bytes:
    """As a table of astropy's; a column of mixed kinds becomes one of texts."""
    from astropy.table import MaskedColumn, Table

    table = Table()
    for at, name in enumerate(names):
        values = [row[at] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and kinds:
            as_kind: type = int if kinds == {int} else float
        else:
            as_kind, values = str, [None if value is None else str(value) for value in values]
        filled = [as_kind() if value is None else as_kind(value) for value in values]
        mask = [value is None for value in values]
        table[name] = MaskedColumn(filled, mask=mask, dtype=as_kind if as_kind is not str else None)
    if form == "fits":
        content = io.BytesIO()
        table.write(content, format="fits")
        return content.getvalue()
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue().encode()


def _write(content: bytes, form: str, target: Path | None) -> None:
    if target is not None:
        with target.open("xb") as file:  # never over a file that is there
            file.write(content)
        return
    if form == "fits" and sys.stdout.isatty():
        msg = "a FITS table is nothing for a terminal: add --to FILE, or send it into a pipe"
        raise UsageError(msg)
    click.echo(content, nl=False)
