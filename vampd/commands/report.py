"""`vampd data report DATE`: a night as one HTML file that opens without a server."""

from __future__ import annotations

from pathlib import Path

import click

from vampd.commands import dates
from vampd.errors import OperatorError, UsageError
from vampd.ledger.reading import reading
from vampd.views.summaries import nights


@click.command("report")
@dates.date_argument
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help="The file; else vampd_KIND_YYYYMMDD.html here. In place of an older one.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Of so many cubes: the first of each target and setting, and of the others some.",
)
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, target: Path | None, pictures: int
) -> None:
    """Write a night into one file: what it came to, pictures, plots, exposures, files, log.

    It needs no network and no other file, and prints on paper.
    """
    try:
        from vampd.commands.page.report_view import report
    except ImportError as error:
        msg = f"reports need {error.name}: install.sh --extras web, or pip install '.[web]'"
        raise OperatorError(msg) from error
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.to_read(nights(ledger), date, kind)
        if target is not None and len(chosen) > 1:
            msg = f"{date} is {len(chosen)} nights, and --to names one file"
            raise UsageError(msg)
        for night in chosen:
            path = target or Path(f"vampd_{night.kind}_{night.date}.html")
            scratch = path.with_name(f".{path.name}.scratch")
            scratch.write_text(report(config, ledger, night, most_cubes=pictures), encoding="utf-8")
            scratch.replace(path)
            click.echo(f"wrote {path}")
