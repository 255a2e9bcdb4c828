"""The plan in the ledger: output files, and where every frame of a raw cube went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.ledger import reports
from vampd.ledger.blobs import unpack_times
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.nights import batch_of
from vampd.ledger.records import Output, SegmentRow
from vampd.ledger.rows import fetch_all
from vampd.records import BuiltOutput, Plan, PlannedOutput, Segment
from vampd.science.times import pair_time_us
from vampd.states import OutputState, Stage


def store_plan(ledger: Ledger, night: int, plan: Plan) -> None:
    """Write the plan of a night's batch, in place of an older one that was forgotten before.

    The numbers of cubes and the order go on from where the earlier batches ended.
    """
    known = digests(ledger, night)
    with ledger.transaction():
        ordinals, cubes = used(ledger, night)
        for ordinal, output in enumerate(plan.outputs, start=ordinals):
            output = replace(output, cube=cubes + output.cube)  # noqa: PLW2901 - same output
            store_output(ledger, night, ordinal, output, content_key(output, known))
        store_rejected(ledger, night, plan)
        reports.add_reports(ledger, night, Stage.SYNC, plan.reports)


def add_outputs(ledger: Ledger, night: int, more: Sequence[PlannedOutput]) -> None:
    """Add outputs behind all that are planned of a night: of one that still goes on."""
    known = digests(ledger, night)
    with ledger.transaction():
        ordinals, cubes = used(ledger, night)
        numbers = {number: cubes + place for place, number in enumerate(_in_order(more))}
        for ordinal, output in enumerate(more, start=ordinals):
            renumbered = replace(output, cube=numbers[output.cube])
            store_output(ledger, night, ordinal, renumbered, content_key(output, known))


def _in_order(more: Sequence[PlannedOutput]) -> list[int]:
    return list(dict.fromkeys(output.cube for output in more))


def used(ledger: Ledger, night: int, *, but_batch: bool = False) -> tuple[int, int]:
    """How many places in the order, and numbers of cubes, are taken; or are by earlier batches."""
    row = ledger.row(
        "select coalesce(max(ordinal) + 1, 0), coalesce(max(cube) + 1, 0) from output"
        " where night = ?1 and (not ?2 or batch < (select batch from night where id = ?1))",
        [night, but_batch],
    )
    assert row is not None
    return row[0], row[1]


def store_output(ledger: Ledger, night: int, ordinal: int, output: PlannedOutput, key: str) -> None:
    """Write one output that is to be made, and where its frames come from."""
    batch = batch_of(ledger, night)
    number = ledger.insert(
        "output",
        night=night,
        batch=batch,
        ordinal=ordinal,
        cube=output.cube,
        camera=output.camera,
        synchronised=int(output.synchronised),
        flc_state=output.flc_state,
        name=output.name,
        frames=output.frames,
        width=output.width,
        height=output.height,
        first_us=output.first_us,
        last_us=output.last_us,
        header_file=output.header_file,
        content_key=key,
        state=OutputState.PLANNED,
        **ledger.stamp("planned"),
    )
    position = 0
    rows = []
    for segment in output.segments:
        rows.append((night, batch, number, position, *_segment_columns(segment)))
        position += segment.count
    ledger.connection.executemany(
        "insert into segment (night, batch, output, position, raw_file, first, step, count,"
        " partner_file, partner_first, partner_step) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def _segment_columns(segment: Segment) -> tuple[int | None, ...]:
    partner: tuple[int | None, ...] = (None, None, None)
    if segment.partner_file is not None:
        partner = (segment.partner_file, segment.partner_first, segment.partner_step)
    return (segment.raw_file, segment.first, segment.step, segment.count, *partner)


def store_rejected(ledger: Ledger, night: int, plan: Plan) -> None:
    """Write which frames are in no output, and why."""
    batch = batch_of(ledger, night)
    ledger.connection.executemany(
        "insert into segment (night, batch, raw_file, first, step, count, reason)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        [
            (night, batch, row.raw_file, row.first, row.step, row.count, row.reason)
            for row in plan.rejected
        ],
    )


def digests(ledger: Ledger, night: int) -> dict[int, str]:
    """What tells each raw cube, its timing file included, from any other."""
    rows = ledger.rows(
        "select raw_file.id, raw_file.path, raw_file.sha256, timing.sha256 as timing_sha256"
        " from raw_file left join cube on cube.raw_file = raw_file.id"
        " left join raw_file as timing on timing.id = cube.timing where raw_file.night = ?",
        [night],
    )
    return {row["id"]: f"{row['path']} {row['sha256']} {row['timing_sha256']}" for row in rows}


def content_key(output: PlannedOutput, known: Mapping[int, str]) -> str:
    """What an output is made of, in one digest: equal keys mean equal files.

    *known* holds the `digests` of its raw files.
    """
    content: list[Any] = [
        output.camera,
        output.synchronised,
        output.flc_state,
        output.name,
        output.first_us,
        output.last_us,
        known[output.header_file],
    ]
    for segment in output.segments:
        partner = None if segment.partner_file is None else known[segment.partner_file]
        content.append([known[segment.raw_file], *_segment_columns(segment)[1:4], partner])
        content.append([segment.partner_first, segment.partner_step])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def outputs_of(ledger: Ledger, night: int) -> list[Output]:
    """All outputs of a night, batch by batch, in the order of their frame IDs."""
    return fetch_all(
        Output, ledger, "select * from output where night = ? order by ordinal", [night]
    )


def outputs_of_batch(ledger: Ledger, night: int, batch: int | None = None) -> list[Output]:
    """The outputs of a batch, else of the one worked on, in the order of their frame IDs."""
    return fetch_all(
        Output,
        ledger,
        "select output.* from output join night on night.id = output.night"
        " and output.batch = coalesce(?2, night.batch) where night.id = ?1 order by ordinal",
        [night, batch],
    )


def unbuilt_of_batch(ledger: Ledger, night: int) -> list[Output]:
    """The outputs of the batch worked on that are not on the disk, in their order."""
    return fetch_all(
        Output,
        ledger,
        "select * from output where night = ?1 and state = 'planned'"
        " and batch = (select batch from night where id = ?1) order by ordinal",
        [night],
    )


def outputs_of_unit(ledger: Ledger, night: int, unit: str) -> list[Output]:
    """The outputs of one cube and camera; *unit* as `unit_of` names it."""
    cube, camera = unit.split(".")
    return fetch_all(
        Output,
        ledger,
        "select * from output where night = ? and cube = ? and camera = ? order by ordinal",
        [night, int(cube), int(camera)],
    )


def outputs_needing(ledger: Ledger, raw_file: int) -> list[Output]:
    """The outputs of all cubes in which frames of a raw cube are, its partners' among them."""
    return fetch_all(
        Output,
        ledger,
        "select * from output where (night, batch, cube) in (select output.night, output.batch,"
        " output.cube from output join segment on segment.output = output.id"
        " where segment.raw_file = ?1 or segment.partner_file = ?1) order by ordinal",
        [raw_file],
    )


