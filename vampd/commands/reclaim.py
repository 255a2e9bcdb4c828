"""`vampd space reclaim`: what could give its space back, and why the rest may not; begin it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from vampd.commands import acting, dates
from vampd.commands.screen import count_text, echo_json, paragraph, size_text
from vampd.errors import UsageError
from vampd.io.clock import SystemClock
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.views.summaries import nights

if TYPE_CHECKING:  # it takes the whole scheduler
    from vampd.background.reclaim.facts import Proposal


@click.command("reclaim")
@click.argument("date", metavar="[DATE]", required=False)
@dates.kind_option
@acting.dry_run_option
@acting.yes_option
@click.option("--let-go-quarantined", "let_go", is_flag=True, help="Its quarantined files may go.")
@click.option("--why", metavar="TEXT", help="With --let-go-quarantined: the reason.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str | None,
    kind: str | None,
    dry_run: bool,
    yes: bool,
    let_go: bool,
    why: str | None,
    as_json: bool,
) -> None:
    """Begin to give back the space of nights that were delivered long enough ago.

    The daemon has every far copy read through first; files go into a trash on the same disk, and
    a day later out of it. --dry-run lists what may go and why the rest may not. Without DATE all
    nights are meant, and it is refused unless reclaim.enabled.
    """
    if let_go:
        _let_go(context, date, kind, why, dry_run=dry_run, as_json=as_json)
    elif dry_run:
        _list(context, date, kind, as_json=as_json)
    elif date is None:
        _begin_all(context, yes=yes, as_json=as_json)
    else:
        acting.act(context, "reclaim", date, kind, {}, dry_run=False, as_json=as_json, yes=yes)


def _let_go(
    context: click.Context,
    date: str | None,
    kind: str | None,
    why: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    if date is None or not why:
        msg = "--let-go-quarantined needs a DATE and --why TEXT: the ledger keeps the reason"
        raise UsageError(msg)
    acting.act(context, "let_go", date, kind, {"why": why}, dry_run=dry_run, as_json=as_json)


def _begin_all(context: click.Context, *, yes: bool, as_json: bool) -> None:
    def ordered(*, dry_run: bool) -> dict[str, Any]:
        arguments = {"date": None, "kind": None, "dry_run": dry_run}
        return acting.give_order(config, "reclaim_all", arguments)

    config = context.obj.config()
    planned = ordered(dry_run=True)
    if planned["changed"]:
        acting.confirm(["vampd space reclaim would begin this:", *planned["lines"]], yes=yes)
        planned = ordered(dry_run=False)
    if as_json:
        echo_json({**planned, **acting.daemon_json(config)})
        return
    for line in planned["lines"]:
        click.echo(line)
    if planned["changed"]:
        acting.tell_of_no_daemon(config)


def _list(context: click.Context, date: str | None, kind: str | None, *, as_json: bool) -> None:
    # Late: to decide takes the whole scheduler; --help does not.
    from vampd.background.reclaim.facts import proposals

    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as connection:
        every = nights(connection)
        meant = every if date is None else dates.to_read(every, date, kind)
        ledger = Ledger(connection, SystemClock())
        found = [
            (night, proposals(ledger, config, get_night(ledger, night.id)))
            for night in meant
            if kind is None or night.kind == kind
        ]
    if as_json:
        told = [_as_json(night, every) for night, every in found]
        echo_json({"enabled": config.reclaim.enabled, "nights": told})
        return
    _show(found, enabled=config.reclaim.enabled)


def _as_json(night: Night, every: Sequence[Proposal]) -> dict[str, Any]:
    from vampd.background.reclaim.outcome import what_is_done

    return {
        "kind": night.kind,
        "date": night.date,
        "status": night.status,
        "spaces": [
            {
                "space": each.facts.space,
                "final": each.facts.final,
                "what": what_is_done(each.facts.space, final=each.facts.final),
                "files": each.facts.files,
                "size_bytes": each.facts.size_bytes,
                "may_go": not each.refusals,
                "refusals": list(each.refusals),
            }
            for each in every
        ],
    }


def _show(found: Sequence[tuple[Night, Sequence[Proposal]]], *, enabled: bool) -> None:
    from vampd.background.reclaim.outcome import what_is_done

    total = 0
    for night, each in [(night, each) for night, every in found for each in every]:
        facts = each.facts
        size = f"{count_text(facts.files, 'file')}, {size_text(facts.size_bytes)}"
        click.echo(f"{night}: {what_is_done(facts.space, final=facts.final)}: {size}")
        if not each.refusals:
            total += facts.size_bytes
            click.echo("  may go, once every far copy is verified afresh")
        for refusal in each.refusals:
            click.echo(paragraph("  not yet: ", refusal))
    by = "by itself" if enabled else "only when asked (reclaim.enabled is false)"
    click.echo(f"{size_text(total)} may go now, {by}")
