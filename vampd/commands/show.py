"""`vampd show DATE`: all that is known of a night, short of its single files."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
from msgspec import Struct

from vampd.commands import copies, dates, live_words, logger_words, mail_words
from vampd.commands.screen import (
    Screen,
    cause_json,
    count_text,
    echo_json,
    paragraph,
    record_json,
    size_text,
    time_json,
    time_text,
)
from vampd.commands.stage_times import StageTimes, facts, stage_times, times_json
from vampd.commands.status_json import summary_json
from vampd.io.clock import SystemClock
from vampd.ledger import hooks, logger_faults
from vampd.ledger.counter import spans_text
from vampd.ledger.hooks import HookRun
from vampd.ledger.logger_faults import Fault
from vampd.ledger.mail_tracks import MailTrack, Track, batch_tracks
from vampd.ledger.reading import Reader, reading
from vampd.ledger.records import Night
from vampd.states import FileState, Stage, TaskState
from vampd.views import advice, details
from vampd.views.details import (
    DeliverableRow,
    EvidenceRow,
    OutputRow,
    RawRow,
    ReportRow,
    SpaceRow,
    TaskRow,
    without_twins,
)
from vampd.views.summaries import Summary, nights, summarise

#: Of a long list, so many lines are shown to people; programs get all of it.
_LINES = 12

#: Where there is nothing to be said of a mail.
_NO_MAIL = frozenset({Track.NONE, Track.NOT_CONFIGURED, Track.NOT_YET})


class _Details(Struct, frozen=True, kw_only=True):
    """One night's rows."""

    summary: Summary
    tasks: list[TaskRow]
    raw: list[RawRow]
    outputs: list[OutputRow]
    deliverables: list[DeliverableRow]
    evidence: list[EvidenceRow]
    reports: list[ReportRow]
    faults: list[Fault]
    hooks: list[HookRun]
    mails: list[MailTrack]
    space: SpaceRow


@click.command("show")
@dates.date_argument
@click.option(
    "--cube",
    metavar="NAME",
    help="The quick look at one: a frame ID, an output or a raw cube, as `vampd data trace` takes.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context, *, date: str, kind: str | None, cube: str | None, as_json: bool
) -> None:
    """Show a night: its stages, what went wrong, bad and late files, outputs, deliveries.

    With --cube: how bright and sharp one cube is, and its pictures, in terminals that can.
    """
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        every = nights(ledger)
        if cube is not None:
            chosen = dates.to_read(every, date, kind)
            from vampd.commands import show_cube

            looks = show_cube.quick_looks(ledger, config, every, chosen, cube)
            if as_json:
                echo_json({"quick_looks": [show_cube.look_json(look) for look in looks]})
            else:
                show_cube.show_looks(looks, Screen.of_stdout())
            return
        found = [
            _details(ledger, night, has_mail=config.mail.is_configured)
            for night in dates.to_read(every, date, kind)
        ]
    if as_json:
        echo_json({"nights": [_as_json(night) for night in found]})
        return
    screen = Screen.of_stdout()
    for number, night in enumerate(found):
        if number:
            click.echo("")
        twin = sum(other.date == night.summary.night.date for other in every) > 1
        _show(night, screen, both_kinds=twin)


def _details(ledger: Reader, night: Night, *, has_mail: bool) -> _Details:
    return _Details(
        summary=summarise(ledger, [night])[0],
        space=details.space(ledger, night),
        tasks=details.tasks(ledger, night),
        raw=details.raw_files(ledger, night),
        outputs=details.outputs(ledger, night),
        deliverables=details.deliverables(ledger, night),
        evidence=details.evidence(ledger, night),
        reports=details.reports(ledger, night),
        faults=logger_faults.faults_of(ledger, night.id),
        hooks=hooks.runs(ledger, night.id),
        mails=batch_tracks(ledger, configured=has_mail, night=night.id),
    )


def _show(found: _Details, screen: Screen, *, both_kinds: bool) -> None:
    summary, night = found.summary, found.summary.night
    click.echo(screen.title(f"{night}") + f", {night.folder}")
    click.echo(f"status       {screen.word(night.status)}")
    if night.hold:
        click.echo(paragraph("held because ", night.hold))
    for label, us in (
        ("first seen", night.seen_us),
        ("last change", night.last_change_us),
        ("closed", night.closed_us),
        ("safe since", night.safe_us),
    ):
        if us is not None:
            by = f", by {night.closed_by}" if label == "closed" and night.closed_by else ""
            click.echo(f"{label:<12} {time_text(us)}{by}")
    if summary.lag is not None:
        is_open = night.closed_us is None
        words = live_words.lag_text if is_open else live_words.confirmed_text
        if is_open or not summary.lag.is_open:
            click.echo(paragraph("live         ", words(summary.lag), screen.width))
    if found.space.kept is not None:
        click.echo(paragraph("kept because ", found.space.kept))
    if found.space.trash_files:
        lying = f"{count_text(found.space.trash_files, 'file')}, "
        click.echo(f"in the trash {lying}{size_text(found.space.trash_bytes)}")
    if night.status in advice.TOLD:
        click.echo(paragraph("what         ", advice.what(summary)))
        click.echo(paragraph("safe         ", advice.what_is_safe(summary)))
        click.echo(paragraph("next         ", advice.next_step(summary, both_kinds=both_kinds)))
    _show_stages(found, screen)
    _show_files(found, screen)
    _show_deliverables(found.deliverables, screen)
    _show_list(
        "mail to the archive",
        [_mail_line(track, night) for track in found.mails if track.state not in _NO_MAIL],
        screen,
    )
    _show_list(
        "set aside", [f"{row.name} at {row.place}: {row.why}" for row in found.evidence], screen
    )
    _show_list(
        "commands of the site (vampd admin hooks DATE)",
        [
            f"{run.command}: {run.state}{f', {run.error}' if run.error else ''}"
            for run in found.hooks
        ],
        screen,
    )
    _show_list(
        "the cameras' logger", [logger_words.fault_text(fault) for fault in found.faults], screen
    )
    _show_list("odd", [each.text for each in summary.oddities], screen)
    _show_list(
        "reports",
        [f"{row.stage}: {row.path or 'night'}: {row.text}" for row in found.reports],
        screen,
    )


def _mail_line(track: MailTrack, night: Night) -> str:
    batch = "" if track.batch == 1 else f"supplement {track.batch - 1}: "
    return batch + mail_words.track_text(track, night.date)


def _show_stages(found: _Details, screen: Screen) -> None:
    click.echo(screen.title("stages"))
    now_us = SystemClock().now_us()
    for times in _times(found):
        if times.batch > 1 and times.stage is Stage.SYNC:
            click.echo(f"  supplement {times.batch - 1}")
        said = ", ".join(facts(times, now_us=now_us))
        label = f"  {times.stage:<10} {screen.word(times.state, 8)} "
        wrapped = paragraph(" " * screen.length(label), said, screen.width).lstrip()
        click.echo(f"{label}{wrapped}".rstrip())
        for row in found.tasks:
            is_of = (row.batch, row.stage) == (times.batch, times.stage)
            if is_of and row.error and row.state is not TaskState.DONE:
                click.echo(paragraph(f"    {row.unit or 'night'}: ", row.error))


def _times(found: _Details) -> list[StageTimes]:
    summary = found.summary
    return list(stage_times(summary.night.kind, summary.batches, found.tasks))


