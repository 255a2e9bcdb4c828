"""`vampd admin simulate`: write a night as the cameras do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import click

from vampd.errors import OperatorError, UsageError
from vampd.plain_json import plain_json
from vampd.simulation.logger_scenes import LOGGER_SCENES
from vampd.simulation.night import DEFAULT_DATE, DEFAULT_START, SimulatedNight
from vampd.simulation.random_scenes import random_scenes
from vampd.simulation.reference_scenes import REFERENCE_SCENES, scene_named
from vampd.simulation.scenes import Scene


@click.command("simulate")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--date", default=DEFAULT_DATE, show_default=True, help="UTC date, YYYYMMDD.")
@click.option("--start", default=DEFAULT_START, show_default=True, help="UTC time, HH:MM:SS.")
@click.option(
    "--scene", "names", multiple=True, metavar="NAME", help="Only this scene; repeatable."
)
@click.option("--random", "count", type=click.IntRange(1), help="So many random scenes instead.")
@click.option("--logger", is_flag=True, help="The scenes of a logger that fails, instead or also.")
@click.option("--faults", is_flag=True, help="With --random: some cubes are bad.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=math.inf,
    help="1 writes as fast as the cameras do, 10 ten times as fast; without it, all at once.",
)
@click.option("--append", is_flag=True, help="Add to a night that holds files already.")
@click.option("--truth", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@click.option("--list", "listing", is_flag=True, help="List the scenes and stop.")
@click.option("--dry-run", is_flag=True, help="Say what would be written and stop.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def command(
    *,
    folder: Path | None,
    date: str,
    start: str,
    names: tuple[str, ...],
    count: int | None,
    logger: bool,
    faults: bool,
    seed: int,
    speed: float,
    append: bool,
    truth: Path | None,
    listing: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a night of both cameras into FOLDER/YYYYMMDD.

    All scenes of the reference night, unless told otherwise. --logger: those of a
    logger that mixes, doubles and loses cubes and whose clock is wrong; with --random
    it does so at random. The truth says what must come out. Never a night that exists
    already, unless with --append.
    """
    scenes = _scenes(names, count, logger=logger, faults=faults, seed=seed)
    if listing and not names and count is None:
        scenes = (*REFERENCE_SCENES.values(), *LOGGER_SCENES.values())
    if listing:
        _list(scenes, as_json=as_json)
        return
    if folder is None:
        msg = "which FOLDER shall the night be written into?"
        raise UsageError(msg)
    if truth is not None and not truth.parent.is_dir():
        msg = f"{truth.parent} is not a folder, so the truth could not be written there"
        raise UsageError(msg)
    night = SimulatedNight(scenes, seed=seed, date=date, start=start)
    _refuse_to_mix(folder / date, append=append)
    if not dry_run:
        written = night.write(folder, speed=speed)
        if truth is not None:
            written.save(truth)
    _report(night, folder, truth, dry_run=dry_run, as_json=as_json)


def _scenes(
    names: tuple[str, ...], count: int | None, *, logger: bool, faults: bool, seed: int
) -> tuple[Scene, ...]:
    if count is None:
        if faults:
            msg = "--faults needs --random"
            raise UsageError(msg)
        own = LOGGER_SCENES if logger else {}
        chosen = dict.fromkeys((*names, *own)) or REFERENCE_SCENES
        return tuple(scene_named(name) for name in chosen)
    if names:
        msg = "either --scene or --random, not both"
        raise UsageError(msg)
    return random_scenes(seed, count=count, with_faults=faults, logger_fails=logger)


def _refuse_to_mix(night: Path, *, append: bool) -> None:
    """A real night must never get simulated cubes by mistake."""
    if not append and night.exists() and any(night.iterdir()):
        msg = f"{night} is not empty; nothing was written (use --append to add to it)"
        raise OperatorError(msg)


def _list(scenes: tuple[Scene, ...], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": scene.name,
                "triggers": scene.triggers,
                "period_us": scene.period_us,
                "exptime_s": scene.exptime_s,
                "flc": scene.flc,
                "external_trigger": scene.external_trigger,
                "detector_mode": scene.detector_mode,
                "faults": [one.fault.value for one in scene.faults],
                "logger": list(_logger_words(scene)),
            }
            for scene in scenes
        ]
        click.echo(plain_json({"schema": 1, "scenes": rows}))
        return
    click.echo(f"{'NAME':<18} {'TRIGGERS':>8} {'PERIOD':>11}  WHAT")
    for scene in scenes:
        what = (
            scene.detector_mode.upper(),
            "triggered" if scene.external_trigger else "free run",
            *(("FLC",) if scene.flc else ()),
            *(f"fault: {fault}" for fault in dict.fromkeys(one.fault for one in scene.faults)),
            *_logger_words(scene),
        )
        period = f"{scene.period_us / 1e3:.1f} ms"
        click.echo(f"{scene.name:<18} {scene.triggers:>8} {period:>11}  {', '.join(what)}")


def _logger_words(scene: Scene) -> Iterator[str]:
    """What the logger does wrong with whole cubes and its clock."""
    if scene.mixed:
        yield "cubes under the next one's name"
    if scene.doubled:
        yield "a cube twice"
    if any(scene.cube_spans):
        yield "cubes overlap"
    if any(pause_us < 0 for _, pause_us in scene.gaps):
        yield "the clock is set back"
    if scene.logger_ahead_s:
        yield f"clock {scene.logger_ahead_s} s ahead"


def _report(
    night: SimulatedNight, folder: Path, truth: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    cubes = sum(cube.has_cube for cube in night.cubes)
    frames = sum(len(cube.frames) for cube in night.cubes if cube.has_cube)
    faulty = sum(cube.is_faulty for cube in night.cubes)
    target = folder / night.date
    if as_json:
        answer = {
            "schema": 1,
            "night": str(target),
            "written": not dry_run,
            "scenes": len(night.laid),
            "cubes": cubes,
            "frames": frames,
            "faulty": faulty,
            "truth": None if truth is None or dry_run else str(truth),
        }
        click.echo(plain_json(answer))
        return
    verb = "would write" if dry_run else "wrote"
    click.echo(
        f"{verb} {cubes} cubes with {frames} frames in {len(night.laid)} scenes to {target}"
        f" ({faulty} of them faulty on purpose)"
    )
    if truth is not None and not dry_run:
        click.echo(f"wrote the truth to {truth}")
