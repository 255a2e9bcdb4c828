"""`vampd receive check`: a plug-in for Nagios and Icinga."""

from __future__ import annotations

import click

from vampd.commands.receive.site import config_of, reading
from vampd.commands.screen import echo_json, record_json
from vampd.errors import VampdError
from vampd.io.clock import SystemClock
from vampd.receive.views import Limits, conditions, nights
from vampd.states import Severity

_TOLD = 3


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Print one line, and exit with 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN."""
    try:
        config = config_of(context)
        with reading(config) as ledger:
            found = conditions(ledger, Limits.of(config), SystemClock().now_us())
            every = nights(ledger)
    except VampdError as error:
        click.echo(f"VAMPD RECEIVE UNKNOWN - {' '.join(str(error).split())}")
        context.exit(3)
    code = max((2 if each.severity == Severity.CRITICAL else 1 for each in found), default=0)
    word = ("OK", "WARNING", "CRITICAL")[code]
    told = [" ".join(each.text.replace("|", "/").split()) for each in found[:_TOLD]]
    more = [f"and {len(found) - _TOLD} more"] if len(found) > _TOLD else []
    summary = "; ".join([*told, *more]) or "all is well"
    if as_json:
        rows = [record_json(each, "name", "severity", "text", "since_us") for each in found]
        echo_json({"status": word, "code": code, "summary": summary, "conditions": rows})
    else:
        held = sum(night.state == "held" for night in every)
        click.echo(
            f"VAMPD RECEIVE {word} - {summary} | 'nights'={len(every)};;;0 'held'={held};;;0"
        )
    context.exit(code)
