"""Building, seen from the ledger: what a worker needs to know, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vampd.io.fits import Shape
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, SCRATCH_FOLDER, TIMING_ENDING
from vampd.ledger import deliveries, files, outputs
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.nights import get_night
from vampd.ledger.records import Night, Output
from vampd.ledger.tasks import Task
from vampd.settings.sections import Compress, Config
from vampd.stages import build, live, sidecar, sidecar_jobs

_THERE = "the same bytes lie at the far end"


def prepare(ledger: Ledger, night: Night, unit: str, config: Config) -> dict[str, Any]:
    """The job of one cube and camera, as `build.work` takes it, or of the night's sidecar."""
    if unit == sidecar_jobs.UNIT:
        return sidecar_jobs.prepare(ledger, night, SCRATCH_FOLDER, config.disk)
    compress = config.compress
    rows = outputs.outputs_of_unit(ledger, night["id"], unit)
    segments = {row["id"]: outputs.segments_of(ledger, row["id"]) for row in rows}
    every = [segment for of_output in segments.values() for segment in of_output]
    own = {segment["raw_file"] for segment in every}
    partners = {segment["partner_file"] for segment in every} - {None}
    live.demand_settled(ledger, night, rows, own | partners | {row["header_file"] for row in rows})
    times = outputs.times_of(ledger, own | partners)
    return {
        "night": night["folder"],
        "scratch": SCRATCH_FOLDER,
        "tiles": compress.tiles,
        "tried": outputs.tried_headers(ledger, night["id"]),
        "read_whole": _read_whole(ledger, night, rows, compress),
        "verify": compress.verify,
        "raw": files.plain_raw_files(ledger, own | {row["header_file"] for row in rows}),
        "outputs": [
            {
                "output": row["id"],
                "file_name": outputs.file_name(row),
                "synchronised": bool(row["synchronised"]),
                "flc_state": row["flc_state"],
                "frame_id": None if row["frame_id"] is None else frame_id_text(row["frame_id"]),
                "first_us": row["first_us"],
                "last_us": row["last_us"],
                "header_file": row["header_file"],
                "segments": [
                    [part["raw_file"], part["first"], part["step"], part["count"]]
                    for part in segments[row["id"]]
                ],
                "acquired_us": outputs.acquired_us(segments[row["id"]], times),
                "sha256": row["sha256"],
            }
            for row in rows
        ],
    }


def _read_whole(
    ledger: Ledger, night: Night, rows: Sequence[Output], compress: Compress
) -> list[int]:
    """The outputs of which others must read every frame: all, or the first of each shape."""
    if compress.verify == "all":
        return [row["id"] for row in rows]
    seen: set[tuple[int, int, bool]] = set()
    chosen = []
    for row in rows:
        layout = _layout(row, row["frames"], compress)
        if layout not in seen and layout not in _built(ledger, night, row, compress):
            chosen.append(row["id"])
            seen.add(layout)
    return chosen


def _built(
    ledger: Ledger, night: Night, row: Output, compress: Compress
) -> set[tuple[int, int, bool]]:
    """The layouts of outputs with the shape of *row* that are built: one, if it is the same.

    Nearly always the first that is found has it, and the others need not be looked at.
    """
    same = "night = ? and width = ? and height = ? and state != 'planned'"
    shape = [night["id"], row["width"], row["height"]]
    one = ledger.value(f"select frames from output where {same} limit 1", shape)  # noqa: S608
    if one is None:
        return set()
    if (found := _layout(row, one, compress)) == _layout(row, row["frames"], compress):
        return {found}
    ends = ledger.row(
        f"select min(frames) as least, max(frames) as most from output where {same}",  # noqa: S608
        shape,
    )
    assert ends is not None
    return {_layout(row, ends[frames], compress) for frames in ("least", "most")}


def _layout(row: Output, frames: int, compress: Compress) -> tuple[int, int, bool]:
    """What makes one file differ from another to a reader, beside its cards."""
    width, height = row["width"], row["height"]
    shape = Shape(width=width, height=height, frames=frames, tiles=compress.tiles)
    return width, height, shape.needs_64_bit


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Build an output's cube, or the sidecar."""
    return sidecar.work(job) if job.get("unit") == sidecar_jobs.UNIT else build.work(job)


def record(ledger: Ledger, task: Task, result: Mapping[str, Any]) -> None:
    """Keep sizes and digests, and list the files for the other machine."""
    night = get_night(ledger, task.night)
    if task.unit == sidecar_jobs.UNIT:
        sidecar_jobs.record(ledger, night, result)
        return
    names = {
        row["id"]: outputs.file_name(row)
        for row in outputs.outputs_of_unit(ledger, night["id"], task.unit)
    }
    for built in result["outputs"]:
        outputs.record_built(ledger, built)
        path = f"{OUTPUT_FOLDER}/{names[built['output']]}"
        deliveries.list_file(
            ledger, night["id"], path + OUTPUT_ENDING, built["size_bytes"], built["sha256"]
        )
        deliveries.list_file(
            ledger,
            night["id"],
            path + TIMING_ENDING,
            built["timing_size_bytes"],
            built["timing_sha256"],
        )
        # Of a night that goes on they may have been sent and verified meanwhile, the same bytes.
        outputs.mark_if_verified(ledger, night["id"], built["output"], path, _THERE)
    for what, where in result["reports"]:
        outputs.add_card_report(ledger, night["id"], what, where)
    outputs.add_tried_headers(ledger, night["id"], result["tried"])
