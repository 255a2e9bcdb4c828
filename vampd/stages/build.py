"""Build the outputs of a night: for each cube and camera a task, and one for the sidecar."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vampd.io.fits import Shape
from vampd.layout import SCRATCH_FOLDER
from vampd.ledger import deliveries, files, outputs, quick_looks, reports
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.nights import get_night, label
from vampd.ledger.records import Night, Output
from vampd.ledger.tasks import Task
from vampd.plain_text import plain_text
from vampd.settings.sections import Compress, Config
from vampd.stages import live, sidecar_job
from vampd.stages.build_cube import build_cube
from vampd.stages.build_job import BuildJob, BuildResult, OutputJob
from vampd.stages.handler import StageHandler
from vampd.stages.sidecar import make_sidecar
from vampd.stages.sidecar_job import SidecarJob, SidecarResult

log = logging.getLogger(__name__)

_THERE = "the same bytes lie at the far end"


def prepare(ledger: Ledger, config: Config, night: Night, task: Task) -> BuildJob | SidecarJob:
    """The job of one cube and camera, or of the night's sidecar."""
    if task.unit == sidecar_job.UNIT:
        return sidecar_job.prepare(ledger, night, config.disk, attempt=task.attempts)
    return cube_job(
        ledger,
        night,
        task.unit,
        config.compress,
        attempt=task.attempts,
        quick_look=config.quick_look.enabled,
    )


def cube_job(
    ledger: Ledger,
    night: Night,
    unit: str,
    compress: Compress,
    *,
    attempt: int,
    quick_look: bool = False,
) -> BuildJob:
    """The job of one cube and camera."""
    rows = outputs.outputs_of_unit(ledger, night.id, unit)
    segments = {row.id: outputs.segments_of(ledger, row.id) for row in rows}
    every = [segment for of_output in segments.values() for segment in of_output]
    own = {segment.raw_file for segment in every}
    partners = {segment.partner_file for segment in every if segment.partner_file is not None}
    headers = {row.header_file for row in rows}
    live.demand_settled(ledger, night, rows, own | partners | headers)
    times = outputs.times_of(ledger, own | partners)
    return BuildJob(
        attempt=attempt,
        night=night.folder,
        unit=unit,
        scratch=SCRATCH_FOLDER,
        tiles=compress.tiles,
        verify=compress.verify,
        tried=reports.tried_headers(ledger, night.id),
        read_whole=_read_whole(ledger, night, rows, compress),
        quick_look=quick_look,
        raw=files.raw_inputs(ledger, own | headers),
        outputs=tuple(
            OutputJob(
                output=row.id,
                file_name=outputs.file_name(row),
                synchronised=row.synchronised,
                flc_state=row.flc_state,
                frame_id=None if row.frame_id is None else frame_id_text(row.frame_id),
                first_us=row.first_us,
                last_us=row.last_us,
                header_file=row.header_file,
                segments=tuple(
                    (part.raw_file, part.first, part.step, part.count) for part in segments[row.id]
                ),
                acquired_us=outputs.acquired_us(segments[row.id], times),
                sha256=row.sha256,
            )
            for row in rows
        ),
    )


def _read_whole(
    ledger: Ledger, night: Night, rows: Sequence[Output], compress: Compress
) -> list[int]:
    """The outputs of which others must read every frame: all, or the first of each shape."""
    if compress.verify == "all":
        return [row.id for row in rows]
    seen: set[tuple[int, int, bool]] = set()
    chosen = []
    for row in rows:
        layout = _layout(row, row.frames, compress)
        if layout not in seen and layout not in _built(ledger, night, row, compress):
            chosen.append(row.id)
            seen.add(layout)
    return chosen


def _built(
    ledger: Ledger, night: Night, row: Output, compress: Compress
) -> set[tuple[int, int, bool]]:
    """The layouts of outputs with the shape of *row* that are built: one, if it is the same.

    Nearly always the first that is found has it, and the others need not be looked at.
    """
    same = "night = ? and width = ? and height = ? and state != 'planned'"
    shape = [night.id, row.width, row.height]
    one = ledger.value(f"select frames from output where {same} limit 1", shape)  # noqa: S608
    if one is None:
        return set()
    if (found := _layout(row, one, compress)) == _layout(row, row.frames, compress):
        return {found}
    ends = ledger.row(
        f"select min(frames) as least, max(frames) as most from output where {same}",  # noqa: S608
        shape,
    )
    assert ends is not None
    return {_layout(row, ends[frames], compress) for frames in ("least", "most")}


def _layout(row: Output, frames: int, compress: Compress) -> tuple[int, int, bool]:
    """What makes one file differ from another to a reader, beside its cards."""
    width, height = row.width, row.height
    shape = Shape(width=width, height=height, frames=frames, tiles=compress.tiles)
    return width, height, shape.needs_64_bit


def work(job: BuildJob | SidecarJob) -> BuildResult | SidecarResult:
    """Build the outputs of a cube, or the sidecar."""
    match job:
        case BuildJob():
            return build_cube(job)
        case SidecarJob():
            return make_sidecar(job)


def record(ledger: Ledger, task: Task, result: BuildResult | SidecarResult) -> None:
    """Keep sizes and digests, and list the files for the other machine."""
    night = get_night(ledger, task.night)
    match result:
        case BuildResult():
            _record_cube(ledger, night, task.unit, result)
        case SidecarResult():
            sidecar_job.record(ledger, night, result)


def _record_cube(ledger: Ledger, night: Night, unit: str, result: BuildResult) -> None:
    rows = outputs.outputs_of_unit(ledger, night.id, unit)
    names = {row.id: outputs.files_of_output(outputs.file_name(row)) for row in rows}
    for built in result.outputs:
        outputs.record_built(ledger, built)
        cube, timing = names[built.output]
        deliveries.list_file(ledger, night.id, cube, built.size_bytes, built.sha256)
        deliveries.list_file(ledger, night.id, timing, built.timing_size_bytes, built.timing_sha256)
        # Of a night that goes on they may have been sent and verified meanwhile, the same bytes.
        outputs.mark_if_verified(ledger, night.id, built.output, names[built.output], _THERE)
    for what, where in result.reports:
        reports.add_card_report(ledger, night.id, what, where)
    reports.add_tried_headers(ledger, night.id, result.tried)
    quick_looks.record_quick_looks(ledger, night.id, result.looks.measures)
    if result.looks.trouble:
        why = plain_text(str(result.looks.trouble))
        log.warning("%s: no quick look at %s: %s", label(night), unit, why)


STAGE: StageHandler[BuildJob | SidecarJob, BuildResult | SidecarResult] = StageHandler(
    prepare=prepare, work=work, result=(BuildResult, SidecarResult), record=record
)
