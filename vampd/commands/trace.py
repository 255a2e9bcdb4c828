"""`vampd data trace NAME[:FRAME]`: from an output's frame to the raw one that it is, and back."""

from __future__ import annotations

import click

from vampd.commands import dates
from vampd.commands.screen import Screen, echo_json
from vampd.commands.trace_screen import lines, trace_json
from vampd.commands.tracer import Tracer
from vampd.ledger.reading import reading
from vampd.views.summaries import nights


@click.command("trace")
@click.argument("name", metavar="NAME[:FRAME]")
@click.argument("date", metavar="[DATE]", required=False, shell_complete=dates.complete)
@dates.kind_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, name: str, date: str | None, kind: str | None, as_json: bool
) -> None:
    """Follow a frame from an output to its raw file, or from a raw file to its output.

    NAME is a frame ID (VMPA00425189), an output (vsync_05:11:38.080947.cam1.A) or a raw cube
    (vcam1_05:11:38.080947000), with or without folder and ending. FRAME counts from 0, as the first
    column of timing files does. DATE where a name is in several nights. Reads the ledger alone.
    """
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        every = nights(ledger)
        chosen = [night for night in every if kind is None or night.kind == kind]
        if date is not None:
            chosen = dates.chosen(every, [date], kind)
        found = Tracer(ledger, config, every).trace(name, chosen)
    if as_json:
        echo_json(trace_json(found))
        return
    for line in lines(found, Screen.of_stdout()):
        click.echo(line)
