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
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vampd.errors import IntegrityError, NotPlainError, ResourceError
from vampd.io.beneath import (
    Beneath,
    clear,
    create,
    create_folder,
    create_folders,
    names_in,
    night_folder,
    remove,
)
from vampd.io.conformity import Readable
from vampd.io.fits import Shape, TileWriter, Verify
from vampd.io.publish import (
    Published,
    digest_file,
    prove_written,
    publish_together,
    write_bytes,
)
from vampd.io.raw import RawCubeFile, RawFile
from vampd.io.readback import astropy_frames, funpack_frames
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.records import FileIdentity
from vampd.science.times import cube_times
from vampd.science.timing import output_timing, parse_timing
from vampd.stages.build_cards import image_cards
from vampd.states import FlcState

_SAMPLES = 5  # frames compared through the other implementation, the first and last included
SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class _RawFrame(NamedTuple):
    """One frame of one raw cube."""

    raw_file: int
    frame: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Output:
    """One output of a job; *frames* (n, 2) holds the raw file and frame of each of its own."""

    number: int
    name: str
    header_file: int
    frames: NDArray[np.int64]
    acquired_us: NDArray[np.int64]
    card_arguments: Mapping[str, Any]

    def frame(self, index: int) -> _RawFrame:
        raw_file, frame = self.frames[index].tolist()
        return _RawFrame(raw_file, frame)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Draft:
    """An output while it is written beside its final place."""

    output: _Output
    path: Beneath
    descriptor: int
    writer: TileWriter
    reports: list[tuple[str, str]]


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Build, verify and publish the outputs of one cube of one camera.

    *job*::

        {"night": folder, "scratch": folder in the night,
         "tiles": "frame" or "row", "verify": "all" or "sample",
         "tried": [digest of a header that others were seen to read, ...],
         "read_whole": [number of an output that funpack must read whole, ...]; without: all,
         "raw": {number: {"path", "inode", "size_bytes", "modified_ns",
                          "timing": {"path", "inode", "size_bytes", "modified_ns"}}},
         "outputs": [{"output": number, "file_name": without ending, "synchronised": bool,
                      "flc_state": "", "A", "B" or "D", "frame_id": text or None,
                      "first_us", "last_us", "header_file": number,
                      "segments": [[raw_file, first, step, count], ...],
                      "acquired_us": (frames,)}]}

    Returns ``{"outputs": [{"output", "size_bytes", "sha256", "timing_size_bytes",
    "timing_sha256"}], "reports": [[what, "raw file: card"], ...], "tried": [digest, ...]}``, the
    outputs in the job's order. The reports are of cards that were not kept as they were; *what* is
    the same for all of one kind.

    InputError: a raw file is bad. IntegrityError: one changed, or what was written is not
    what came back. ResourceError: no space. Whatever is raised, there is no file under a
    final name that is not whole and proved.
    """
    outputs = [_output(entry) for entry in job["outputs"]]
    try:
        with _opened(night_folder(job["night"]), job["raw"]) as cubes, ExitStack() as scratch:
            return _build(job, outputs, cubes, scratch)
    except OSError as error:
        if error.errno in SHORTAGES:
            msg = f"{outputs[0].name}: {error.strerror} ({error.filename or job['scratch']})"
            raise ResourceError(msg) from error
        raise


def compare_all_frames(job: Mapping[str, Any]) -> list[str]:
    """Compare every frame of a job's published outputs with its raw frames.

    *job* is as for `work`, and each output also has the "sha256" that was recorded: other
    bytes are a difference, and are not given to a library. Cubes in whole-frame tiles are
    read with astropy, those in single rows with funpack, which needs room for the unpacked
    cube in the scratch folder. Returns what differs, one line each.

    IntegrityError: a raw file changed. InputError: one cannot be read.
    """
    night = night_folder(job["night"])
    differences: list[str] = []
    with _opened(night, job["raw"]) as cubes:
        for entry in job["outputs"]:
            path = night / f"{OUTPUT_FOLDER}/{entry['file_name']}{OUTPUT_ENDING}"
            changed = _changed(path, entry["sha256"])
            if changed:
                differences.append(changed)
                continue
            output = _output(entry)
            every = range(len(output.frames))
            if job["tiles"] == "frame":
                found = astropy_frames(path, every)
            else:
                scratch = create_folders(night, job["scratch"], is_scratch=True)
                unpacked, size_bytes = _beside(scratch, path.name), _pixel_bytes(output, cubes)
                found = funpack_frames(path, unpacked, every, size_bytes=size_bytes)
            differences += _unreadable_or_differing(output, cubes, every, found)
        for cube in cubes.values():
            cube.check_unchanged()
    return differences


def _changed(path: Beneath, sha256: str) -> str | None:
    """How a published file differs from its record; None where it does not."""
    try:
        found = digest_file(path)
    except FileNotFoundError:
        return f"{path.name}: missing"
    except NotPlainError as error:
        return f"{path.name}: {error}"
    if found.sha256 != sha256:
        return f"{path.name}: sha256 is {found.sha256}, recorded was {sha256}"
    return None


def _unreadable_or_differing(
    output: _Output,
    cubes: Mapping[int, RawCubeFile],
    frames: Sequence[int],
    found: Iterable[NDArray[np.int16]],
) -> list[str]:
    try:
        return _differences(output, cubes, frames, found)
    except IntegrityError as error:
        return [str(error)]


def _build(
    job: Mapping[str, Any],
    outputs: Sequence[_Output],
    cubes: Mapping[int, RawCubeFile],
    scratch: ExitStack,
) -> dict[str, Any]:
    """The steps of the module's contract, in order. *scratch* removes what is left over."""
    night = night_folder(job["night"])
    folder = create_folders(night, job["scratch"], is_scratch=True)
    create_folder(night / OUTPUT_FOLDER)
    timings = _timing_files(night, job["raw"], outputs)
    trial = _cleared(folder, f"{outputs[0].name}.trial")
    readable = Readable(job.get("tried", ()), job["tiles"], trial)
    drafts = [
        _draft(output, cubes, folder, scratch, job=job, readable=readable) for output in outputs
    ]
    _stream(drafts, cubes)
    proofs = [_prove(draft, cubes) for draft in drafts]
    for draft in drafts:
        if _is_read_whole(draft.output, job):
            _unpack(draft, cubes)
    for cube in cubes.values():
        cube.check_unchanged()
    timing_paths = [_cleared(folder, draft.output.name + TIMING_ENDING) for draft in drafts]
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
    return {
        "outputs": [
            _found(draft, proof, timing)
            for draft, proof, timing in zip(drafts, proofs, timing_proofs, strict=True)
        ],
        "reports": list(dict.fromkeys(report for draft in drafts for report in draft.reports)),
        "tried": readable.passed,
    }


