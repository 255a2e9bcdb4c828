"""What the receiver's commands share: its settings, its ledger, which nights a DATE means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from vampd.errors import OperatorError, UsageError
from vampd.ledger.connection import ledger_path
from vampd.ledger.reading import Reader, opened
from vampd.ledger.rows import fetch_all
from vampd.receive.records import NightRow
from vampd.receive.settings import ReceiveConfig, find, load

_Command = TypeVar("_Command", bound=Callable[..., Any])
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")


def config_path(context: click.Context) -> Path:
    """Which settings are meant: --config, $VAMPD_RECEIVE_CONFIG, or the system's."""
    return find(context.obj.explicit)


def config_of(context: click.Context) -> ReceiveConfig:
    """The settings. ConfigError: they cannot be used."""
    return load(config_path(context))


@contextmanager
def reading(config: ReceiveConfig) -> Iterator[Reader]:
    """The receiver's ledger, at one moment. OperatorError: there is none, or it is closed to us."""
    try:
        is_there = ledger_path(config.state_dir).exists()
    except PermissionError:
        is_there = True
    if not is_there:
        msg = f"{config.state_dir}: no ledger yet; `vampd receive run` makes it at its first start"
        raise OperatorError(msg)
    with opened(ledger_path(config.state_dir)) as ledger:
        yield ledger


def date_argument(command: _Command) -> _Command:
    """Give a command its DATE and --kind."""
    kind = click.option(
        "--kind",
        type=click.Choice(["archive", "engineering"]),
        help="Where a date has nights of both.",
    )
    return click.argument("date", metavar="DATE")(kind(command))


def night_of(ledger: Reader, date: str, kind: str | None) -> NightRow:
    """The night that DATE, `last` or YYYYMMDD, means. UsageError: none, or more than one."""
    wanted = _DATE.fullmatch(date)
    if date != "last" and wanted is None:
        msg = f"{date!r} is no date: YYYYMMDD, or last"
        raise UsageError(msg)
    rows = [
        row
        for row in fetch_all(NightRow, ledger, "select * from night order by date desc, kind")
        if kind in {None, row.kind}
    ]
    if date == "last":
        rows = rows[:1]
    elif wanted is not None:
        rows = [row for row in rows if row.date == "".join(wanted.groups())]
    if not rows:
        msg = f"no night of {date} ever came"
        raise UsageError(msg)
    if len(rows) > 1:
        msg = f"{date} has nights of both kinds: add --kind archive or --kind engineering"
        raise UsageError(msg)
    return rows[0]
