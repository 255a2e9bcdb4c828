"""`vampd receive unpack FOLDER FILE...`: unpack cubes, for programs that need them so."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vampd.errors import IntegrityError, VampdError


@click.command("unpack")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--keep-free",
    "keep_free_gb",
    type=click.FloatRange(0),
    default=0.0,
    metavar="GB",
    help="Leave so much free in FOLDER's disk, in units of 10^9 bytes; exit 75 where that ends.",
)
def command(folder: Path, files: tuple[Path, ...], keep_free_gb: float) -> None:
    """Unpack compressed cubes into FOLDER by funpack, each proved; what is there already stays.

    Made to be a step of the reduction. A cube that cannot be unpacked is told, and the others are
    unpacked; exit code 1 then. The last line says in JSON how many there were.
    """
    from vampd.receive.unpack import unpack

    counts = {"unpacked": 0, "there already": 0, "bad": 0}
    first: VampdError | None = None
    for file in files:
        try:
            counts[unpack(file, folder, keep_free_bytes=round(keep_free_gb * 1e9))] += 1
        except IntegrityError as error:
            counts["bad"] += 1
            first = first or error
            click.echo(f"vampd: {error}", err=True)
    click.echo(json.dumps(counts))
    if first is not None:
        msg = f"{counts['bad']} of {len(files)} cubes cannot be unpacked"
        raise IntegrityError(msg)
