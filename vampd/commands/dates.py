"""Which nights an operator's DATE means: a date, a range, a folder, `today`, or `last`."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from vampd.errors import OperatorError, UsageError, VampdError
from vampd.io.clock import SystemClock
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.settings.load import find, load
from vampd.states import Kind
from vampd.views.summaries import nights

_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")
_RANGE_SIGN = ".."
_DAYS_AGO = {"today": 0, "yesterday": 1}

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Asked(Struct, frozen=True, kw_only=True):
    """What one DATE asks for: the dates *first* to *last*, or the night in *folder*."""

    text: str
    first: str = ""
    last: str = ""
    folder: Path | None = None
    newest: bool = False


def day(days_ago: int) -> str:
    """The UTC date of so many days ago, as nights are called: the dates of all nights are UTC."""
    now_us = SystemClock().now_us()
    return f"{datetime.fromtimestamp(now_us // 1_000_000, UTC) - timedelta(days=days_ago):%Y%m%d}"


def date_argument(command: _Command) -> _Command:
    """Give a command its DATE and its --kind."""
    argument = click.argument("date", metavar="DATE", shell_complete=complete)
    return kind_option(argument(command))


def kind_option(command: _Command) -> _Command:
    """Give a command its --kind."""
    return click.option(
        "--kind",
        type=click.Choice([kind.value for kind in Kind]),
        help="Where a date has a night of each kind.",
    )(command)


def complete(
    context: click.Context,
    parameter: click.Parameter,  # noqa: ARG001 - click's signature
    incomplete: str,
) -> list[CompletionItem[str]]:
    """What a shell may offer for a DATE that begins with *incomplete*: the ledger's nights.

    The newest first. Without settings or a ledger there is nothing to offer, and nothing is said:
    this runs in the middle of somebody's command line.
    """
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="dir")]
    try:
        config = load(find(context.find_root().params.get("config_path")))
        with reading(config.state_dir, config.reading_socket) as ledger:
            every = nights(ledger)
    except (VampdError, OSError, sqlite3.Error):
        return []
    return [CompletionItem(text, help=said) for text, said in offers(every, incomplete)]


def offers(every: Sequence[Night], incomplete: str) -> list[tuple[str, str]]:
    """The DATEs of *every* night that begin with *incomplete*, and what they are."""
    first, sign, begun = incomplete.partition(_RANGE_SIGN)
    dashed = "-" in begun if sign else "-" in first
    said: dict[str, str] = {} if sign else {"last": "the newest"}
    if not sign:
        said |= {"today": "the present UTC date", "yesterday": "the UTC date before"}
    for night in reversed(every):
        date = "-".join((night.date[:4], night.date[4:6], night.date[6:])) if dashed else night.date
        text = f"{first}{sign}{date}" if sign else date
        if sign and night.date < first.replace("-", ""):
            continue
        what = f"{night.kind} {night.status}"
        said[text] = f"{said[text]}, {what}" if text in said else what
    return [(text, what) for text, what in said.items() if text.startswith(incomplete)]


def parse(text: str) -> Asked:
    """Read one DATE. UsageError: it is none."""
    if text == "last":
        return Asked(text=text, newest=True)
    if text in _DAYS_AGO:
        date = day(_DAYS_AGO[text])
        return Asked(text=f"{text} ({date})", first=date, last=date)
    if "/" in text:
        return Asked(text=text, folder=Path(text).resolve())
    first, sign, last = text.partition(_RANGE_SIGN)
    asked = Asked(text=text, first=_date(first, text), last=_date(last if sign else first, text))
    if asked.first > asked.last:
        msg = f"{text} is an empty range: the earlier date comes first"
        raise UsageError(msg)
    return asked


def to_read(every: Sequence[Night], text: str, kind: str | None) -> list[Night]:
    """The nights that one DATE means for a command that only reads: both kinds of a date.

    OperatorError: the ledger knows no such night.
    """
    return chosen(every, [text], kind)


def resolve(every: Sequence[Night], text: str, kind: str | None) -> list[Night]:
    """The nights of *every* that one DATE means, one of each date, the oldest first.

    UsageError: *text* is no DATE, or a date has a night of each kind and *kind* does not say
    which. OperatorError: the ledger knows no such night.
    """
    found = chosen(every, [text], kind)
    dates = [night.date for night in found]
    for night in found:
        if dates.count(night.date) > 1:
            msg = f"{night.date} is two nights: add --kind archive or --kind engineering"
            raise UsageError(msg)
    return found


def chosen(every: Sequence[Night], texts: Sequence[str], kind: str | None) -> list[Night]:
    """The nights of *every* that any of *texts* means, of either kind unless *kind* is given.

    OperatorError: the ledger knows no such night.
    """
    of_kind = [night for night in every if kind is None or night.kind == kind]
    found: dict[int, Night] = {}
    for text in texts:
        asked = parse(text)
        meant = _meant(of_kind, asked)
        if not meant:
            raise OperatorError(_unknown(every, asked.text, kind))
        found |= {night.id: night for night in meant}
    return [night for night in every if night.id in found]


def _meant(nights: Sequence[Night], asked: Asked) -> list[Night]:
    if asked.newest:
        newest = max((night.date for night in nights), default="")
        return [night for night in nights if night.date == newest]
    if asked.folder is not None:
        return [night for night in nights if Path(night.folder).resolve() == asked.folder]
    return [night for night in nights if asked.first <= night.date <= asked.last]


def _unknown(every: Sequence[Night], text: str, kind: str | None) -> str:
    what = f"{kind} night" if kind else "night"
    if not every:
        return f"{text}: the ledger knows no night yet"
    newest = every[-1]
    return f"{text}: the ledger knows no such {what}; its newest is {newest}"


def _date(text: str, whole: str) -> str:
    match = _DATE.fullmatch(text)
    if match is None:
        msg = (
            f"{whole!r} is no date: write 20251106, 2025-11-06, 20251101..20251106, "
            "a night's folder, today, yesterday, or last"
        )
        raise UsageError(msg)
    return "".join(match.groups())
