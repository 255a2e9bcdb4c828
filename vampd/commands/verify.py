"""`vampd data verify DATE`: compute every digest afresh, here and at the far end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct

from vampd.commands import acting, copies, dates
from vampd.commands.screen import Screen, count_text, echo_json, paragraph, time_json
from vampd.errors import UsageError, VampdError
from vampd.io.beneath import Beneath, night_folder
from vampd.io.clock import SystemClock
from vampd.io.listed_files import ListedFile
from vampd.io.publish import digest_file
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.remote.destination_marker import Disk
from vampd.settings.sections import Config
from vampd.stages import build, verify
from vampd.stages.compare import compare_all_frames
from vampd.stages.destinations import reach_of
from vampd.stages.verify import VerifyJob
from vampd.states import OutputState
from vampd.views import details
from vampd.views.details import DeliverableRow
from vampd.views.summaries import far_markers, nights

#: Of many problems, so many are shown to people; programs get all of them.
_LINES = 20


class _Verified(Struct, frozen=True, kw_only=True):
    """What was found of one night. Each problem is one line."""

    night: Night
    files: int
    here: tuple[str, ...]
    there: tuple[str, ...]
    frames: tuple[str, ...] | None  #: None: pixels were not compared
    verified_us: int | None  #: when the copy verified longest ago was; None: one never was


@click.command("verify")
@dates.date_argument
@click.option("--full", is_flag=True, help="Also compare every frame with its raw one.")
@click.option(
    "--record",
    is_flag=True,
    help="Have the daemon read a safe night's copies through again, and record what it finds.",
)
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    full: bool,
    record: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute the digest of every file of a night again, here and at the far end.

    Exit 1 when a file is missing or other than the ledger says. Changes nothing: neither files nor
    the ledger; it also tells when every copy was verified on record. With --record the daemon does
    it instead: what is wrong is sent again, or the night is held.
    """
    if record and not full:
        acting.act(context, "verify", date, kind, {}, dry_run=dry_run, as_json=as_json)
        return
    if record or dry_run:
        msg = "--dry-run goes with --record, and --full without: frames are compared here and now"
        raise UsageError(msg)
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = [
            (night, details.deliverables(ledger, night), details.space(ledger, night).removed)
            for night in dates.to_read(nights(ledger), date, kind)
        ]
        markers = far_markers(ledger)
    disks: list[Disk] = [Disk(place=place, marker=marker) for place, marker in markers.items()]
    found = [_verified(config, night, rows, gone, disks, full=full) for night, rows, gone in chosen]
    if as_json:
        echo_json({"nights": [_as_json(each) for each in found]})
    else:
        for each in found:
            _show(each, Screen.of_stdout())
    if any(_problems(each) or not each.files for each in found):
        context.exit(1)


def _verified(
    config: Config,
    night: Night,
    rows: list[DeliverableRow],
    removed: frozenset[str],
    disks: list[Disk],
    *,
    full: bool,
) -> _Verified:
    return _Verified(
        night=night,
        files=len(rows),
        here=tuple(
            _here(night_folder(night.folder), [row for row in rows if row.path not in removed])
        ),
        there=tuple(_there(config, night, rows, disks)),
        frames=tuple(_frames(config, night)) if full else None,
        verified_us=copies.verified_us(rows),
    )


def _here(folder: Beneath, rows: list[DeliverableRow]) -> Iterator[str]:
    for row in rows:
        try:
            found = digest_file(folder / row.path)
        except OSError as error:
            yield f"{row.path}: {error.strerror}"
            continue
        if found.sha256 != row.sha256:
            yield f"{row.path}: its digest is {found.sha256}, and {row.sha256} in the ledger"


def _there(
    config: Config, night: Night, rows: list[DeliverableRow], disks: list[Disk]
) -> Iterator[str]:
    delivery = config.delivery.of(night.kind)
    if not rows:
        return
    if delivery is None:
        yield f"delivery.{night.kind} is not set, so nobody can be asked"
        return
    job: verify.VerifyJob = VerifyJob(
        night=str(night),
        verify_at=str(delivery.safe_at(night.date)),
        destination=str(delivery.sent_to(night.date)),
        files=[
            ListedFile(path=row.path, size_bytes=row.size_bytes, sha256=row.sha256) for row in rows
        ],
        reach=reach_of(config, delivery),
        disks=disks,
    )
    try:
        results = verify.work(job).results
    except VampdError as error:
        yield str(error)
        return
    for result in results:
        if result.verdict != "verified":
            why = f", {result.why}" if result.why else ""
            yield f"{result.path}: {result.verdict}{why}"


def _frames(config: Config, night: Night) -> Iterator[str]:
    """What differs between raw frames and outputs, read by another program than wrote them."""
    with reading(config.state_dir, config.reading_socket) as connection:
        units = {
            f"{row.cube}.{row.camera}": None
            for row in details.outputs(connection, night)
            if row.state is not OutputState.PLANNED
        }
    hidden = not sys.stderr.isatty()
    with click.progressbar(units, label=str(night), file=sys.stderr, hidden=hidden) as watched:
        for unit in watched:
            # One moment a unit: a reader that stays keeps the write-ahead log from being folded in.
            with reading(config.state_dir, config.reading_socket) as connection:
                ledger = Ledger(connection, SystemClock())
                of = get_night(ledger, night.id)
                job = build.cube_job(ledger, of, unit, config.compress, attempt=0)
            try:
                yield from compare_all_frames(job)
            except VampdError as error:
                yield f"cube {unit}: {error}"


def _problems(found: _Verified) -> tuple[str, ...]:
    return (*found.here, *found.there, *(found.frames or ()))


def _show(found: _Verified, screen: Screen) -> None:
    click.echo(f"{found.night}, {found.night.folder}: {count_text(found.files, 'file')}")
    if not found.files:
        click.echo("  nothing to verify yet: no file was made")
        return
    on_record = copies.verified_text(found.verified_us, SystemClock().now_us())
    click.echo(paragraph(f"  {'record':<8} ", on_record, screen.width))
    parts = [("here", found.here), ("far end", found.there)]
    if found.frames is not None:
        parts.append(("frames", found.frames))
    for label, problems in parts:
        verdict = screen.word("bad", text=f"{len(problems)} wrong") if problems else "ok"
        click.echo(f"  {label:<8} {verdict if problems else screen.word('ok')}")
        for problem in problems[:_LINES]:
            click.echo(paragraph("    ", problem))
        if len(problems) > _LINES:
            click.echo(f"    and {len(problems) - _LINES} more (--json has all)")


def _as_json(found: _Verified) -> dict[str, Any]:
    return {
        "kind": found.night.kind,
        "date": found.night.date,
        "folder": found.night.folder,
        "ok": bool(found.files) and not _problems(found),
        "files": found.files,
        "verified": time_json(found.verified_us),
        "here": list(found.here),
        "far_end": list(found.there),
        "frames": None if found.frames is None else list(found.frames),
    }
