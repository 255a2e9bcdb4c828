"""What the verbs that change a night share: through the daemon, or instead of it."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from vampd.commands import dates
from vampd.commands.names import MOVED
from vampd.commands.screen import echo_json, paragraph
from vampd.errors import OperatorError, UsageError
from vampd.ledger.reading import daemon_lock, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.summaries import nights

_NO_DAEMON = (
    "the daemon is not running: this is on record, and nothing more happens until it runs"
    " (systemctl start vampd)"
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def dry_run_option(command: _Command) -> _Command:
    """Give a command its --dry-run."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")(
        command
    )


def yes_option(command: _Command) -> _Command:
    """Give a command that destroys something its --yes."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask whether it may be done.")(
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
    yes: bool = True,
) -> None:
    """Give *order* for each night that *date* means, and print what was done.

    Unless *yes*, what would be done to all of them is named first, and asked for once. Raises the
    error of the first night that refuses; what was done before it is printed.
    """
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.resolve(nights(ledger), date, kind)

    def give(night: Night, *, dry_run: bool) -> dict[str, Any]:
        named = {"kind": night.kind.value, "date": night.date, "dry_run": dry_run}
        return {**named, **give_order(config, order, {**named, **arguments})}

    if not (yes or dry_run):
        confirm(_losses(order, {night: give(night, dry_run=True) for night in chosen}), yes=False)
    answers = []
    for night in chosen:
        if not as_json:
            click.echo(f"{_title(night)}{' (dry run)' if dry_run else ''}:")
        answers.append(give(night, dry_run=dry_run))
        for line in [] if as_json else answers[-1]["lines"]:
            click.echo(paragraph("  ", line))
    if as_json:
        echo_json({"nights": answers, **daemon_json(config)})
    elif not dry_run and any(answer["changed"] for answer in answers):
        tell_of_no_daemon(config)


def give_order(config: Config, order: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Have *order* carried out in the name of whoever types: every command gives its orders so.

    Returns ``{"lines": [sentence, ...], "changed": bool}``. OperatorError: it was refused. Whoever
    shows the answer says by `tell_of_no_daemon` or `daemon_json` that nobody works by it yet.
    """
    # Late: --help needs nothing of the daemon's.
    from vampd.orders import socket as control_socket

    return control_socket.act(config, order, dict(arguments), actor=actor())


def tell_of_no_daemon(config: Config) -> None:
    """On standard error: what was ordered stands in the ledger, and nobody works by it now."""
    if (text := no_daemon_text(config)) is not None:
        click.echo(f"vampd: {text}", err=True)


def no_daemon_text(config: Config) -> str | None:
    """That nobody works by an order that was given; None: the daemon does."""
    runs = daemon_lock(config.state_dir, config.reading_socket) is not None
    return None if runs else _NO_DAEMON


def daemon_json(config: Config) -> dict[str, bool]:
    """For programs: whether anybody works by what was ordered, or it only stands in the ledger."""
    return {"daemon_runs": daemon_lock(config.state_dir, config.reading_socket) is not None}


def _title(night: Night) -> str:
    return f"{night}, {night.folder}"


def _losses(order: str, planned: Mapping[Night, Mapping[str, Any]]) -> list[str]:
    """What *order* would do to each night that it would change."""
    lines = [
        line
        for night, answer in planned.items()
        if answer["changed"]
        for line in (f"{_title(night)}:", *(f"  {each}" for each in answer["lines"]))
    ]
    name = " ".join(MOVED.get(order, (order,)))
    return [f"vampd {name} would do this to", *lines] if lines else []


def confirm(lines: Sequence[str], *, yes: bool) -> None:
    """Go on if *yes*, or if whoever sits at the terminal agrees to *lines*, which name what dies.

    Without lines nothing dies, and nobody is asked.
    What is asked goes to standard error: standard output stays for the answer.
    UsageError: nobody can be asked, for standard input is no terminal. OperatorError: the answer
    was no; nothing was done.
    """
    if yes or not lines:
        return
    for line in lines:
        click.echo(line, err=True)
    if not sys.stdin.isatty():
        msg = "nothing was done: nobody is there to ask whether it may be; add -y to say so at once"
        raise UsageError(msg)
    if not click.confirm("May it be done?", default=False, err=True):
        msg = "nothing was done: the answer was no"
        raise OperatorError(msg)


def actor() -> str:
    """Who types: what the ledger writes behind a change."""
    uid = os.getuid()
    try:
        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"uid {uid}"
