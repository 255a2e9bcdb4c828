"""`vampd status`: where every night is, read from the ledger, daemon or not."""

from __future__ import annotations

from collections.abc import Callable

import click

from vampd.commands import dates
from vampd.commands.moments import parse_moment
from vampd.commands.screen import Screen, echo_json
from vampd.commands.status_broken import broken, code_of
from vampd.commands.status_picture import Picture, Wish, take
from vampd.commands.status_screen import lines
from vampd.errors import UsageError
from vampd.io.clock import SystemClock


@click.command("status")
@click.argument("texts", metavar="[DATE]...", nargs=-1, shell_complete=dates.complete)
@dates.kind_option
@click.option("--all", "everything", is_flag=True, help="All nights, also when all is well.")
@click.option("--at", "moment", metavar="TIME", help="As it was then: 2025-11-06T05:10 (UT), 2h.")
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option(
    "--exit-code", "with_code", is_flag=True, help="Exit 0, 1 or 2 as `vampd check` does."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv"]),
    help="All nights, in the columns of ARCHIVE_LOG.csv and PROCESSING_LOG.csv.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    texts: tuple[str, ...],
    kind: str | None,
    everything: bool,
    moment: str | None,
    watch: bool,
    as_json: bool,
    with_code: bool,
    form: str | None,
) -> None:
    """Where every night is: stage by stage, and what needs somebody.

    DATE is 20251106, 2025-11-06, 20251101..20251106, a night's folder, today, yesterday (by UTC),
    or last. Without it: what needs somebody, and all nights that are under way; three lines when
    all is well.
    """
    config = context.obj.config()
    if form is not None:
        # Late: scripts ask for it, not people.
        from vampd.commands import legacy_table

        legacy_table.echo_table(config, texts, kind, form)
        return
    now_us = SystemClock().now_us()
    at_us = None if moment is None else parse_moment(moment, now_us=now_us)
    wish = Wish(texts=texts, kind=kind, everything=everything, at_us=at_us)

    def look() -> Picture:
        return take(config, wish, now_us=SystemClock().now_us())

    if watch:
        _watch(look, plain=as_json or moment is not None)
        return
    picture = look()
    if as_json:
        # Late: people ask more often, and are in a hurry.
        from vampd.commands.status_json import picture_json

        echo_json(picture_json(picture))
    else:
        for line in lines(picture, Screen.of_stdout()):
            click.echo(line)
    if with_code:
        context.exit(code_of(picture, list(broken(picture))))


def _watch(look: Callable[[], Picture], *, plain: bool) -> None:
    # Late: a single look needs nothing of terminals.
    from vampd.commands.live import Live, is_terminal

    if plain:
        msg = "--watch shows the present to a person: it goes with neither --json nor --at"
        raise UsageError(msg)
    if not is_terminal():
        msg = "--watch needs a terminal; for programs: vampd status --json"
        raise UsageError(msg)
    with Live() as live:
        live.repeat(lambda: list(lines(look(), Screen.of_stdout())))
