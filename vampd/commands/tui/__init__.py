"""`vampd tui`: the nights on a full screen, with the orders that let them go on.

It reads the ledger as `vampd status` does, and gives orders as the commands do.
"""

from __future__ import annotations

import os
import sys

import click

from vampd.commands.screen import Screen
from vampd.errors import OperatorError, UsageError

_NO_TERMINAL = "tui needs a terminal that can be painted on{}; for one that cannot: vampd status"


@click.command("tui")
@click.pass_context
def command(context: click.Context) -> None:
    """Show the nights on a full screen, the worst first, and give orders from there.

    Left the nights, right all of the one that is chosen: its stages, why it is where it is, what
    to type, what comes of it live, its log. retry, release, hold and ack are asked about before
    they are done. `?` tells the keys.
    """
    config = context.obj.config()
    try:
        from vampd.commands.tui.app import Tui
    except ImportError as error:
        msg = (
            f"the full screen needs {error.name}: install.sh --extras tui, or pip install '.[tui]'"
        )
        raise OperatorError(msg) from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_NO_TERMINAL.format(""))
    if os.environ.get("TERM") in {None, "", "dumb"}:
        raise UsageError(_NO_TERMINAL.format(" (TERM is dumb or not set)"))
    app = Tui(config, Screen.of_stdout())
    # Without the mouse: what is selected with it is then the terminal's to copy.
    app.run(mouse=False)
    context.exit(app.return_code or 0)
