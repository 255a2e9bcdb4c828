"""Build the outputs of one cube of one camera in one pass over its raw frames.

The worker's part: it takes plain values, touches only files, and returns plain values.

1. Each raw frame is read once, in time order, and goes to the output that it belongs to;
   each tile is decoded again and compared before it is written.
2. Each file is synchronised, dropped from the cache, read again, and its digest compared
   with that of what was meant to be written.
3. It is opened with another implementation, and its first, last and some frames are
   compared with the raw pixels; of those that are asked for, funpack must read every frame.
4. The raw files are asked whether they are still the same.
5. Only then do the files get their final names, one by one, never replacing another; their
   folder is made durable once, after the last.
6. Of the frames, added up as they passed, pictures are made; whatever comes of that.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import IntegrityError, ResourceError
from vampd.io.beneath import (
    Beneath,
    clear,
    create,
    create_folder,
    night_folder,
    remove,
)
from vampd.io.conformity import Readable
from vampd.io.fits import Shape, TileWriter, Verify
from vampd.io.publish import Published, prove_written, publish_together, write_bytes
from vampd.io.raw import RawCubeFile, RawFile
from vampd.io.readback import astropy_frames, funpack_frames
from vampd.io.stack import Stack
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.records import BuiltOutput, RawInput
from vampd.science.timing import output_timing, parse_timing
from vampd.stages.attempt_folder import attempt_folder
from vampd.stages.build_cards import image_cards
from vampd.stages.build_job import SHORTAGES, BuildJob, BuildResult
from vampd.stages.compare import OutputFrames, beside, demand_equal, frames_of, opened, pixel_bytes
from vampd.stages.quick_look import Looked, look

_SAMPLES = 5  # frames compared through the other implementation, the first and last included


class _Draft(Struct, frozen=True, kw_only=True, eq=False):
    """An output while it is written beside its final place."""

    output: OutputFrames
    path: Beneath
    descriptor: int
    writer: TileWriter
    reports: list[tuple[str, str]]


def build_cube(job: BuildJob) -> BuildResult:
    """Build, verify and publish the outputs of one cube of one camera.

    The outputs come in the job's order. The reports are of cards that were not kept as they were.

    InputError: a raw file is bad. IntegrityError: one changed, or what was written is not
    what came back. ResourceError: no space. Whatever is raised, there is no file under a
    final name that is not whole and proved.
    """
    outputs = [frames_of(entry) for entry in job.outputs]
    try:
        with opened(night_folder(job.night), job.raw) as cubes, ExitStack() as scratch:
            return _build(job, outputs, cubes, scratch)
    except OSError as error:
        if error.errno in SHORTAGES:
            msg = f"{outputs[0].name}: {error.strerror} ({error.filename or job.scratch})"
            raise ResourceError(msg) from error
        raise


def _build(
    job: BuildJob,
    outputs: Sequence[OutputFrames],
    cubes: Mapping[int, RawCubeFile],
    scratch: ExitStack,
) -> BuildResult:
    """The steps of the module's contract, in order. *scratch* removes what is left over."""
    night = night_folder(job.night)
    folder = scratch.enter_context(attempt_folder(job))
    create_folder(night / OUTPUT_FOLDER)
    timings = _timing_files(night, job.raw, outputs)
    trial = beside(folder, f"{outputs[0].name}.trial")
    readable = Readable(job.tried, job.tiles, trial)
    drafts = [
        _draft(output, cubes, folder, scratch, job=job, readable=readable) for output in outputs
    ]
    pixels = cubes[outputs[0].header_file].empty_frame()
    stacks = _stacks(drafts, pixels.shape) if job.quick_look else []
    _stream(drafts, cubes, pixels, [looked.stack for looked in stacks])
    proofs = [_prove(draft, cubes) for draft in drafts]
    for draft in drafts:
        if _is_read_whole(draft.output, job):
            _unpack(draft, cubes)
    for cube in cubes.values():
        cube.check_unchanged()
    timing_paths = [beside(folder, draft.output.name + TIMING_ENDING) for draft in drafts]
    timing_proofs = [
        _written(timing, path, scratch) for timing, path in zip(timings, timing_paths, strict=True)
    ]
    files = []
    for draft, proof, timing_path, timing_proof in zip(
        drafts, proofs, timing_paths, timing_proofs, strict=True
    ):
        final = night / OUTPUT_FOLDER / draft.output.name
        files.append((draft.path, final.with_name(final.name + OUTPUT_ENDING), proof))
        files.append((timing_path, final.with_name(final.name + TIMING_ENDING), timing_proof))
    publish_together(files)
    return BuildResult(
        outputs=tuple(
            _found(draft, proof, timing)
            for draft, proof, timing in zip(drafts, proofs, timing_proofs, strict=True)
        ),
        reports=tuple(dict.fromkeys(report for draft in drafts for report in draft.reports)),
        tried=tuple(readable.passed),
        looks=look(night, folder, stacks),
    )


