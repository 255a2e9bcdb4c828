"""`vampd data summary DATE`: what a night came to, minute by minute and target by target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import asdict

from vampd.commands import dates, logger_words
from vampd.commands.screen import Screen, echo_json, paragraph, time_json
from vampd.commands.status_json import oddity_json
from vampd.ledger import logger_faults
from vampd.ledger.logger_faults import Fault
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.time_units import MINUTE_US
from vampd.views import quality
from vampd.views.oddities import QUALITY, Oddity, oddities
from vampd.views.quality import FrameTally, KeptQuality, Slice
from vampd.views.summaries import nights

_COUNTS = ("synchronised", "solo", "a", "b", "dubious", "rejected", "lost")
_HEADINGS = ("sync", "solo", "A", "B", "D", "reject", "lost")
_HST_US = -10 * 60 * MINUTE_US  # Hawaii has no summer time
_LEAST_WIDTH = 5
_TARGET = 14


class _Found(Struct, frozen=True, kw_only=True):
    """What the ledger knows of one night's quality."""

    night: Night
    slices: list[Slice]
    kept: list[KeptQuality]
    findings: list[str]
    faults: list[Fault]
    oddities: Sequence[Oddity]


@click.command("summary")
@dates.date_argument
@click.option(
    "--plots", type=click.Path(path_type=Path), help="Write plots (PNG) into this folder."
)
@click.option("--dark", is_flag=True, help="Plots on dark paper.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    plots: Path | None,
    dark: bool,
    as_json: bool,
) -> None:
    """Sum up a night: frames synchronised, solo, dubious, rejected, lost by the cameras."""
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.to_read(nights(ledger), date, kind)
        found = [
            _Found(
                night=night,
                slices=quality.slices(ledger, night),
                kept=quality.kept(ledger, night),
                findings=quality.findings(ledger, night),
                faults=logger_faults.faults_of(ledger, night.id),
                oddities=oddities(ledger, [night]).get(night.id, ()),
            )
            for night in chosen
        ]
        written = [path for night in chosen for path in _plot(ledger, night, plots, dark=dark)]
    if as_json:
        echo_json({"nights": [_as_json(each) for each in found], "plots": list(map(str, written))})
        return
    screen = Screen.of_stdout()
    for each in found:
        _show(each, screen)
    for path in written:
        click.echo(f"wrote {path}")


def _plot(ledger: Any, night: Night, folder: Path | None, *, dark: bool) -> Iterable[Path]:
    if folder is None:
        return []
    from vampd.commands.plots import write_plots

    return write_plots(ledger, night, folder, dark=dark)


def _show(found: _Found, screen: Screen) -> None:
    click.echo(screen.title(f"{found.night}, {found.night.folder}"))
    if found.slices:
        _show_frames(found, screen)
    else:
        click.echo("  nothing of it is planned yet")
    for text in found.findings:
        click.echo(paragraph("odd ", text, screen.width))
    for each in found.oddities:
        if each.sort != QUALITY:
            click.echo(paragraph("odd ", each.text, screen.width))
    for text in logger_words.toll_texts(logger_faults.sum_up(found.faults)):
        click.echo(paragraph("odd ", text, screen.width))
    for fault in found.faults:
        click.echo(paragraph("    ", logger_words.fault_text(fault), screen.width))


def _show_frames(found: _Found, screen: Screen) -> None:
    _table("UT    HST", [(_minute(each.minute_us), each) for each in found.slices], screen)
    targets: dict[str, dict[int, FrameTally]] = defaultdict(
        lambda: {1: FrameTally(), 2: FrameTally()}
    )
    for each in found.slices:
        for camera, fates in each.cameras.items():
            targets[each.target][camera].add(fates)
    totals = [
        ("", Slice(minute_us=0, target=target, exposure_s=None, cameras=cameras))
        for target, cameras in targets.items()
    ]
    _table("all night", totals, screen)
    for kept in found.kept:
        click.echo(paragraph("", _quality_line(kept), screen.width))


def _table(title: str, rows: Sequence[tuple[str, Slice]], screen: Screen) -> None:
    widths = _widths(rows)
    heads = "".join(f" {head:>{width}}" for head, width in zip(_HEADINGS, widths, strict=True))
    click.echo(screen.title(f"{title:<12}{'target':<{_TARGET}} {'EXPTIME':>7} cam{heads}"))
    for when, each in rows:
        exposure = "" if each.exposure_s is None else f"{each.exposure_s:.5g}"
        begin = f"{when:<12}{each.target[:_TARGET] or '-':<{_TARGET}} {exposure:>7}"
        for camera, fates in each.cameras.items():
            counts = asdict(fates)
            if any(counts.values()):
                cells = zip(_COUNTS, widths, strict=True)
                line = "".join(f" {counts[name] or '-':>{width}}" for name, width in cells)
                click.echo(f"{begin} {camera:>3}{line}")
                begin = " " * len(begin)


def _widths(rows: Sequence[tuple[str, Slice]]) -> list[int]:
    """How wide each count's column is: as its longest number, and no less than its heading."""
    every = [asdict(fates) for _, each in rows for fates in each.cameras.values()]
    return [
        max(_LEAST_WIDTH, len(head), *(len(str(counts[name])) for counts in every))
        for name, head in zip(_COUNTS, _HEADINGS, strict=True)
    ]


def _minute(minute_us: int) -> str:
    """Hour and minute, UT and HST."""
    return f"{_clock(minute_us)} {_clock(minute_us + _HST_US)}"


def _clock(time_us: int) -> str:
    minutes = time_us // MINUTE_US % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _quality_line(kept: KeptQuality) -> str:
    batch = f"supplement {kept.batch - 1}: " if kept.batch > 1 else ""
    part = 100 * kept.synchronised / kept.expected if kept.expected else 0.0
    dubious = 100 * kept.dubious / kept.with_flc if kept.with_flc else 0.0
    return (
        f"{batch}{kept.synchronised} of {kept.expected} frames that could have a partner have one"
        f" ({part:.1f} %); {kept.dubious} of {kept.with_flc} with the FLC are dubious"
        f" ({dubious:.1f} %); offset moves by {kept.drift_us} us"
    )


def _as_json(found: _Found) -> dict[str, Any]:
    return {
        "kind": found.night.kind,
        "date": found.night.date,
        "minutes": [
            {
                "begins": time_json(each.minute_us),
                "target": each.target,
                "exposure_s": each.exposure_s,
                "cameras": {str(camera): asdict(fates) for camera, fates in each.cameras.items()},
            }
            for each in found.slices
        ],
        "quality": [asdict(each) for each in found.kept],
        "outside_limits": found.findings,
        "logger_faults": [logger_words.fault_json(fault) for fault in found.faults],
        "oddities": [oddity_json(each) for each in found.oddities],
    }
