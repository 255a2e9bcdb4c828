"""`vampd admin metrics`: the ledger in numbers, for Prometheus."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vampd import __version__
from vampd.io.clock import SystemClock
from vampd.ledger.reading import reading
from vampd.views.metrics import metrics_text


@click.command("metrics")
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them there, whole or not at all, for node_exporter's textfile collector.",
)
@click.pass_context
def command(context: click.Context, *, textfile: Path | None) -> None:
    """Print metrics in Prometheus' text format, read from the ledger, daemon or not."""
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        text = metrics_text(
            ledger,
            SystemClock().now_us(),
            version=__version__,
            configured=config.mail.is_configured,
        )
    if textfile is None:
        click.echo(text, nl=False)
    else:
        replace_file(textfile, text)


def replace_file(path: Path, text: str) -> None:
    """The collector reads every *.prom at any moment: it must never see half of one."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.chmod(0o644)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
