"""Raw frames beside those of outputs: which comes from where, and whether they are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import IntegrityError, NotPlainError
from vampd.io.beneath import Beneath, create_folders, night_folder
from vampd.io.publish import digest_file
from vampd.io.raw import RawCubeFile
from vampd.io.readback import astropy_frames, funpack_frames
from vampd.io.scratch import owned
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.records import RawInput
from vampd.science.times import cube_times
from vampd.stages.build_cards import CardArguments
from vampd.stages.build_job import BuildJob, OutputJob


class RawFrame(NamedTuple):
    """One frame of one raw cube."""

    raw_file: int
    frame: int


class OutputFrames(Struct, frozen=True, kw_only=True, eq=False):
    """One output of a job; *frames* (n, 2) holds the raw file and frame of each of its own."""

    number: int
    name: str
    header_file: int
    frames: NDArray[np.int64]
    acquired_us: NDArray[np.int64]
    card_arguments: CardArguments

    def frame(self, index: int) -> RawFrame:
        """Where the frame at *index* comes from."""
        raw_file, frame = self.frames[index].tolist()
        return RawFrame(raw_file, frame)


def frames_of(entry: OutputJob) -> OutputFrames:
    """An output with each of its frames. ValueError: they are not as many as its times."""
    frames = [
        (raw_file, first + step * index)
        for raw_file, first, step, count in entry.segments
        for index in range(count)
    ]
    acquired_us = np.asarray(entry.acquired_us, dtype=np.int64)
    if not frames or acquired_us.shape != (len(frames),):
        msg = f"{entry.file_name}: {len(frames)} frames with {acquired_us.shape} times"
        raise ValueError(msg)
    return OutputFrames(
        number=entry.output,
        name=entry.file_name,
        header_file=entry.header_file,
        frames=np.array(frames, dtype=np.int64),
        acquired_us=acquired_us,
        card_arguments=CardArguments(
            frames=len(frames),
            times=cube_times(entry.first_us, entry.last_us),
            synchronised=entry.synchronised,
            flc_state=entry.flc_state,
            frame_id=entry.frame_id,
        ),
    )


@contextmanager
def opened(night: Beneath, raw: Mapping[int, RawInput]) -> Iterator[Mapping[int, RawCubeFile]]:
    """The raw cubes of a job, open, by their numbers."""
    with ExitStack() as stack:
        cubes: dict[int, RawCubeFile] = {}
        for number, entry in raw.items():
            cubes[number] = RawCubeFile(night, entry.path, entry.who)
            stack.callback(cubes[number].close)
        yield cubes


def compare_all_frames(job: BuildJob) -> list[str]:
    """Compare every frame of a job's published outputs with its raw frames.

    *job* is as for `work`, and each output also has the `sha256` that was recorded: other
    bytes are a difference, and are not given to a library. Cubes in whole-frame tiles are
    read with astropy, those in single rows with funpack, which needs room for the unpacked
    cube in the scratch folder. Returns what differs, one line each.

    IntegrityError: a raw file changed. InputError: one cannot be read.
    """
    night = night_folder(job.night)
    differences: list[str] = []
    with opened(night, job.raw) as cubes:
        for entry in job.outputs:
            path = night / f"{OUTPUT_FOLDER}/{entry.file_name}{OUTPUT_ENDING}"
            changed = _changed(path, entry.sha256)
            if changed:
                differences.append(changed)
                continue
            output = frames_of(entry)
            every = range(len(output.frames))
            if job.tiles == "frame":
                found = astropy_frames(path, every)
            else:
                scratch = create_folders(night, job.scratch, is_scratch=True)
                unpacked, size_bytes = beside(scratch, path.name), pixel_bytes(output, cubes)
                found = funpack_frames(path, unpacked, every, size_bytes=size_bytes)
            differences += _unreadable_or_differing(output, cubes, every, found)
        for cube in cubes.values():
            cube.check_unchanged()
    return differences


def _changed(path: Beneath, sha256: str | None) -> str | None:
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
    output: OutputFrames,
    cubes: Mapping[int, RawCubeFile],
    frames: Sequence[int],
    found: Iterable[NDArray[np.int16]],
) -> list[str]:
    try:
        return differences_of(output, cubes, frames, found)
    except IntegrityError as error:
        return [str(error)]


def pixel_bytes(output: OutputFrames, cubes: Mapping[int, RawCubeFile]) -> int:
    """What the pixels of an output's frames take, unpacked."""
    return cubes[output.header_file].header.frame_bytes * len(output.frames)


def demand_equal(
    output: OutputFrames,
    cubes: Mapping[int, RawCubeFile],
    frames: Sequence[int],
    found: Iterable[NDArray[np.int16]],
) -> None:
    """IntegrityError: *found*, the *frames* of an output, are not as their raw frames."""
    differences = differences_of(output, cubes, frames, found)
    if differences:
        raise IntegrityError("\n".join(differences))


def differences_of(
    output: OutputFrames,
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


def beside(folder: Beneath, final: str) -> Beneath:
    """Under a name of this process alone: a builder taken for dead cannot write into it."""
    return folder / owned(final)
