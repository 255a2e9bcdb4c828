"""`vampd receive show DATE`: all that is known of a delivered night."""

from __future__ import annotations

from typing import Any

import click

from vampd.commands.receive.site import config_of, date_argument, night_of, reading
from vampd.commands.screen import (
    WIDTH,
    count_text,
    echo_json,
    paragraph,
    record_json,
    size_text,
    time_text,
)
from vampd.ledger.reading import Reader
from vampd.ledger.rows import fetch_all
from vampd.receive.records import FileRow, StepRow
from vampd.receive.settings import ReceiveConfig
from vampd.receive.states import FileState
from vampd.receive.views import ReceivedNight, nights

_MOST = 20
_FILE_KEYS = ("path", "state", "listed", "sha256", "found", "size_bytes", "why", "placed_us")
_STEP_KEYS = (
    *("step", "unit", "state", "files", "attempts", "job", "code", "error"),
    *("output", "numbers"),
)


class ListedFile(FileRow, frozen=True, kw_only=True):
    """A file, and the newest digest that a list tells of it."""

    listed: str | None


@click.command("show")
@date_argument
@click.option("--files", is_flag=True, help="Every file, also those that are where they belong.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, files: bool, as_json: bool
) -> None:
    """Print where a night lies, its files that are not right with both digests, and its steps."""
    config = config_of(context)
    with reading(config) as ledger:
        number = night_of(ledger, date, kind).id
        night = next(each for each in nights(ledger) if each.id == number)
        rows = _files(ledger, number, every=files or as_json)
        steps = fetch_all(StepRow, ledger, _STEPS, [number])
    if as_json:
        echo_json(_json(config, night, rows, steps))
        return
    _print(config, night)
    for row in rows if files else rows[:_MOST]:
        _print_file(row)
    if len(rows) > _MOST and not files:
        click.echo(f"  and {len(rows) - _MOST} more (--files)")
    for step in steps:
        _print_step(step)


_STEPS = "select * from step_run where night = ? order by id"
_FILES = """
    select file.*, (select sha256 from listing where listing.night = file.night
        and listing.path = file.path order by listed_us desc, id desc limit 1) as listed
    from file where night = ? order by path
"""


def _files(ledger: Reader, night: int, *, every: bool) -> list[ListedFile]:
    rows = fetch_all(ListedFile, ledger, _FILES, [night])
    return [row for row in rows if every or row.state != FileState.PLACED]


def _place(config: ReceiveConfig, night: ReceivedNight) -> str:
    inbox = config.inbox_of(night.kind)
    return (
        "nowhere: no inbox is set for its kind" if inbox is None else str(inbox.place(night.date))
    )


def _print(config: ReceiveConfig, night: ReceivedNight) -> None:
    click.echo(f"{night}: {night.state}")
    if night.cause:
        click.echo(paragraph("  why     ", night.cause, WIDTH))
    click.echo(f"  place   {_place(config, night)}")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(night.counts.items()))
    click.echo(f"  files   {counts or 'none'}; {size_text(night.placed_bytes)} placed")
    click.echo(f"  first   {time_text(night.seen_us)}")
    click.echo(f"  last    {time_text(night.moved_us)}")


def _print_file(row: ListedFile) -> None:
    click.echo(f"{row.state}: {row.path}")
    click.echo(paragraph("  why     ", row.why or "-", WIDTH))
    if row.listed and row.state != FileState.PLACED:
        click.echo(f"  listed  {row.listed}")
    if row.found:
        click.echo(f"  found   {row.found}")


def _print_step(step: StepRow) -> None:
    unit = f" {step.unit}" if step.unit else ""
    tried = count_text(step.attempts, "attempt")
    click.echo(f"step {step.step}{unit}: {step.state}, {step.files} files, {tried}")
    if step.error:
        click.echo(paragraph("  why     ", step.error, WIDTH))
        for line in (step.output or "").splitlines()[-5:]:
            click.echo(f"  said    {line}")
    if step.numbers:
        click.echo(f"  result  {step.numbers}")


def _json(
    config: ReceiveConfig,
    night: ReceivedNight,
    rows: list[ListedFile],
    steps: list[StepRow],
) -> dict[str, Any]:
    return {
        "kind": night.kind,
        "date": night.date,
        "state": night.state,
        "cause": night.cause,
        "place": _place(config, night),
        "files": [record_json(row, *_FILE_KEYS) for row in rows],
        "steps": [record_json(step, *_STEP_KEYS) for step in steps],
    }
