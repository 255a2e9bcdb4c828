"""`vampd receive run`: the receiver itself, under systemd or in a terminal."""

from __future__ import annotations

import click

from vampd.commands.receive.site import config_path


@click.command("run")
@click.option("--until-idle", is_flag=True, help="End when nothing is left that can be done.")
@click.pass_context
def command(context: click.Context, *, until_idle: bool) -> None:
    """Verify the nights that are delivered, and move them on to where they belong.

    TERM stops it; HUP reads the settings again. With --until-idle: exit code 0, or 1 when a night
    is not wholly received.
    """
    from vampd.io.systemd import set_up_logging
    from vampd.receive.daemon import run

    set_up_logging()
    context.exit(run(config_path(context), until_idle=until_idle))
