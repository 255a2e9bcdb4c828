"""`vampd admin shadow-report`: what a shadow would have done, and how the other result differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from vampd.commands import dates
from vampd.commands.screen import count_text, echo_json, paragraph, record_json
from vampd.errors import OperatorError
from vampd.ledger.reading import has_ledger, reading
from vampd.ledger.records import Night
from vampd.views.summaries import nights

if TYPE_CHECKING:  # numpy takes longer to import than the help to print
    from vampd.legacy.comparison import Comparison
    from vampd.legacy.pixels import PixelCount
    from vampd.legacy.planned import Planned
    from vampd.legacy.result import LegacyResult

_LINES = 20


class _Report(Struct, frozen=True, kw_only=True):
    """One night: the plan, the other result, and what differs."""

    night: Night
    folder: Path
    planned: Planned
    result: LegacyResult
    comparison: Comparison
    pixels: PixelCount | None


@click.command("shadow-report")
@click.argument("texts", metavar="[DATE]...", nargs=-1)
@dates.kind_option
@click.option("--pixels", is_flag=True, help="Also compare every frame's pixels: reads all of it.")
@click.option("--cubes", is_flag=True, help="Also a line for each of the other pipeline's cubes.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    texts: tuple[str, ...],
    kind: str | None,
    pixels: bool,
    cubes: bool,
    as_json: bool,
) -> None:
    """Compare the plan of `vampd admin run --shadow` with what lies in vgen2, frame by frame.

    A frame of the other pipeline's cubes is found by its camera and its time in the cube's timing
    file. Told are the frames that it lost, labelled otherwise, or gave another time, by cause.
    Without DATE: every night of the shadow.
    """
    from vampd.legacy.shadow import shadow_state

    config = context.obj.config()
    state = shadow_state(config)
    if not state.is_dir() or not has_ledger(state):
        msg = f"{state}: no shadow ran here; `vampd admin run --shadow` makes one"
        raise OperatorError(msg)
    roots = {root.kind: root.path for root in config.roots}
    with reading(state) as ledger:
        every = nights(ledger)
        reports = [
            _report(ledger, night, roots[night.kind] / night.date, pixels=pixels)
            for night in (dates.chosen(every, texts, kind) if texts else every)
        ]
    if as_json:
        echo_json({"nights": [_as_json(report) for report in reports]})
        return
    for report in reports:
        _show(report, cubes=cubes)
    if not reports:
        click.echo("the shadow knows no night yet")


def _report(ledger: Any, night: Night, folder: Path, *, pixels: bool) -> _Report:
    from vampd.io.beneath import night_folder
    from vampd.legacy.comparison import compare
    from vampd.legacy.pixels import compare_pixels
    from vampd.legacy.planned import planned_frames
    from vampd.legacy.result import read_result

    planned = planned_frames(ledger, night.id)
    result = read_result(folder)
    moved = [number for number, cube in enumerate(result.cubes) if cube.moved]
    comparison = compare(planned.frames, result.frames, moved)
    counted = None
    if pixels:
        paths = [night_folder(folder) / cube.path for cube in result.cubes]
        counted = compare_pixels(folder, planned, paths, result.frames.cube, comparison.place)
    return _Report(
        night=night,
        folder=folder,
        planned=planned,
        result=result,
        comparison=comparison,
        pixels=counted,
    )


def _show(report: _Report, *, cubes: bool) -> None:
    planned, result = report.planned, report.result
    click.echo(f"{report.night}, {report.folder}: {report.night.status}")
    if not len(planned.frames):
        click.echo("  nothing is planned yet: the night is not over, or holds no usable cube")
        return
    here = count_text(planned.outputs, "output")
    click.echo(f"  vampd        {count_text(len(planned.frames), 'frame')} in {here}")
    left = f"{count_text(planned.rejected, 'frame')} rejected"
    click.echo(f"               {left}, {count_text(len(planned.quarantined), 'cube')} quarantined")
    there = count_text(len(result.cubes), "cube")
    click.echo(f"  the other    {count_text(len(result.frames), 'frame')} in {there}")
    if not result.cubes:
        return
    click.echo(f"  alike        {count_text(report.comparison.same, 'frame')}")
    for difference, count in report.comparison.counts().most_common():
        click.echo(paragraph(f"  {count:>10}  ", difference.value))
    for line in _pixel_lines(report):
        click.echo(paragraph("  pixels       ", line))
    for problem in result.problems[:_LINES]:
        click.echo(paragraph("  ! ", problem))
    if len(result.problems) > _LINES:
        click.echo(f"  ! and {len(result.problems) - _LINES} more (--json has all)")
    for line in _cube_lines(report) if cubes else ():
        click.echo(f"  {line}")


def _pixel_lines(report: _Report) -> Iterator[str]:
    if report.pixels is None:
        return
    yield f"{count_text(report.pixels.equal, 'frame')} equal, {report.pixels.different} different"
    yield from report.pixels.problems[:_LINES]


def _cube_lines(report: _Report) -> Iterator[str]:
    for cube in _cubes(report):
        differing = ", ".join(f"{count} {name}" for name, count in cube.differences.items())
        yield f"{cube.path} ({cube.name}): {cube.frames} frames; {differing or 'alike'}"


class _Cube(Struct, frozen=True, kw_only=True):
    path: str
    name: str
    frames: int
    differences: Mapping[str, int]


def _cubes(report: _Report) -> list[_Cube]:
    """Each of the other pipeline's cubes, with the differences of its frames."""
    from vampd.legacy.comparison import per_cube

    counts = per_cube(report.comparison, report.result.frames)
    return [
        _Cube(
            path=cube.path,
            name=cube.name,
            frames=cube.frames,
            differences={
                difference.value: int(count[number])
                for difference, count in counts.items()
                if count[number]
            },
        )
        for number, cube in enumerate(report.result.cubes)
    ]


def _as_json(report: _Report) -> dict[str, Any]:
    planned, pixels = report.planned, report.pixels
    return {
        "kind": report.night.kind,
        "date": report.night.date,
        "folder": str(report.folder),
        "status": report.night.status,
        "planned": {
            "frames": len(planned.frames),
            "outputs": planned.outputs,
            "rejected": planned.rejected,
            "quarantined": list(planned.quarantined),
        },
        "theirs": {"frames": len(report.result.frames), "cubes": len(report.result.cubes)},
        "alike": report.comparison.same,
        "differences": {
            difference.name.lower(): {"meaning": difference.value, "frames": count}
            for difference, count in report.comparison.counts().items()
        },
        "pixels": None
        if pixels is None
        else {
            "equal": pixels.equal,
            "different": pixels.different,
            "problems": list(pixels.problems),
        },
        "cubes": [record_json(cube) for cube in _cubes(report)],
        "problems": list(report.result.problems),
    }
