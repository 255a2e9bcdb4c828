"""How a trace is told: to people, and to programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vampd.commands.screen import (
    Screen,
    count_text,
    microsecond_text,
    paragraph,
    record_json,
    time_json,
    time_text,
)
from vampd.commands.tracer import Frame, Trace
from vampd.science.times import pair_time_us
from vampd.views.details import OutputRow
from vampd.views.history import Event
from vampd.views.tracing import Copy, FrameIdRow, RawCubeRow, Run

#: Of long lists, so many lines are shown to people; programs get all.
_LINES = 20

_LABEL = 8  # so that a line holds `SHA-256` and a digest


def lines(found: Trace, screen: Screen) -> Iterator[str]:
    """The whole screen."""
    for label, text in _facts(found):
        yield paragraph(f"{label:<{_LABEL}}", text, screen.width)
    runs = list(_runs(found))
    for line in runs[:_LINES]:
        yield paragraph(f"{'':<{_LABEL}}", line, screen.width)
    if len(runs) > _LINES:
        yield f"{'':<{_LABEL}}and {len(runs) - _LINES} more (--json has all)"
    for copy in found.copies:
        yield paragraph(f"{'copy':<{_LABEL}}", _copy(copy, found.place), screen.width)
    for number, move in enumerate(found.moves):
        label = "moves" if not number else ""
        yield paragraph(f"{label:<{_LABEL}}", _move(move), screen.width)


def _facts(found: Trace) -> Iterator[tuple[str, str]]:
    yield "night", f"{found.night}, {found.night.status}"
    if found.frame_id is not None:
        yield "ID", _frame_id(found)
    if found.output is not None:
        yield from _output(found.output, found.frame)
    if found.frame is not None:
        yield from _frame("raw", found.frame)
        if found.frame.output is None:
            yield "fate", _fate(found.frame)
    elif found.cube is not None:
        yield from _cube("raw", found.cube)
    if found.partner is not None:
        yield from _frame("partner", found.partner)
        yield from _pair(found.frame, found.partner)


def _frame_id(found: Trace) -> str:
    row = found.frame_id
    assert row is not None
    text = f"{_number(row)}, {row.state}, dealt {time_text(row.reserved_us)}"
    if found.output is None:
        text += f": {row.why or 'no reason was recorded'}; no output bears it now"
    return text


def _number(row: FrameIdRow) -> str:
    return f"VMPA{row.number:08d}"


def _output(output: OutputRow, frame: Frame | None) -> Iterator[tuple[str, str]]:
    position = "" if frame is None else f"frame {frame.position} of "
    yield "output", f"{position}{output.cube_path} ({count_text(output.frames, 'frame')})"
    kind = "synchronised" if output.synchronised else "solo"
    state = f", liquid crystal {output.flc_state}" if output.flc_state else ""
    yield "", f"{output.name}: camera {output.camera}, {kind}{state}, {output.state}"
    if output.sha256 is not None:
        yield "", f"SHA-256 {output.sha256}"
    if output.timing_sha256 is not None:
        yield "", f"timing file {output.timing_path}"
        yield "", f"SHA-256 {output.timing_sha256}"


def _frame(label: str, frame: Frame) -> Iterator[tuple[str, str]]:
    yield from _cube(label, frame.cube, f"frame {frame.number} of ")
    if frame.acquired_us is not None:
        yield "", f"acquired {microsecond_text(frame.acquired_us)}, by the camera's own time"
    else:
        yield "", "acquired at a time that is not known"
    if label == "partner" and frame.output is not None:
        yield "", f"is frame {frame.position} of {frame.output.cube_path}"


def _cube(label: str, cube: RawCubeRow, frame: str = "") -> Iterator[tuple[str, str]]:
    count = "frames not counted" if cube.frames is None else count_text(cube.frames, "frame")
    reason = f": {cube.reason}" if cube.reason else ""
    yield label, f"{frame}{cube.path} ({count}), {cube.state}{reason}"
    yield "", f"SHA-256 {cube.sha256 or 'not read yet'}"
    if cube.timing_path is not None:
        yield "", f"timing file {cube.timing_path}"
        yield "", f"SHA-256 {cube.timing_sha256 or 'not read yet'}"


def _pair(frame: Frame | None, partner: Frame) -> Iterator[tuple[str, str]]:
    if frame is None or frame.acquired_us is None or partner.acquired_us is None:
        return
    mean_us = pair_time_us(frame.acquired_us, partner.acquired_us)
    offset = frame.acquired_us - partner.acquired_us
    yield "pair", f"{microsecond_text(mean_us)}, the mean of both; {offset:+d} us to the partner"


def _fate(frame: Frame) -> str:
    if frame.run is not None:
        return f"rejected: {frame.run.reason}"
    if frame.cube.state == "whole":
        return "not planned yet: its night's sync is not done"
    return f"in no output: its cube is {frame.cube.state}"


def _runs(found: Trace) -> Iterator[str]:
    """Where all frames are, range by range, where no single frame was asked for."""
    for run in found.runs:
        last = run.first + run.step * (run.count - 1)
        step = f", every {run.step}." if run.step > 1 else ""
        raw = f"frames {run.first} to {last}{step}"
        if run.output is None:
            yield f"{raw} ({run.count}): rejected: {run.reason}"
            continue
        position = run.position or 0
        out = f"{position} to {position + run.count - 1}"
        if found.cube is not None:
            yield f"{raw} ({run.count}) are {out} of {found.names[run.output]}"
        else:
            yield f"{out} are {raw} of {found.names[run.raw_file]}"


def _copy(copy: Copy, place: str | None) -> str:
    where = f"{place}/{copy.path}" if place is not None else copy.path
    if copy.verified_us is not None:
        return f"{where}: same digest found there {time_text(copy.verified_us)}"
    if copy.verdict is not None:
        return f"{where}: {copy.verdict}"
    return f"{where}: {'sent, not verified' if copy.sent_us is not None else 'not sent'}"


def _move(event: Event) -> str:
    why = f": {event.why}" if event.why else ""
    by = f"{event.actor} {event.version}" if event.actor == "vampd" else event.actor
    what = "raw" if event.subject == "raw_file" else event.subject
    return f"{time_text(event.at_us)} {what} {event.became}, by {by}{why}"


def trace_json(found: Trace) -> dict[str, Any]:
    """The whole trace; what is not known is null."""
    return {
        "kind": found.night.kind,
        "date": found.night.date,
        "frame_id": None if found.frame_id is None else _frame_id_json(found.frame_id),
        "output": None if found.output is None else _output_json(found.output),
        "raw": None if found.cube is None else _cube_json(found.cube),
        "frame": None if found.frame is None else _frame_json(found.frame),
        "partner": None if found.partner is None else _frame_json(found.partner),
        "ranges": [_run_json(run, found) for run in found.runs],
        "place": found.place,
        "copies": [record_json(copy) for copy in found.copies],
        "moves": [
            record_json(event, "at_us", "subject", "was", "became", "actor", "why", "version")
            for event in found.moves
        ],
    }


def _frame_id_json(row: FrameIdRow) -> dict[str, Any]:
    return {
        "frame_id": _number(row),
        **record_json(row, "state", "dealt=reserved_us", "why"),
    }


def _output_json(output: OutputRow) -> dict[str, Any]:
    return {
        **record_json(output, "name", "path=cube_path", "timing_path", "camera", "synchronised"),
        "flc_state": output.flc_state or None,
        **record_json(output, "frames", "state", "sha256", "timing_sha256"),
    }


def _cube_json(cube: RawCubeRow) -> dict[str, Any]:
    return record_json(
        cube,
        *("path", "camera", "state", "reason", "frames", "size_bytes", "sha256", "timing_path"),
        *("timing_sha256", "seen_us"),
    )


def _frame_json(frame: Frame) -> dict[str, Any]:
    return {
        "raw": _cube_json(frame.cube),
        "raw_frame": frame.number,
        "acquired": time_json(frame.acquired_us),
        "output": None if frame.output is None else frame.output.cube_path,
        "output_frame": frame.position,
        "rejected": None if frame.run is None else frame.run.reason,
    }


def _run_json(run: Run, found: Trace) -> dict[str, Any]:
    key = run.output if found.cube is not None else run.raw_file
    return {
        **record_json(run, "first", "step", "count", "position", "reason"),
        "name": None if key is None else found.names[key],
    }
