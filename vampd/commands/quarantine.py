"""`vampd quarantine DATE`: the bad files of a night, and what an operator decides about them."""

from __future__ import annotations

import sys
from typing import Any

import click

from vampd.commands import acting, dates
from vampd.commands.screen import cause_json, count_text, echo_json, paragraph, size_text
from vampd.errors import UsageError
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.states import FileState
from vampd.views import details
from vampd.views.details import RawRow
from vampd.views.summaries import nights


@click.command("quarantine")
@dates.date_argument
@click.argument("path", metavar="[FILE]", required=False)
@click.option("--add", is_flag=True, help="Quarantine FILE; needs --why.")
@click.option("--accept", is_flag=True, help="Take FILE out of quarantine: it is judged anew.")
@click.option(
    "--give-up",
    "give_up",
    is_flag=True,
    help="Let a planned night go on without FILE, which is changed, gone or cannot be read.",
)
@click.option(
    "--seen",
    is_flag=True,
    help="Say that FILE, or all of them, were looked at: they are told no more; needs --why.",
)
@click.option(
    "--clock",
    type=click.Choice(["utc", "tai"]),
    help="With --accept: the clock of FILE's logger, where nothing proves it; needs --why.",
)
@click.option("--why", metavar="TEXT", help="The reason, for the ledger.")
@acting.yes_option
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    path: str | None,
    add: bool,
    accept: bool,
    give_up: bool,
    seen: bool,
    clock: str | None,
    why: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """List the quarantined files of a night, each with its reason; or decide about one.

    FILE is a path relative to the night, as the list gives it. Quarantined files are never
    processed and never deleted.

    --clock is for a cube that has no acquisition times, and of whose logger nothing tells whether
    its clock was UTC or TAI (37 s ahead). Where something proves the clock, another is refused.

    --give-up is for a night that is held because of FILE. Its frames count as rejected; what was
    built of them is set aside in the night's .vampd/given_up; frames of other cubes in the same
    outputs are planned anew, and all other outputs stay, with their frame IDs. On a terminal it is
    asked for.
    """
    asked = {"add": add, "accept": accept, "give up": give_up, "seen": seen}
    action = _action([name for name, is_asked in asked.items() if is_asked])
    if action is None:
        _list(context, date, kind, path, as_json=as_json)
        return
    _check(action, path=path, clock=clock, why=why)
    acting.act(
        context,
        "quarantine",
        date,
        kind,
        {"path": path or "", "action": action, "why": why, "clock": clock},
        dry_run=dry_run,
        as_json=as_json,
        # Nothing is deleted: where nobody can be asked, the order and its reason are enough.
        yes=yes or not (give_up and sys.stdin.isatty()),
    )


def _action(asked: list[str]) -> str | None:
    """What is to be done, if anything. UsageError: several things at once."""
    if len(asked) > 1:
        msg = "one of --add, --accept, --give-up and --seen, not several"
        raise UsageError(msg)
    return asked[0] if asked else None


def _check(action: str, *, path: str | None, clock: str | None, why: str | None) -> None:
    """UsageError: something is missing that *action* needs, or is there that it does not take."""
    if path is None and action != "seen":
        msg = "which FILE? vampd quarantine DATE lists those that are quarantined"
        raise UsageError(msg)
    if clock is not None and not (action == "accept" and why):
        msg = "--clock goes with --accept, and needs --why TEXT: the ledger keeps the reason"
        raise UsageError(msg)
    if action != "accept" and not why:
        msg = f"--{action.replace(' ', '-')} needs --why TEXT: the ledger keeps the reason"
        raise UsageError(msg)


def _list(
    context: click.Context, date: str, kind: str | None, path: str | None, *, as_json: bool
) -> None:
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        found = {
            night: [
                row
                for row in details.raw_files(ledger, night)
                if row.state is FileState.QUARANTINED and path in {None, row.path}
            ]
            for night in dates.to_read(nights(ledger), date, kind)
        }
    if as_json:
        echo_json({"nights": [_as_json(night, rows) for night, rows in found.items()]})
        return
    for night, rows in found.items():
        shown = details.without_twins(rows)
        beside = len(rows) - len(shown)
        twins = f", and {count_text(beside, 'timing file')} with them" if beside else ""
        click.echo(f"{night}: {count_text(len(shown), 'quarantined file')}{twins}")
        for row in shown:
            frames = f", {count_text(row.frames, 'frame')}" if row.frames is not None else ""
            click.echo(f"  {row.path}  ({size_text(row.size_bytes)}{frames})")
            click.echo(paragraph("    ", row.reason or "no reason was recorded"))
            if row.cause is not None and (seen := row.cause.words.get("seen")):
                click.echo(paragraph("    ", f"looked at, {seen}"))


def _as_json(night: Night, rows: list[RawRow]) -> dict[str, Any]:
    return {
        "kind": night.kind,
        "date": night.date,
        "folder": night.folder,
        "files": [
            {
                "path": row.path,
                "role": row.role,
                "size_bytes": row.size_bytes,
                "frames": row.frames,
                "reason": row.reason,
                **cause_json(row.cause),
                "seen": None if row.cause is None else row.cause.words.get("seen"),
                "by": row.changed_by,
            }
            for row in rows
        ],
    }