def _timing_files(
    night: Beneath, raw: Mapping[int, RawInput], outputs: Sequence[OutputFrames]
) -> list[bytes]:
    """The outputs' timing files. One raw timing file is held at a time."""
    rows: list[list[bytes]] = [[b""] * len(output.frames) for output in outputs]
    comments: dict[int, tuple[str, ...]] = {}
    for number, entry in raw.items():
        file = RawFile(night, entry.timing_path, entry.timing_who)
        try:
            timing = parse_timing(file.read_all())
            file.check_unchanged()
        finally:
            file.close()
        comments[number] = timing.comments
        for output, chosen in zip(outputs, rows, strict=True):
            for index in np.flatnonzero(output.frames[:, 0] == number).tolist():
                chosen[index] = _row(timing.rows, output.frame(index).frame, file.path)
    return [
        output_timing(chosen, output.acquired_us, comments[output.header_file])
        for output, chosen in zip(outputs, rows, strict=True)
    ]


def _row(rows: Sequence[bytes], frame: int, path: str) -> bytes:
    if not 0 <= frame < len(rows):
        msg = f"{path}: frame {frame} was planned for, but there are {len(rows)} rows"
        raise IntegrityError(msg)
    return rows[frame]


def _draft(
    output: OutputFrames,
    cubes: Mapping[int, RawCubeFile],
    folder: Beneath,
    scratch: ExitStack,
    *,
    job: BuildJob,
    readable: Readable,
) -> _Draft:
    """An output's scratch file, ready to be streamed to."""
    header = cubes[output.header_file].header
    for number in set(output.frames[:, 0].tolist()):
        if (cubes[number].header.width, cubes[number].header.height) != (
            header.width,
            header.height,
        ):
            msg = f"{output.name}: {cubes[number].path} has frames of another shape"
            raise IntegrityError(msg)
    raw_path = cubes[output.header_file].path
    cards, reports = image_cards(header, output.card_arguments, readable)
    path = beside(folder, output.name + OUTPUT_ENDING)
    descriptor = create(path)
    scratch.callback(remove, path, missing_ok=True)
    scratch.callback(os.close, descriptor)
    shape = Shape(
        width=header.width, height=header.height, frames=len(output.frames), tiles=job.tiles
    )
    # CFITSIO decodes every frame of a file that funpack reads whole: from the disk, as others do.
    verify: Verify = "sample" if _is_read_whole(output, job) else job.verify
    writer = TileWriter(descriptor, cards, shape, name=output.name, verify=verify)
    return _Draft(
        output=output,
        path=path,
        descriptor=descriptor,
        writer=writer,
        reports=[
            (report.what, f"{raw_path}: {' '.join(report.card.split())}") for report in reports
        ],
    )


def _is_read_whole(output: OutputFrames, job: BuildJob) -> bool:
    """Whether funpack must read every frame of an output."""
    return job.read_whole is None or output.number in job.read_whole


def _stacks(drafts: Sequence[_Draft], shape: tuple[int, int]) -> list[Looked]:
    return [
        Looked(
            output=draft.output.number,
            name=draft.output.name,
            synchronised=draft.output.card_arguments.synchronised,
            flc_state=draft.output.card_arguments.flc_state,
            stack=Stack(shape),
        )
        for draft in drafts
    ]


def _stream(
    drafts: Sequence[_Draft],
    cubes: Mapping[int, RawCubeFile],
    pixels: NDArray[np.int16],
    stacks: Sequence[Stack],
) -> None:
    """Send every raw frame to its output, in the order of acquisition, and to its stack.

    *pixels* is where a frame is held where there are no stacks.
    """
    times = [
        [
            (time_us, number, index)
            for index, time_us in enumerate(draft.output.acquired_us.tolist())
        ]
        for number, draft in enumerate(drafts)
    ]
    for _, number, index in heapq.merge(*times):
        raw = drafts[number].output.frame(index)
        into = stacks[number].row if stacks else pixels
        cubes[raw.raw_file].read_frame(raw.frame, into)
        drafts[number].writer.append(into)
        if stacks:
            stacks[number].take()


def _prove(draft: _Draft, cubes: Mapping[int, RawCubeFile]) -> Published:
    """Finish a scratch file, and prove that it holds what it should."""
    written = draft.writer.finish()
    sha256 = prove_written(draft.descriptor, written, path=draft.path)
    last = len(draft.output.frames) - 1
    samples = sorted({last * index // (_SAMPLES - 1) for index in range(_SAMPLES)})
    found = astropy_frames(draft.path, samples)
    demand_equal(draft.output, cubes, samples, found)
    return Published(size_bytes=written.size_bytes, sha256=sha256)


def _unpack(draft: _Draft, cubes: Mapping[int, RawCubeFile]) -> None:
    """Compare every frame as funpack unpacks it. Needs room for the unpacked cube."""
    every = range(len(draft.output.frames))
    unpacked = draft.path.with_name(f"{draft.path.name}.unpacked")
    clear(unpacked)
    size_bytes = pixel_bytes(draft.output, cubes)
    found = funpack_frames(draft.path, unpacked, every, size_bytes=size_bytes)
    demand_equal(draft.output, cubes, every, found)


def _written(timing: bytes, path: Beneath, scratch: ExitStack) -> Published:
    """An output's timing file, proved, beside its final place."""
    scratch.callback(remove, path, missing_ok=True)
    return write_bytes(timing, path)


def _found(draft: _Draft, proof: Published, timing: Published) -> BuiltOutput:
    """What the ledger wants to know of an output's two files."""
    return BuiltOutput(
        output=draft.output.number,
        size_bytes=proof.size_bytes,
        sha256=proof.sha256,
        timing_size_bytes=timing.size_bytes,
        timing_sha256=timing.sha256,
    )
