"""`vampd run`: the daemon itself, under systemd or in a terminal."""

from __future__ import annotations

import click


@click.command("run")
@click.option("--until-idle", is_flag=True, help="End when only a person or a date is awaited.")
@click.pass_context
def command(context: click.Context, *, until_idle: bool) -> None:
    """Watch the night folders, and carry every night to verified copies.

    TERM drains and stops; HUP reads the configuration again. With --until-idle: exit code 0, or 1
    when a night is failed or held.
    """
    from vampd.daemon import run
    from vampd.io.systemd import set_up_logging

    set_up_logging()
    context.exit(run(context.obj.config_path, until_idle=until_idle))
