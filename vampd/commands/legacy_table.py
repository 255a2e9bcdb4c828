"""The nights as the earlier pipeline's tables show them: for eyes, and for its scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import click

from vampd.commands import dates
from vampd.errors import UsageError
from vampd.ledger.reading import reading
from vampd.legacy.status_table import COLUMNS, TableRow, table_rows
from vampd.settings.sections import Config
from vampd.views.summaries import nights

#: What `vampd status --format` takes besides its own screen.
FORMATS = ("table", "csv")


def echo_table(config: Config, texts: tuple[str, ...], kind: str | None, form: str) -> None:
    """Print all nights, or those that *texts* name, as *form* says: one of `FORMATS`.

    UsageError: *form* cannot hold a folder's name.
    """
    with reading(config.state_dir, config.reading_socket) as ledger:
        every = nights(ledger)
        chosen = (
            dates.chosen(every, texts, kind)
            if texts
            else [night for night in every if kind is None or night.kind == kind]
        )
        rows = table_rows(ledger, chosen)
    click.echo(_csv(rows) if form == "csv" else _table(rows), nl=False)


def _csv(rows: Sequence[TableRow]) -> str:
    """As pandas' `to_csv(index=False)` writes it, whose lines awk splits at every comma."""
    for row in rows:
        if any(character in row.folder for character in ',"\n'):
            msg = f"{row.folder!r} holds a comma, a quote or a newline: no such table can hold it"
            raise UsageError(msg)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(row.cells() for row in rows)])
    return text.getvalue()


def _table(rows: Sequence[TableRow]) -> str:
    """Columns side by side, two blanks apart; an unknown time is left blank."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )
