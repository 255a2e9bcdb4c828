"""`vampd status`: where every night is, read from the ledger, daemon or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vampd import __version__
from vampd.commands import advice, dates, legacy_table
from vampd.commands.screen import (
    WIDTH,
    Screen,
    count_text,
    duration_text,
    echo_json,
    paragraph,
    time_json,
    time_text,
)
from vampd.io.clock import SystemClock
from vampd.io.disk import MarkerState, check_marker
from vampd.io.lock import holder
from vampd.ledger.reading import has_ledger, reading
from vampd.ledger.summaries import (
    DaemonRow,
    StageState,
    Summary,
    last_daemon,
    nights,
    recent,
    root_markers,
    summarise,
)
from vampd.sections import Config
from vampd.states import STAGES_OF, Kind, NightStatus, TaskState

_DATE_WIDTH, _STATUS_WIDTH = 8, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _Root:
    """A root of the settings. *present*: the disk that bears its marker is there."""

    path: Path
    kind: Kind
    present: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    """All that the screen shows, at one moment."""

    lock: str | None  #: who holds the daemon's lock
    daemon: DaemonRow | None
    roots: tuple[_Root, ...]
    summaries: list[Summary]
    left_out: int


@click.command("status")
@click.argument("texts", metavar="[DATE]...", nargs=-1, shell_complete=dates.complete)
@dates.kind_option
@click.option("--all", "everything", is_flag=True, help="Also the nights that are long safe.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option(
    "--format",
    "form",
    type=click.Choice(legacy_table.FORMATS),
    help="All nights, in the columns of ARCHIVE_LOG.csv and PROCESSING_LOG.csv.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    texts: tuple[str, ...],
    kind: str | None,
    everything: bool,
    as_json: bool,
    form: str | None,
) -> None:
    """Where every night is: stage by stage, and what needs somebody.

    DATE is 20251106, 2025-11-06, 20251101..20251106, a night's folder, or last. Without it: all
    nights that are under way, and the newest of the others.
    """
    if form is not None:
        legacy_table.echo_table(context.obj.config(), texts, kind, form)
        return
    picture = _picture(context.obj.config(), texts, kind, everything=everything)
    if as_json:
        echo_json(_as_json(picture))
    else:
        show(picture, Screen.of_stdout(), now_us=SystemClock().now_us())


def _picture(
    config: Config, texts: tuple[str, ...], kind: str | None, *, everything: bool
) -> _Picture:
    if not has_ledger(config.state_dir) and not texts:
        return _Picture(lock=None, daemon=None, roots=_roots(config, {}), summaries=[], left_out=0)
    lock = holder(config.state_dir)
    with reading(config.state_dir) as ledger:
        every = nights(ledger)
        if texts:
            chosen = dates.chosen(every, texts, kind)
        else:
            of_kind = [night for night in every if kind is None or night.kind == kind]
            chosen = of_kind if everything else recent(of_kind)
        return _Picture(
            lock=lock,
            daemon=last_daemon(ledger),
            roots=_roots(config, root_markers(ledger)),
            summaries=summarise(ledger, chosen),
            left_out=0 if texts else len(every) - len(chosen),
        )


def _roots(config: Config, markers: dict[str, str]) -> tuple[_Root, ...]:
    found = []
    for root in config.roots:
        marker = markers.get(str(root.path))
        present = (
            root.path.is_dir()
            if marker is None
            else check_marker(root.path, marker) is MarkerState.OK
        )
        found.append(_Root(path=root.path, kind=root.kind, present=present))
    return tuple(found)


def _as_json(picture: _Picture) -> dict[str, Any]:
    daemon = picture.daemon
    running = picture.lock is not None
    return {
        "version": __version__,
        "daemon": {
            "running": running,
            "pid": daemon.pid if daemon is not None and running else None,
            "lock": picture.lock,
            "since": time_json(daemon.started_us) if daemon is not None else None,
            "stopped": time_json(daemon.stopped_us) if daemon is not None else None,
            "heard": time_json(daemon.heard_us) if daemon is not None else None,
        },
        "roots": [
            {"path": str(root.path), "kind": root.kind, "present": root.present}
            for root in picture.roots
        ],
        "nights": [summary_json(summary) for summary in picture.summaries],
        "left_out": picture.left_out,
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """A night in short, for programs."""
    night = summary.night
    return {
        "kind": night.kind,
        "date": night.date,
        "folder": night.folder,
        "status": night.status,
        "stages": {stage: state.state for stage, state in summary.stages.items()},
        "progress": {
            stage: {"done": state.done, "total": state.total}
            for stage, state in summary.stages.items()
        },
        "cause": advice.cause_of(summary),
        "raw_files": summary.raw_files,
        "quarantined": summary.quarantined,
        "late": summary.late,
        "outputs": summary.outputs,
        "built": summary.built,
        "verified": summary.verified,
        "batches": summary.batches,
        "last_change": time_json(night.last_change_us),
        "closed_at": time_json(night.closed_us),
        "closed_by": night.closed_by,
        "safe_since": time_json(night.safe_us),
    }


def show(picture: _Picture, screen: Screen, *, now_us: int) -> None:
    """Print the screen: the daemon, a grid for each kind, then what needs somebody."""
    click.echo(screen.title(f"vampd {__version__}") + f"   {time_text(now_us)}")
    click.echo(_daemon_line(picture, screen, now_us))
    for root in picture.roots:
        if not root.present:
            click.echo(f"{screen.word('bad', text='ABSENT')}: root {root.path} ({root.kind})")
    for kind in Kind:
        of_kind = [summary for summary in picture.summaries if summary.night.kind is kind]
        if of_kind:
            _show_grid(kind, of_kind, screen)
    if not picture.summaries:
        click.echo("no night yet")
    if picture.left_out:
        click.echo(f"\n{count_text(picture.left_out, 'older night')} left out (--all)")
    both = advice.both_kinds(picture.summaries)
    for summary in picture.summaries:
        _show_notes(summary, screen, both_kinds=summary.night.date in both)


def _daemon_line(picture: _Picture, screen: Screen, now_us: int) -> str:
    daemon = picture.daemon
    if picture.lock is not None:
        text = "daemon " + screen.word("ok", text="running")
        if daemon is None:
            return f"{text} ({picture.lock})"
        age = duration_text(now_us - daemon.started_us)
        return f"{text} (pid {daemon.pid}) for {age}, since {time_text(daemon.started_us)}"
    text = screen.word("bad", text="daemon not running")
    if daemon is None:
        return f"{text}, and never did; start it: systemctl start vampd"
    if daemon.stopped_us is not None:
        return f"{text} since {time_text(daemon.stopped_us)}"
    return f"{text}; it ended unasked, last heard of {time_text(daemon.heard_us)}"


def _show_grid(kind: Kind, summaries: list[Summary], screen: Screen) -> None:
    stages = STAGES_OF[kind]
    heads = " ".join(f"{stage:<{_width(stage)}}" for stage in stages)
    click.echo("")
    click.echo(screen.title(f"{kind} nights"))
    click.echo(f"{'date':<{_DATE_WIDTH}} {'status':<{_STATUS_WIDTH}} {heads} cubes  bad")
    for summary in summaries:
        night = summary.night
        cells = " ".join(
            _cell(state, screen, _width(stage)) for stage, state in summary.stages.items()
        )
        status = screen.word(night.status, _STATUS_WIDTH)
        counts = f"{summary.raw_files:>5} {summary.quarantined or '-':>4}"
        click.echo(f"{night.date:<{_DATE_WIDTH}} {status} {cells} {counts}")


def _width(stage: str) -> int:
    return max(len(stage), 5)


def _cell(state: StageState, screen: Screen, width: int) -> str:
    """A sign, or how much of a stage of many units is done."""
    if state.state is TaskState.RUNNING and state.total > 1:
        # Rounded down: 100 % would say done.
        return screen.word(state.state, width, f"{100 * state.done // state.total} %")
    return screen.glyph(state.state, width)


def _show_notes(summary: Summary, screen: Screen, *, both_kinds: bool) -> None:
    """The three lines of a night that does not go on, and a line on bad and on late files."""
    night = summary.night
    name = f"{night.date} --kind {night.kind}" if both_kinds else night.date
    if night.status in advice.TOLD:
        click.echo("")
        click.echo(screen.word(night.status, text=str(night)))
        click.echo(paragraph("  what  ", advice.what(summary)))
        click.echo(paragraph("  safe  ", advice.what_is_safe(summary)))
        click.echo(paragraph("  next  ", advice.next_step(summary, both_kinds=both_kinds)))
    if night.hold and night.status is not NightStatus.HELD:
        # Recorded by a command while no daemon runs, or while the last of its work is finished.
        click.echo(_note(f"{night}: to be held ({night.hold}):", f"vampd release {name}"))
    if summary.quarantined:
        cubes = count_text(summary.quarantined, "cube")
        click.echo(_note(f"{night}: {cubes} quarantined:", f"vampd quarantine {name}"))
    if summary.late:
        late = count_text(summary.late, "cube")
        click.echo(_note(f"{night}: {late} came after it was closed:", f"vampd show {name}"))


def _note(text: str, next_command: str) -> str:
    """On one line if it fits; a command is never broken, so that it can be copied."""
    one = f"{text} {next_command}"
    return one if len(one) <= WIDTH else f"{text}\n  {next_command}"