def _output(entry: Mapping[str, Any]) -> _Output:
    frames = [
        (raw_file, first + step * index)
        for raw_file, first, step, count in entry["segments"]
        for index in range(count)
    ]
    acquired_us = np.asarray(entry["acquired_us"], dtype=np.int64)
    if not frames or acquired_us.shape != (len(frames),):
        msg = f"{entry['file_name']}: {len(frames)} frames with {acquired_us.shape} times"
        raise ValueError(msg)
    return _Output(
        number=entry["output"],
        name=entry["file_name"],
        header_file=entry["header_file"],
        frames=np.array(frames, dtype=np.int64),
        acquired_us=acquired_us,
        card_arguments={
            "frames": len(frames),
            "times": cube_times(entry["first_us"], entry["last_us"]),
            "synchronised": entry["synchronised"],
            "flc_state": FlcState(entry["flc_state"]),
            "frame_id": entry["frame_id"],
        },
    )


@contextmanager
def _opened(
    night: Beneath, raw: Mapping[int, Mapping[str, Any]]
) -> Iterator[Mapping[int, RawCubeFile]]:
    """The raw cubes of a job, open, by their numbers."""
    with ExitStack() as stack:
        cubes: dict[int, RawCubeFile] = {}
        for number, entry in raw.items():
            cubes[number] = RawCubeFile(night, entry["path"], _identity(entry))
            stack.callback(cubes[number].close)
        yield cubes


def _identity(entry: Mapping[str, Any]) -> FileIdentity:
    return FileIdentity(
        inode=entry["inode"], size_bytes=entry["size_bytes"], modified_ns=entry["modified_ns"]
    )


def _timing_files(
    night: Beneath, raw: Mapping[int, Mapping[str, Any]], outputs: Sequence[_Output]
) -> list[bytes]:
    """The outputs' timing files. One raw timing file is held at a time."""
    rows: list[list[bytes]] = [[b""] * len(output.frames) for output in outputs]
    comments: dict[int, tuple[str, ...]] = {}
    for number, entry in raw.items():
        file = RawFile(night, entry["timing"]["path"], _identity(entry["timing"]))
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
    output: _Output,
    cubes: Mapping[int, RawCubeFile],
    folder: Beneath,
    scratch: ExitStack,
    *,
    job: Mapping[str, Any],
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
    path = _cleared(folder, output.name + OUTPUT_ENDING)
    descriptor = create(path)
    scratch.callback(remove, path, missing_ok=True)
    scratch.callback(os.close, descriptor)
    shape = Shape(
        width=header.width, height=header.height, frames=len(output.frames), tiles=job["tiles"]
    )
    # CFITSIO decodes every frame of a file that funpack reads whole: from the disk, as others do.
    verify: Verify = "sample" if _is_read_whole(output, job) else job["verify"]
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


