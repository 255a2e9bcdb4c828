"""`vampd admin run`: the daemon itself, under systemd or in a terminal."""

from __future__ import annotations

import click

from vampd.errors import UsageError


@click.command("run")
@click.option("--until-idle", is_flag=True, help="End when only a person or a date is awaited.")
@click.option("--shadow", is_flag=True, help="Beside another pipeline: write nothing but state.")
@click.option("--build", is_flag=True, help="With --shadow: build the outputs, in its own folder.")
@click.pass_context
def command(context: click.Context, *, until_idle: bool, shadow: bool, build: bool) -> None:
    """Watch the night folders, and carry every night to verified copies.

    TERM drains and stops; HUP reads the configuration again. With --until-idle: exit code 0, or 1
    when a night is failed or held.

    With --shadow it works beside the earlier pipeline, on the same folders, and writes below
    state_dir/shadow alone: it watches, closes and plans every night, sends nothing and deals no
    frame ID. `vampd admin shadow-report` says what it would have done, and what differs.
    """
    from vampd.daemon import run
    from vampd.io.systemd import set_up_logging
    from vampd.legacy.shadow import Mirror

    if build and not shadow:
        msg = "--build goes with --shadow: the daemon itself always builds"
        raise UsageError(msg)
    set_up_logging()
    mirror = Mirror(build=build) if shadow else None
    context.exit(run(context.obj.config_path, until_idle=until_idle, mirror=mirror))