def _show_files(found: _Details, screen: Screen) -> None:
    summary = found.summary
    cubes = [row for row in found.raw if row.role == "cube"]
    apart = {FileState.GONE, FileState.LATE}
    size = sum(row.size_bytes for row in cubes if row.state not in apart)
    frames = sum(row.frames or 0 for row in cubes if row.state is FileState.WHOLE)
    click.echo(screen.title("files"))
    click.echo(
        f"  {count_text(summary.raw_files, 'raw cube')}, {size_text(size)}, "
        f"{count_text(frames, 'frame')} in whole ones; {summary.quarantined} quarantined, "
        f"{summary.late} late"
    )
    built = [row for row in found.outputs if row.size_bytes is not None]
    size = sum(row.size_bytes or 0 for row in built)
    click.echo(
        f"  {count_text(summary.outputs, 'output')}: {summary.built} built ({size_text(size)}), "
        f"{summary.verified} verified at the far end"
    )
    numbers = [row.frame_id for row in found.outputs if row.frame_id is not None]
    if numbers:
        said = f"{count_text(len(numbers), 'frame ID')}: {spans_text(numbers)}"
        click.echo(paragraph("  ", said))
    for state in (FileState.QUARANTINED, FileState.LATE, FileState.ARRIVING):
        rows = without_twins([row for row in found.raw if row.state is state])
        lines = [f"{row.path}: {row.reason}" if row.reason else row.path for row in rows]
        _show_list(state, lines, screen)


def _show_deliverables(rows: list[DeliverableRow], screen: Screen) -> None:
    if not rows:
        return
    click.echo(screen.title("deliveries"))
    counts = Counter(
        row.verdict or ("sent" if row.sent_us is not None else "not sent") for row in rows
    )
    size = size_text(sum(row.size_bytes for row in rows))
    states = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    click.echo(f"  {count_text(len(rows), 'file')}, {size}: {states}")
    oldest_us = copies.verified_us(rows)
    said = copies.verified_text(oldest_us, SystemClock().now_us())
    click.echo(paragraph("  ", said, screen.width))
    wrong = [
        f"{row.path}: {row.verdict}{f', {row.detail}' if row.detail else ''}"
        for row in rows
        if row.verdict not in {None, "verified"}
    ]
    for line in wrong[:_LINES]:
        click.echo(paragraph("  ", line))


def _show_list(title: str, lines: list[str], screen: Screen) -> None:
    if not lines:
        return
    click.echo(screen.title(title))
    for line in lines[:_LINES]:
        click.echo(paragraph("  ", line))
    if len(lines) > _LINES:
        click.echo(f"  and {len(lines) - _LINES} more (--json has all)")


def _as_json(found: _Details) -> dict[str, Any]:
    return {
        **summary_json(found.summary),
        "hold": found.summary.night.hold,
        "kept": found.space.kept,
        "trash": {"files": found.space.trash_files, "size_bytes": found.space.trash_bytes},
        "stage_times": [times_json(times) for times in _times(found)],
        "tasks": [_task_json(row) for row in found.tasks],
        "quarantine": _reasons(found.raw, FileState.QUARANTINED),
        "late_files": _reasons(found.raw, FileState.LATE),
        "arriving": _reasons(found.raw, FileState.ARRIVING),
        "frame_ids": [row.frame_id_text for row in found.outputs if row.frame_id is not None],
        "verified": time_json(copies.verified_us(found.deliverables)),
        "deliverables": [record_json(row) for row in found.deliverables],
        "set_aside": [record_json(row) for row in found.evidence],
        "hooks": [record_json(run) for run in found.hooks],
        "mail": [mail_words.track_json(found.summary.night, track) for track in found.mails],
        "logger_faults": [logger_words.fault_json(fault) for fault in found.faults],
        "reports": [record_json(row) for row in found.reports],
    }


def _task_json(row: TaskRow) -> dict[str, Any]:
    told = record_json(row)
    return {**told, "due": time_json(row.due_us or None)}


def _reasons(rows: list[RawRow], state: FileState) -> list[dict[str, Any]]:
    return [
        {"path": row.path, "role": row.role, "reason": row.reason, **cause_json(row.cause)}
        for row in rows
        if row.state is state
    ]
