"""`vampd receive config`: the receiver's settings."""

from __future__ import annotations

import click

from vampd.commands.receive.site import config_of
from vampd.shipped import receive_config


@click.command("config")
@click.option("--default", is_flag=True, help="The shipped file, in which every key is explained.")
@click.pass_context
def command(context: click.Context, *, default: bool) -> None:
    """Print the settings that are in effect, as far as they are set; or say what is wrong."""
    if default:
        click.echo(receive_config().read_text(encoding="utf-8"), nl=False)
        return
    from vampd.receive.settings import as_lines

    for line in as_lines(config_of(context)):
        click.echo(line)