def _is_read_whole(output: _Output, job: Mapping[str, Any]) -> bool:
    """Whether funpack must read every frame of an output."""
    return output.number in job.get("read_whole", {output.number})


def _cleared(folder: Beneath, name: str) -> Beneath:
    """A scratch path of our own for *name*; what killed builders left behind is removed."""
    for left_over in names_in(folder):
        if left_over.startswith(f"{name}."):
            clear(folder / left_over)
    return _beside(folder, name)


def _beside(folder: Beneath, final: str) -> Beneath:
    """Under a name of this process alone: a builder taken for dead cannot write into it."""
    return folder / f"{final}.{os.getpid()}"


def _stream(drafts: Sequence[_Draft], cubes: Mapping[int, RawCubeFile]) -> None:
    """Send every raw frame to its output, in the order of acquisition."""
    times = [
        [
            (time_us, number, index)
            for index, time_us in enumerate(draft.output.acquired_us.tolist())
        ]
        for number, draft in enumerate(drafts)
    ]
    pixels = cubes[drafts[0].output.header_file].empty_frame()
    for _, number, index in heapq.merge(*times):
        raw = drafts[number].output.frame(index)
        cubes[raw.raw_file].read_frame(raw.frame, pixels)
        drafts[number].writer.append(pixels)


def _prove(draft: _Draft, cubes: Mapping[int, RawCubeFile]) -> Published:
    """Finish a scratch file, and prove that it holds what it should."""
    written = draft.writer.finish()
    sha256 = prove_written(draft.descriptor, written, path=draft.path)
    last = len(draft.output.frames) - 1
    samples = sorted({last * index // (_SAMPLES - 1) for index in range(_SAMPLES)})
    found = astropy_frames(draft.path, samples)
    _demand_equal(draft.output, cubes, samples, found)
    return Published(size_bytes=written.size_bytes, sha256=sha256)


def _unpack(draft: _Draft, cubes: Mapping[int, RawCubeFile]) -> None:
    """Compare every frame as funpack unpacks it. Needs room for the unpacked cube."""
    every = range(len(draft.output.frames))
    unpacked = draft.path.with_name(f"{draft.path.name}.unpacked")
    clear(unpacked)
    size_bytes = _pixel_bytes(draft.output, cubes)
    found = funpack_frames(draft.path, unpacked, every, size_bytes=size_bytes)
    _demand_equal(draft.output, cubes, every, found)


def _pixel_bytes(output: _Output, cubes: Mapping[int, RawCubeFile]) -> int:
    return cubes[output.header_file].header.frame_bytes * len(output.frames)


def _demand_equal(
    output: _Output,
    cubes: Mapping[int, RawCubeFile],
    frames: Sequence[int],
    found: Iterable[NDArray[np.int16]],
) -> None:
    differences = _differences(output, cubes, frames, found)
    if differences:
        raise IntegrityError("\n".join(differences))


def _differences(
    output: _Output,
    cubes: Mapping[int, RawCubeFile],
    frames: Sequence[int],
    found: Iterable[NDArray[np.int16]],
) -> list[str]:
    """What differs between the raw pixels and *found*, the *frames* of an output."""
    pixels = cubes[output.header_file].empty_frame()
    differences: list[str] = []
    for index, other in zip(frames, found, strict=True):
        raw = output.frame(index)
        cubes[raw.raw_file].read_frame(raw.frame, pixels)
        if not np.array_equal(pixels, other):
            differences.append(
                f"{output.name}{OUTPUT_ENDING}: frame {index} differs from frame {raw.frame} "
                f"of {cubes[raw.raw_file].path}"
            )
    return differences


def _written(timing: bytes, path: Beneath, scratch: ExitStack) -> Published:
    """An output's timing file, proved, beside its final place."""
    scratch.callback(remove, path, missing_ok=True)
    return write_bytes(timing, path)


def _found(draft: _Draft, proof: Published, timing: Published) -> dict[str, Any]:
    """What the ledger wants to know of an output's two files."""
    return {
        "output": draft.output.number,
        "size_bytes": proof.size_bytes,
        "sha256": proof.sha256,
        "timing_size_bytes": timing.size_bytes,
        "timing_sha256": timing.sha256,
    }
