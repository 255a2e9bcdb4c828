"""`vampd receive retry DATE`: read again what was wrong."""

from __future__ import annotations

import click

from vampd.commands.acting import actor
from vampd.commands.receive.site import config_of, date_argument, night_of, reading
from vampd.commands.screen import echo_json, paragraph


@click.command("retry")
@date_argument
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, date: str, kind: str | None, as_json: bool) -> None:
    """Read again the files of a night that were wrong, odd or in the way, and go on at once.

    What is missing is looked for where it belongs, too, and steps that failed are begun again.
    """
    from vampd.receive.orders import act

    config = config_of(context)
    with reading(config) as ledger:
        night = night_of(ledger, date, kind)
    named = {"kind": night.kind, "date": night.date}
    answer = act(config, "retry", named, actor=actor())
    if as_json:
        echo_json({**named, **answer})
        return
    click.echo(f"{night.kind} {night.date}:")
    for line in answer["lines"]:
        click.echo(paragraph("  ", line))
