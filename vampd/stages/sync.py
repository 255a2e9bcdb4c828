"""Decide every output of a night from timing and headers; never a pixel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampd.causes import Cause
from vampd.errors import InputError
from vampd.ledger import clock_words, files, logger_faults, nights, outputs, tasks
from vampd.ledger.blobs import unpack_times
from vampd.ledger.connection import Ledger
from vampd.ledger.logger_faults import Fault
from vampd.ledger.records import Cube, Night
from vampd.ledger.tasks import Task
from vampd.records import Plan, RawCube, Report
from vampd.science.clocks import Clock, on_utc
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.doubles import NO_DOUBLES, Doubles
from vampd.science.quality import OutOfLimits, Quality, QualityLimits, measure, out_of_limits
from vampd.stages import doubles, replan, sidecar_jobs
from vampd.states import FileCode, HoldCode, LoggerFault, Stage

_EMPTY = "every cube that could be used was quarantined"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Timed:
    """A cube that only the logger timed, and what is known of its clock."""

    raw_file: int
    path: str
    camera: int
    acquired_us: NDArray[np.int64]  #: on UTC, if the clock is proved
    clock: Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A night's plan, and in what it is not as good as it could be."""

    plan: Plan
    quality: Quality
    findings: tuple[OutOfLimits, ...]
    holds: tuple[str, ...]  #: the findings for which a night is held
    clocks: tuple[Timed, ...] = ()  #: cubes that only the logger timed
    doubles: Doubles = NO_DOUBLES  #: cubes that are there twice, or overlap


def prepare(
    ledger: Ledger, night: Night, limits: CubeLimits, quality: QualityLimits
) -> dict[str, Any]:
    """Everything the plan needs, as plain values."""
    return {
        "quality": quality,
        "limits": plain_limits(limits),
        "cubes": files.cubes_of(ledger, night["id"]),
        "before": replan.prepare(ledger, night),
        "earlier": files.earlier_cubes_of(ledger, night["id"]),
        "taken_names": [
            row["name"]
            for row in outputs.outputs_of(ledger, night["id"])
            if row["batch"] < night["batch"]
        ],
    }


def plain_limits(limits: CubeLimits) -> dict[str, Any]:
    """Where cubes are cut, as plain values."""
    return {
        "max_seconds": limits.max_seconds,
        "max_gap_seconds": limits.max_gap_seconds,
        "max_bytes": limits.max_bytes,
    }


def work(job: Mapping[str, Any]) -> Planned:
    """Plan the night. The plan is a value, and goes back as it is.

    RetryableError: what an older plan made is to be set aside, and the disk is not there.
    """
    every = [raw_cube(row) for row in job["cubes"]]
    on_time, clocks = on_utc(every, others=[raw_cube(row) for row in job["earlier"]])
    before = job["before"]
    used = [raw_cube(replace(row, ahead_us=0)) for row in job["earlier"] if row["is_used"]]
    found = doubles.find(job, on_time, used)
    cubes = list(found.cubes)
    plan = plan_night(
        cubes,
        CubeLimits(**job["limits"]),
        taken_names=job["taken_names"],
        begins_us=before["begins_us"],
    )
    doubled = [one.rejected for one in found.duplicates]
    rejected = (*plan.rejected, *doubled, *replan.without_given_up(before))
    plan = replace(plan, rejected=rejected)
    replan.set_aside(before, plan)
    quality = measure(cubes, plan)
    findings = tuple(out_of_limits(quality, job["quality"]))
    holding = [found.text for found in findings if found.measure in job["quality"].hold]
    return Planned(
        plan=plan,
        quality=quality,
        findings=findings,
        holds=tuple(holding),
        clocks=tuple(_timed(every, on_time, clocks)),
        doubles=found,
    )


def record(ledger: Ledger, task: Task, planned: Planned, *, confirms: bool = False) -> None:
    """Write the plan and the build tasks that follow from it; hold a night that is too bad.

    What an older plan made of the same stays: one that lost raw files that were given up, or, where
    this one *confirms*, one that was made while the night went on.
    """
    night = task.night
    with ledger.transaction():
        row = nights.get_night(ledger, night)
        if outputs.outputs_of_batch(ledger, night):
            replan.record(ledger, row, planned.plan, replan.CLOSED if confirms else replan.GIVEN_UP)
            _record_clocks(ledger, night, planned.clocks)
            doubles.record(ledger, row, planned.doubles)
            if confirms:
                _hold_for(ledger, night, planned.holds)
        else:
            _record_first(ledger, night, planned)
        outputs.store_quality(ledger, night, planned.quality)
        findings = [Report(raw_file=None, text=found.text) for found in planned.findings]
        outputs.add_reports(ledger, night, Stage.SYNC, findings)
        outputs.add_reports(ledger, night, Stage.SYNC, _reports_of_timing(ledger, night))


