"""`vampd receive log [DATE]`: what happened, when, by whom, and why."""

from __future__ import annotations

import click

from vampd.commands.receive.site import config_of, night_of, reading
from vampd.commands.screen import echo_json, record_json, time_text
from vampd.ledger.rows import Record, fetch_all


class EventRow(Record, frozen=True, kw_only=True):
    """What happened."""

    at_us: int
    kind: str
    date: str
    subject: str
    about: str
    was: str | None
    became: str
    actor: str
    why: str | None
    version: str


@click.command("log")
@click.argument("date", metavar="[DATE]", required=False)
@click.option(
    "--kind", type=click.Choice(["archive", "engineering"]), help="Where a date has nights of both."
)
@click.option("--last", type=click.IntRange(1), default=200, help="So many at most, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, date: str | None, kind: str | None, last: int, as_json: bool
) -> None:
    """Print the ledger's events, of one night or of all, the oldest first."""
    config = config_of(context)
    with reading(config) as ledger:
        number = None if date is None else night_of(ledger, date, kind).id
        rows = fetch_all(
            EventRow,
            ledger,
            "select event.*, night.kind, night.date from event join night on night.id = event.night"
            " where :night is null or event.night = :night order by event.id desc limit :most",
            {"night": number, "most": last},
        )[::-1]
    if as_json:
        echo_json({"events": [record_json(row) for row in rows]})
        return
    for row in rows:
        about = f" {row.about}" if row.about else ""
        was = f"{row.was} -> " if row.was else ""
        why = f": {row.why}" if row.why else ""
        click.echo(
            f"{time_text(row.at_us)[:22]}  {row.kind} {row.date}"
            f" {row.subject}{about}: {was}{row.became} ({row.actor}){why}"
        )
