"""Decide every output of a night from timing and headers; never a pixel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.causes import Cause
from vampd.ledger import cubes, files, logger_faults, nights, outputs, reports, tasks
from vampd.ledger import live as goes_on
from vampd.ledger.connection import Ledger
from vampd.ledger.logger_faults import Fault
from vampd.ledger.records import Cube, EarlierCube, Night
from vampd.ledger.tasks import Task
from vampd.records import Plan, RawCube, Report
from vampd.science.clocks import Clock, on_utc
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.doubles import NO_DOUBLES, Doubles
from vampd.science.live import Advance
from vampd.science.quality import OutOfLimits, Quality, QualityLimits, measure, out_of_limits
from vampd.settings.sections import Config
from vampd.stages import doubles, live, replan, sidecar_job
from vampd.stages.handler import StageHandler
from vampd.stages.live import MoreJob
from vampd.stages.raw_cubes import SeenCube, raw_cube
from vampd.stages.replan import Before
from vampd.states import FileCode, HoldCode, LoggerFault, Stage

_EMPTY = "every cube that could be used was quarantined"


class Timed(Struct, frozen=True, kw_only=True, eq=False):
    """A cube that only the logger timed, and what is known of its clock."""

    raw_file: int
    path: str
    camera: int
    acquired_us: NDArray[np.int64]  #: on UTC, if the clock is proved
    clock: Clock


class Planned(Struct, frozen=True, kw_only=True):
    """A night's plan, and in what it is not as good as it could be."""

    plan: Plan
    quality: Quality
    findings: tuple[OutOfLimits, ...]
    holds: tuple[str, ...]  #: the findings for which a night is held
    clocks: tuple[Timed, ...] = ()  #: cubes that only the logger timed
    doubles: Doubles = NO_DOUBLES  #: cubes that are there twice, or overlap


class SyncJob(Struct, frozen=True, kw_only=True, eq=False):
    """Everything that the plan of a night's batch needs."""

    attempt: int
    limits: CubeLimits
    quality: QualityLimits
    cubes: tuple[Cube, ...]
    earlier: tuple[EarlierCube, ...]  #: of earlier batches
    before: Before
    taken_names: tuple[str, ...]  #: of the outputs of earlier batches


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> SyncJob | MoreJob:
    """The job of a closed night: all of it; of one that goes on: what may be decided."""
    limits = cube_limits(config)
    if task.unit == goes_on.UNIT:
        return live.prepare_more(ledger, night, limits, attempt=task.attempts)
    job = job_of(ledger, night, limits, quality_limits(config), attempt=task.attempts)
    if goes_on.is_unconfirmed(ledger, night):
        # What was planned of a part binds nobody: all of it is planned as if it were the first.
        return replace(job, before=replace(job.before, begins_us=()))
    return job


def work(job: SyncJob | MoreJob) -> Planned | Advance:
    """Plan a night, or more of one that goes on."""
    match job:
        case SyncJob():
            return plan(job)
        case MoreJob():
            return live.plan_more(job)


def job_of(
    ledger: Ledger, night: Night, limits: CubeLimits, quality: QualityLimits, *, attempt: int
) -> SyncJob:
    """The job of a whole night."""
    return SyncJob(
        attempt=attempt,
        limits=limits,
        quality=quality,
        cubes=tuple(cubes.cubes_of(ledger, night.id)),
        earlier=tuple(cubes.earlier_cubes_of(ledger, night.id)),
        before=replan.prepare(ledger, night),
        taken_names=tuple(
            row.name for row in outputs.outputs_of(ledger, night.id) if row.batch < night.batch
        ),
    )


def cube_limits(config: Config) -> CubeLimits:
    """Where cubes are cut."""
    cubes = config.cubes
    return CubeLimits(
        max_seconds=cubes.max_seconds,
        max_gap_seconds=cubes.max_gap_seconds,
        max_bytes=cubes.max_bytes,
    )


def quality_limits(config: Config) -> QualityLimits:
    """Outside of what a night is reported, or held."""
    quality = config.quality
    return QualityLimits(
        least_synchronised_percent=quality.least_synchronised_percent,
        most_dubious_percent=quality.most_dubious_percent,
        most_drift_us=quality.most_drift_us,
        most_state_difference_percent=quality.most_state_difference_percent,
        most_rejected_percent=quality.most_rejected_percent,
        hold=quality.hold,
    )