def _record_first(ledger: Ledger, night: int, planned: Planned) -> None:
    outputs.forget_plan(ledger, night, "planned anew")
    _record_clocks(ledger, night, planned.clocks)
    doubles.record(ledger, nights.get_night(ledger, night), planned.doubles)
    outputs.store_plan(ledger, night, planned.plan)
    if not planned.plan.outputs and not planned.plan.rejected:
        replan.end_empty(ledger, nights.get_night(ledger, night), _EMPTY)
        return
    _hold_for(ledger, night, planned.holds)
    for output in outputs.outputs_of_batch(ledger, night):
        tasks.add_task(ledger, night, Stage.BUILD, outputs.unit_of(output))
    tasks.add_task(ledger, night, Stage.BUILD, sidecar_jobs.UNIT)


def _hold_for(ledger: Ledger, night: int, holds: Sequence[str]) -> None:
    if holds:
        nights.hold(ledger, night, Cause(HoldCode.QUALITY, {"findings": "; ".join(holds)}))


def _timed(
    every: Sequence[RawCube], proved: Sequence[RawCube], clocks: Mapping[int, Clock]
) -> Iterator[Timed]:
    times = {cube.raw_file: cube.acquired_us for cube in proved}
    for cube in every:
        if cube.raw_file in clocks:
            yield Timed(
                raw_file=cube.raw_file,
                path=cube.path,
                camera=cube.camera,
                acquired_us=times.get(cube.raw_file, cube.acquired_us),
                clock=clocks[cube.raw_file],
            )


def _record_clocks(ledger: Ledger, night: int, clocks: Iterable[Timed]) -> None:
    """Take off what the logger's clock was ahead; quarantine cubes of which nobody knows it."""
    faults = []
    for timed in clocks:
        ahead_s = timed.clock.ahead_s
        if ahead_s is None:
            cause = Cause(FileCode.CLOCK, {"clock": timed.clock.text})
            files.quarantine(ledger, night, timed.path, cause)
            continue
        files.correct_times(ledger, timed.raw_file, timed.acquired_us, ahead_s * 1_000_000)
        if ahead_s or timed.clock.is_stated:
            text = f"{timed.path}: {ahead_s} s taken off: {timed.clock.text}"
            report = Report(raw_file=timed.raw_file, text=text)
            outputs.add_reports(ledger, night, Stage.SYNC, [report])
            faults.append(_clock_fault(timed, text))
    row = nights.get_night(ledger, night)
    logger_faults.renew(ledger, row, {LoggerFault.CLOCK}, faults)


def _clock_fault(timed: Timed, text: str) -> Fault:
    return Fault(
        fault=LoggerFault.CLOCK,
        camera=timed.camera,
        cubes=1,
        frames=len(timed.acquired_us),
        text=text,
        raw_file=timed.raw_file,
    )


def raw_cube(row: Cube) -> RawCube:
    """A cube as the plan sees it, from its row. InputError: it has more or fewer times."""
    acquired_us = unpack_times(row["acquired"])
    # As the logger wrote them: what proved its clock at an earlier plan may be gone.
    acquired_us = np.where(acquired_us > 0, acquired_us + row["ahead_us"], 0)
    if len(acquired_us) != row["frames"]:
        msg = f"{row['path']}: {len(acquired_us)} times for {row['frames']} frames"
        raise InputError(msg, path=row["path"])
    return RawCube(
        raw_file=row["raw_file"],
        path=row["path"],
        camera=row["camera"],
        width=row["width"],
        height=row["height"],
        cards=json.loads(row["cards"]),
        acquired_us=acquired_us,
        rejected={int(frame): why for frame, why in json.loads(row["rejected"]).items()},
        has_acquisition=bool(row["has_acquisition"]),
        is_old=bool(row["is_old"]),
        lag_us=row["lag_us"],
        written_us=row["written_us"],
        counts=None if row["first_count"] is None else (row["first_count"], row["last_count"]),
        stated_clock=clock_words.stated_clock(row),
    )


def _reports_of_timing(ledger: Ledger, night: int) -> list[Report]:
    return [
        Report(raw_file=row["raw_file"], text=f"{row['path']}: {text}")
        for row in files.cubes_of(ledger, night)
        for text in json.loads(row["reports"])
    ]