def unit_of(output: Output) -> str:
    """The unit of work to which an output belongs."""
    return f"{output.cube}.{output.camera}"


def segments_of(ledger: Ledger, output: int) -> list[SegmentRow]:
    """The segments of one output, in the order of its frames."""
    return fetch_all(
        SegmentRow, ledger, "select * from segment where output = ? order by position", [output]
    )


def acquired_us(
    segments: Sequence[SegmentRow], times: Mapping[int, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Acquisition times of an output's frames: a pair's is floor((t1 + t2) / 2).

    *times* holds the camera's own times of each raw cube that the segments name.
    """
    parts = []
    for row in segments:
        steps = np.arange(row.count, dtype=np.int64)
        own = times[row.raw_file][row.first + steps * row.step]
        if row.partner is not None:
            number, first, step = row.partner
            own = pair_time_us(own, times[number][first + steps * step])
        parts.append(own)
    return np.concatenate(parts)


def times_of(ledger: Ledger, raw_files: Iterable[int]) -> dict[int, NDArray[np.int64]]:
    """The cameras' own acquisition times of raw cubes."""
    return {
        number: unpack_times(ledger.value("select acquired from cube where raw_file = ?", [number]))
        for number in set(raw_files)
    }


def bind_frame_ids(ledger: Ledger, numbers: Mapping[str, int], night: int) -> None:
    """Write the frame ID of each output of the batch; *numbers* by content."""
    for output in outputs_of_batch(ledger, night):
        ledger.update("output", output.id, frame_id=numbers[output.content_key])


def file_name(output: Output) -> str:
    """The output's name on disk, without ending: its frame ID where it has one."""
    if output.frame_id is not None:
        return frame_id_text(output.frame_id)
    return str(output.name)


def files_of_output(name: str) -> tuple[str, str]:
    """The two files of the output with that name on disk, relative to the night."""
    return f"{OUTPUT_FOLDER}/{name}{OUTPUT_ENDING}", f"{OUTPUT_FOLDER}/{name}{TIMING_ENDING}"


def record_built(ledger: Ledger, built: BuiltOutput) -> None:
    """Keep sizes and digests of a published output."""
    ledger.update(
        "output",
        built.output,
        state=OutputState.BUILT,
        size_bytes=built.size_bytes,
        sha256=built.sha256,
        timing_size_bytes=built.timing_size_bytes,
        timing_sha256=built.timing_sha256,
        **ledger.stamp("published and read back"),
    )


def mark_verified(ledger: Ledger, night: int, why: str) -> None:
    """Mark those built outputs of a night of which all files were found right at the far end."""
    rows = ledger.rows(
        "select path from deliverable where night = ? and verified_us is null", [night]
    )
    unverified = {row["path"] for row in rows}
    for output in fetch_all(
        Output, ledger, "select * from output where night = ? and state = 'built'", [night]
    ):
        if unverified.isdisjoint(files_of_output(file_name(output))):
            set_state(ledger, output.id, OutputState.VERIFIED, why)


def mark_if_verified(
    ledger: Ledger, night: int, output: int, paths: tuple[str, str], why: str
) -> None:
    """Mark an output that was built once more, where its files are right at the far end already.

    *paths*: of its two files.
    """
    unverified = ledger.value(
        "select 2 - count(verified_us) from deliverable where night = ? and path in (?, ?)",
        [night, *paths],
    )
    if unverified == 0:
        set_state(ledger, output, OutputState.VERIFIED, why)


def mark_all_verified(ledger: Ledger, night: int, why: str) -> None:
    """Mark every output of a night: all its files were found right at the far end."""
    for output in outputs_of(ledger, night):
        set_state(ledger, output.id, OutputState.VERIFIED, why)


def set_state(ledger: Ledger, output: int, state: OutputState, why: str) -> None:
    """The output is in *state* now, whatever it was in before."""
    ledger.update("output", output, state=state, **ledger.stamp(why))


def forget_plan(ledger: Ledger, night: int, why: str) -> None:
    """Forget the outputs of a night's batch; bound frame IDs stay with their contents."""
    batch = {"night": night, "batch": batch_of(ledger, night)}
    with ledger.transaction():
        for table in ("segment", "report", "deliverable"):
            ledger.execute(
                f"delete from {table} where night = :night and batch = :batch",  # noqa: S608
                batch,
            )
        ledger.execute(
            "update output set changed_us = :changed_us, changed_by = :changed_by, why = :why"
            " where night = :night and batch = :batch",
            {**ledger.stamp(why), **batch},
        )
        ledger.execute("delete from output where night = :night and batch = :batch", batch)


def forget_batches(ledger: Ledger, night: int, why: str) -> None:
    """Forget the outputs of all batches: what is in the night's folder becomes the first again.

    Frame IDs stay with the contents to which they were bound.
    """
    with ledger.transaction():
        for batch in range(batch_of(ledger, night), 0, -1):
            ledger.update("night", night, batch=batch)
            forget_plan(ledger, night, why)
        for table in ("raw_file", "frame_id"):
            ledger.execute(f"update {table} set batch = 1 where night = ?", [night])  # noqa: S608
