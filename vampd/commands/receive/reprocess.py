"""`vampd receive reprocess LIST`: let steps of the reduction be done again."""

from __future__ import annotations

from pathlib import Path

import click

from vampd.commands.acting import actor
from vampd.commands.receive.site import config_of, reading
from vampd.commands.screen import echo_json
from vampd.errors import UsageError
from vampd.ledger.reading import Reader


@click.command("reprocess")
@click.argument(
    "listed", metavar="LIST", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--force", "step", metavar="STEP", help="This step alone.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, listed: Path, step: str | None, as_json: bool) -> None:
    """Do the steps again of every night that the file LIST names, by its date or by an output.

    A line each: YYYYMMDD, an output's name (VMPA00425189.fits.fz), or its path; empty lines and
    those that begin with # are passed over.
    """
    from vampd.receive.orders import act

    config = config_of(context)
    lines = [line.strip() for line in listed.read_text(encoding="utf-8").splitlines()]
    with reading(config) as ledger:
        found = [
            night
            for line in lines
            if line and not line.startswith("#")
            for night in _nights(ledger, line)
        ]
    nights = [list(night) for night in dict.fromkeys(found)]
    answer = act(config, "reprocess", {"nights": nights, "from": step}, actor=actor())
    if as_json:
        echo_json(answer)
        return
    for line in answer["lines"]:
        click.echo(line)


def _nights(ledger: Reader, line: str) -> list[tuple[str, str]]:
    """The nights that *line* names. UsageError: none."""
    name = line.rpartition("/")[2]
    rows = ledger.execute(
        "select kind, date from night where date = :line or id in"
        " (select night from file where path = :name or path like '%/' || :name)",
        {"line": line, "name": name},
    ).fetchall()
    if not rows:
        msg = f"{line!r} is neither a night nor an output that ever came"
        raise UsageError(msg)
    return [(kind, date) for kind, date in rows]
