"""`vampd data files DATE`: every file of a night, with what the ledger knows of it."""

from __future__ import annotations

from typing import Any

import click

from vampd.commands import dates
from vampd.commands.screen import Screen, cause_json, echo_json, record_json, size_text
from vampd.errors import UsageError
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.states import FileState, FlcState
from vampd.views import details
from vampd.views.details import OutputRow, RawRow
from vampd.views.summaries import nights

#: Of a digest, so much is shown to people; programs get all of it.
_DIGEST_SHOWN = 12


@click.command("files")
@dates.date_argument
@click.option("--raw", "only_raw", is_flag=True, help="Only what the cameras wrote.")
@click.option("--outputs", "only_outputs", is_flag=True, help="Only what vampd makes.")
@click.option("--all", "everything", is_flag=True, help="Also what is gone, or not the cameras'.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    only_raw: bool,
    only_outputs: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """List the files of a night: state, size, digest; of outputs, frames and frame ID."""
    if only_raw and only_outputs:
        msg = "either --raw or --outputs, not both"
        raise UsageError(msg)
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        found = [
            (
                night,
                [] if only_outputs else _raw(details.raw_files(ledger, night), everything),
                [] if only_raw else details.outputs(ledger, night),
            )
            for night in dates.to_read(nights(ledger), date, kind)
        ]
    if as_json:
        echo_json({"nights": [_as_json(*each) for each in found]})
        return
    screen = Screen.of_stdout()
    for night, raw, outputs in found:
        click.echo(screen.title(f"{night}, {night.folder}"))
        for row in raw:
            _show_raw(row, screen)
        for output in outputs:
            _show_output(output, screen)


def _raw(rows: list[RawRow], everything: bool) -> list[RawRow]:
    hidden = frozenset() if everything else frozenset({FileState.GONE, FileState.IGNORED})
    return [row for row in rows if row.state not in hidden]


def _show_raw(row: RawRow, screen: Screen) -> None:
    frames = f"{row.frames} frames" if row.frames is not None else ""
    digest = (row.sha256 or "")[:_DIGEST_SHOWN]
    line = (
        f"{screen.word(row.state, 11)} {size_text(row.size_bytes):>7} "
        f"{digest:<{_DIGEST_SHOWN}} {row.path}  {frames}"
    )
    click.echo(line.rstrip())
    if row.reason:
        click.echo(f"{'':11} {row.reason}")


def _show_output(row: OutputRow, screen: Screen) -> None:
    size = "" if row.size_bytes is None else size_text(row.size_bytes)
    digest = (row.sha256 or "")[:_DIGEST_SHOWN]
    label = f" {row.flc_state}" if row.flc_state is not FlcState.NONE else ""
    name = f"  {row.name}" if row.frame_id is not None else ""
    click.echo(
        f"{screen.word(row.state, 11)} {size:>7} {digest:<{_DIGEST_SHOWN}} "
        f"{row.cube_path}{name}  {row.frames} frames{label}"
    )


def _as_json(night: Night, raw: list[RawRow], outputs: list[OutputRow]) -> dict[str, Any]:
    return {
        "kind": night.kind,
        "date": night.date,
        "folder": night.folder,
        "raw": [
            {
                "path": row.path,
                "role": row.role,
                "state": row.state,
                "reason": row.reason,
                **cause_json(row.cause),
                "size_bytes": row.size_bytes,
                "sha256": row.sha256,
                "frames": row.frames,
            }
            for row in raw
        ],
        "outputs": [output_json(row) for row in outputs],
    }


_OUTPUT = (
    *("path=cube_path", "timing_path", "name", "batch", "state", "frame_id=frame_id_text"),
    *("camera", "synchronised", "flc_state", "frames", "first_us", "last_us"),
    *("size_bytes", "sha256", "timing_size_bytes", "timing_sha256"),
)


def output_json(row: OutputRow) -> dict[str, Any]:
    """An output and its timing file, for programs."""
    return record_json(row, *_OUTPUT)
