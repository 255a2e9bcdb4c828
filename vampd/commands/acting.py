"""What the verbs that change a night share: through the daemon, or instead of it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from vampd.commands import dates
from vampd.commands.screen import echo_json
from vampd.ledger.reading import reading
from vampd.ledger.summaries import nights

_Command = TypeVar("_Command", bound=Callable[..., Any])


def dry_run_option(command: _Command) -> _Command:
    """Give a command its --dry-run."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")(
        command
    )


def options(command: _Command) -> _Command:
    """Give a verb its DATE, --kind, --dry-run and --json."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    return dates.date_argument(dry_run_option(as_json(command)))


def act(
    context: click.Context,
    order: str,
    date: str,
    kind: str | None,
    arguments: Mapping[str, Any],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give *order* for each night that *date* means, and print what was done.

    Raises the error of the first night that refuses; what was done before it is printed.
    """
    # Late: --help needs nothing of the daemon's.
    from vampd.schedule import control

    config = context.obj.config()
    with reading(config.state_dir) as ledger:
        chosen = dates.resolve(nights(ledger), date, kind)
    answers = []
    for night in chosen:
        if not as_json:
            click.echo(f"{night}, {night.folder}{' (dry run)' if dry_run else ''}:")
        named = {"kind": night.kind.value, "date": night.date, "dry_run": dry_run}
        answer = control.act(config, order, {**named, **arguments}, actor=actor())
        if as_json:
            answers.append({**named, "changed": answer["changed"], "lines": answer["lines"]})
            continue
        for line in answer["lines"]:
            click.echo(f"  {line}")
    if as_json:
        echo_json({"nights": answers})


def actor() -> str:
    """Who types: what the ledger writes behind a change."""
    uid = os.getuid()
    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"
