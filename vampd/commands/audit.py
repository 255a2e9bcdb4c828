"""`vampd data audit DATE`: every raw frame is in one output, or rejected, or quarantined."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct

from vampd.commands import dates
from vampd.commands.screen import Screen, count_text, echo_json, paragraph
from vampd.io.beneath import Beneath, names_in, night_folder, status
from vampd.io.publish import digest_file
from vampd.layout import OUTPUT_FOLDER
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.states import OutputState
from vampd.views import details
from vampd.views.details import OutputRow
from vampd.views.frame_audit import Account, account
from vampd.views.summaries import nights

#: Of many problems, so many are shown to people; programs get all of them.
_LINES = 20


class _Audit(Struct, frozen=True, kw_only=True):
    """One night's account, and what is wrong with the files that it speaks of."""

    night: Night
    account: Account
    files: int  #: outputs' files that were looked at
    problems: tuple[str, ...]


@click.command("audit")
@dates.date_argument
@click.option("--digests", is_flag=True, help="Also compute the digest of every output's files.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, digests: bool, as_json: bool
) -> None:
    """Prove that every raw frame of a night is in exactly one place. Exit 1 if it is not.

    Counts the frames of whole cubes in outputs and among the rejected, each once, and beside them
    those of quarantined and of late cubes; checks that outputs hold what was dealt to them, that
    frame IDs are unique and without unexplained gaps, and that outputs lie on the disk.
    """
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        counted = [
            (
                night,
                account(ledger, night),
                details.outputs(ledger, night),
                details.space(ledger, night).removed,
            )
            for night in dates.to_read(nights(ledger), date, kind)
        ]
    audits = [_audit(*each, digests=digests) for each in counted]
    if as_json:
        echo_json({"nights": [_as_json(audit) for audit in audits]})
    else:
        for audit in audits:
            _show(audit, Screen.of_stdout())
    if any(audit.problems for audit in audits):
        context.exit(1)


def _audit(
    night: Night,
    counted: Account,
    outputs: list[OutputRow],
    removed: frozenset[str],
    *,
    digests: bool,
) -> _Audit:
    """*removed*: files that gave their space back, once every copy was verified again."""
    built = [row for row in outputs if row.state is not OutputState.PLANNED]
    return _Audit(
        night=night,
        account=counted,
        files=2 * len(built),
        problems=(
            *counted.problems,
            *_files_off(night_folder(night.folder), built, removed, digests=digests),
            *_unlisted(night_folder(night.folder), outputs),
        ),
    )


def _files_off(
    folder: Beneath, built: list[OutputRow], removed: frozenset[str], *, digests: bool
) -> Iterator[str]:
    for row in built:
        for path, size_bytes, sha256 in (
            (row.cube_path, row.size_bytes, row.sha256),
            (row.timing_path, row.timing_size_bytes, row.timing_sha256),
        ):
            try:
                found = status(folder / path)
            except OSError as error:
                if path in removed and isinstance(error, FileNotFoundError):
                    continue
                yield f"{path}: {error.strerror}"
                continue
            if not stat.S_ISREG(found.st_mode) or found.st_size != size_bytes:
                yield f"{path}: {found.st_size} bytes, and {size_bytes} in the ledger"
            elif digests:
                yield from _digest_off(folder / path, path, sha256)


def _digest_off(where: Beneath, path: str, sha256: str | None) -> Iterator[str]:
    try:
        found = digest_file(where)
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    if found.sha256 != sha256:
        yield f"{path}: its digest is not the ledger's"


def _unlisted(folder: Beneath, outputs: list[OutputRow]) -> Iterator[str]:
    """Files beside the outputs that no row explains."""
    listed = {path for row in outputs for path in (row.cube_path, row.timing_path)}
    for batch in {row.batch for row in outputs}:
        suffix = "" if batch == 1 else f".{batch}"
        listed.add(f"{OUTPUT_FOLDER}/name_changes{suffix}.txt")
    place = folder / OUTPUT_FOLDER
    try:
        names = names_in(place)
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{OUTPUT_FOLDER}: {error.strerror}"
        return
    for name in names:
        if f"{OUTPUT_FOLDER}/{name}" not in listed:
            yield f"{OUTPUT_FOLDER}/{name}: no output of the ledger"


def _show(audit: _Audit, screen: Screen) -> None:
    counted = audit.account
    verdict = screen.word("bad", text="NOT PROVED") if audit.problems else screen.word("ok")
    click.echo(f"{audit.night}, {audit.night.folder}: {verdict}")
    for text, frames, cubes in (
        ("in whole cubes", counted.frames, count_text(counted.cubes, "cube")),
        ("= in outputs", counted.in_outputs, count_text(counted.outputs, "output")),
        ("+ rejected", counted.rejected, ""),
        ("quarantined", counted.quarantined_frames, count_text(counted.quarantined, "cube")),
        ("late", counted.late_frames, count_text(counted.late, "cube")),
    ):
        click.echo(f"  {text:<15} {count_text(frames, 'frame'):>16}  {cubes}".rstrip())
    if counted.quarantined_uncounted:
        cubes = count_text(counted.quarantined_uncounted, "quarantined cube")
        click.echo(f"  frames of {cubes} could not be counted")
    for reason, count in counted.reasons.items():
        click.echo(paragraph("    ", f"{count} rejected: {reason}"))
    click.echo(f"  {count_text(audit.files, 'file')} of outputs looked at")
    for problem in audit.problems[:_LINES]:
        click.echo(paragraph("  ! ", problem))
    if len(audit.problems) > _LINES:
        click.echo(f"  ! and {len(audit.problems) - _LINES} more (--json has all)")


def _as_json(audit: _Audit) -> dict[str, Any]:
    counted = audit.account
    return {
        "kind": audit.night.kind,
        "date": audit.night.date,
        "folder": audit.night.folder,
        "ok": not audit.problems,
        "cubes": counted.cubes,
        "frames": counted.frames,
        "in_outputs": counted.in_outputs,
        "rejected": counted.rejected,
        "reasons": dict(counted.reasons),
        "quarantined": counted.quarantined,
        "quarantined_frames": counted.quarantined_frames,
        "quarantined_uncounted": counted.quarantined_uncounted,
        "late": counted.late,
        "late_frames": counted.late_frames,
        "arriving": counted.arriving,
        "outputs": counted.outputs,
        "files": audit.files,
        "problems": list(audit.problems),
    }