def plan(job: SyncJob) -> Planned:
    """Plan the night. The plan is a value, and goes back as it is.

    RetryableError: what an older plan made is to be set aside, and the disk is not there.
    """
    every = [raw_cube(row) for row in job.cubes]
    on_time, clocks = on_utc(every, others=[raw_cube(row) for row in job.earlier])
    before = job.before
    rows = {row.raw_file: row for row in job.cubes}
    used = [
        SeenCube(cube=raw_cube(replace(row, ahead_us=0)), row=row)
        for row in job.earlier
        if row.is_used
    ]
    seen = [SeenCube(cube=cube, row=rows[cube.raw_file]) for cube in on_time]
    found = doubles.find(before.place, seen, used)
    cubes = list(found.cubes)
    plan = plan_night(cubes, job.limits, taken_names=job.taken_names, begins_us=before.begins_us)
    doubled = [one.rejected for one in found.duplicates]
    plan = replace(plan, rejected=(*plan.rejected, *doubled, *before.given_up))
    replan.set_aside(before, plan)
    quality = measure(cubes, plan)
    findings = tuple(out_of_limits(quality, job.quality))
    holding = [found.text for found in findings if found.measure in job.quality.hold]
    return Planned(
        plan=plan,
        quality=quality,
        findings=findings,
        holds=tuple(holding),
        clocks=tuple(_timed(every, on_time, clocks)),
        doubles=found,
    )


def record(ledger: Ledger, task: Task, result: Planned | Advance) -> None:
    """Write the plan, and the tasks that follow from it; hold a night that is too bad.

    What a plan that was made while the night went on made of the same stays.
    """
    match result:
        case Planned():
            _record_night(ledger, task, result)
        case Advance():
            live.record_more(ledger, task, result)


def _record_night(ledger: Ledger, task: Task, planned: Planned) -> None:
    night = nights.get_night(ledger, task.night)
    confirms = goes_on.is_unconfirmed(ledger, night)
    with ledger.transaction():
        before = outputs.outputs_of_batch(ledger, night.id) if confirms else []
        record_plan(ledger, night, planned, confirms=confirms)
        if confirms:
            live.confirm(ledger, night, before)


def record_plan(ledger: Ledger, row: Night, planned: Planned, *, confirms: bool = False) -> None:
    """Write the plan and the build tasks that follow from it; hold a night that is too bad.

    What an older plan made of the same stays: one that lost raw files that were given up, or, where
    this one *confirms*, one that was made while the night went on.
    """
    night = row.id
    with ledger.transaction():
        if outputs.outputs_of_batch(ledger, night):
            replan.record(ledger, row, planned.plan, replan.CLOSED if confirms else replan.GIVEN_UP)
            _record_clocks(ledger, night, planned.clocks)
            doubles.record(ledger, row, planned.doubles)
            if confirms:
                _hold_for(ledger, night, planned.holds)
        else:
            _record_first(ledger, night, planned)
        reports.store_quality(ledger, night, planned.quality)
        findings = [Report(raw_file=None, text=found.text) for found in planned.findings]
        reports.add_reports(ledger, night, Stage.SYNC, findings)
        reports.add_reports(ledger, night, Stage.SYNC, _reports_of_timing(ledger, night))


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
    tasks.add_task(ledger, night, Stage.BUILD, sidecar_job.UNIT)


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
        cubes.correct_times(ledger, timed.raw_file, timed.acquired_us, ahead_s * 1_000_000)
        if ahead_s or timed.clock.is_stated:
            text = f"{timed.path}: {ahead_s} s taken off: {timed.clock.text}"
            report = Report(raw_file=timed.raw_file, text=text)
            reports.add_reports(ledger, night, Stage.SYNC, [report])
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


def _reports_of_timing(ledger: Ledger, night: int) -> list[Report]:
    return [
        Report(raw_file=row.raw_file, text=f"{row.path}: {text}")
        for row in cubes.cubes_of(ledger, night)
        for text in json.loads(row.reports)
    ]


STAGE: StageHandler[SyncJob | MoreJob, Planned | Advance] = StageHandler(
    prepare=prepare, work=work, result=(Planned, Advance), record=record
)
