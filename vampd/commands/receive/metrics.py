"""`vampd receive metrics`: the receiver's ledger in numbers, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from vampd.commands.metrics import replace_file
from vampd.commands.receive.site import config_of, reading
from vampd.io.clock import SystemClock
from vampd.receive.states import FileState, NightState, StepState
from vampd.receive.views import Limits, ReceivedNight, conditions, nights
from vampd.states import Severity


@click.command("metrics")
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them there, whole or not at all, for node_exporter's textfile collector.",
)
@click.pass_context
def command(context: click.Context, *, textfile: Path | None) -> None:
    """Print metrics in Prometheus' text format, read from the ledger, receiver or not."""
    config = config_of(context)
    with reading(config) as ledger:
        told = conditions(ledger, Limits.of(config), SystemClock().now_us())
        lines = list(_lines(nights(ledger)))
    for severity in Severity:
        count = sum(each.severity == severity for each in told)
        lines.append(f'vampd_receive_conditions{{severity="{severity}"}} {count}')
    text = "\n".join([*lines, ""])
    if textfile is None:
        click.echo(text, nl=False)
    else:
        replace_file(textfile, text)


def _lines(every: Sequence[ReceivedNight]) -> Iterator[str]:
    yield "# HELP vampd_receive_nights Delivered nights, by state."
    yield "# TYPE vampd_receive_nights gauge"
    for night_state in NightState:
        count = sum(night.state is night_state for night in every)
        yield f'vampd_receive_nights{{state="{night_state}"}} {count}'
    yield "# HELP vampd_receive_files Files of delivered nights, by state."
    yield "# TYPE vampd_receive_files gauge"
    for state in FileState:
        count = sum(night.counts.get(state, 0) for night in every)
        yield f'vampd_receive_files{{state="{state}"}} {count}'
    yield "# HELP vampd_receive_placed_bytes Bytes that lie where they belong."
    yield "# TYPE vampd_receive_placed_bytes gauge"
    yield f"vampd_receive_placed_bytes {sum(night.placed_bytes for night in every)}"
    yield "# HELP vampd_receive_steps Steps of the reduction, by state."
    yield "# TYPE vampd_receive_steps gauge"
    for step in StepState:
        count = sum(night.steps.get(step, 0) for night in every)
        yield f'vampd_receive_steps{{state="{step}"}} {count}'
    yield "# HELP vampd_receive_conditions What somebody should know, by severity."
    yield "# TYPE vampd_receive_conditions gauge"
