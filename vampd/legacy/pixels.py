"""Whether the frames of the earlier pipeline's cubes have the pixels of the raw frames they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import InputError, IntegrityError, OperatorError
from vampd.io.beneath import Beneath, night_folder
from vampd.io.raw import RawCubeFile
from vampd.io.readback import astropy_frames
from vampd.legacy.planned import Planned, RawCubeRow
from vampd.watch.incumbent import raw_place


class PixelCount(Struct, frozen=True, kw_only=True):
    """How many frames were compared, and which cubes could not be."""

    equal: int
    different: int
    problems: tuple[str, ...]


def compare_pixels(
    night: Path,
    planned: Planned,
    cubes: Sequence[Beneath],
    cube_of: NDArray[np.int64],
    place: NDArray[np.int64],
) -> PixelCount:
    """Decode every matched frame of *cubes* and compare it with the raw one, frame by frame.

    *night* holds the raw cubes of the plan, or the backup of them. *cube_of* and *place* are
    (their frames,): the number of the cube, ascending, and that of our frame, or -1.
    """
    counts = np.zeros(2, dtype=np.int64)
    problems: list[str] = []
    first = np.searchsorted(cube_of, np.arange(len(cubes) + 1)).tolist()
    for number, path in enumerate(cubes):
        frames = place[first[number] : first[number + 1]]
        try:
            with _RawCubes(night, planned.raw) as raw:
                for equal in _equal_frames(path, frames, planned, raw):
                    counts[int(equal)] += 1
        except (IntegrityError, InputError, OperatorError) as error:
            problems.append(str(error))
    return PixelCount(equal=int(counts[1]), different=int(counts[0]), problems=tuple(problems))


def _equal_frames(
    path: Beneath, frames: NDArray[np.int64], planned: Planned, raw: _RawCubes
) -> Iterator[bool]:
    matched = np.flatnonzero(frames >= 0).tolist()
    for index, theirs in zip(matched, astropy_frames(path, matched), strict=True):
        ours = int(frames[index])
        pixels = raw.frame(int(planned.raw_file[ours]), int(planned.index[ours]))
        yield bool(np.array_equal(pixels, theirs))


class _RawCubes:
    """The raw cube that was asked for last, kept open: the next frame is most often from it too."""

    def __init__(self, night: Path, rows: Mapping[int, RawCubeRow]) -> None:
        self._night = night
        self._rows = rows
        self._number = 0
        self._cube: RawCubeFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cube is not None:
            self._cube.close()
            self._cube = None

    def frame(self, number: int, index: int) -> NDArray[np.int16]:
        if self._cube is None or number != self._number:
            self.__exit__()
            row = self._rows[number]
            self._cube = RawCubeFile(
                night_folder(self._night), self._path_now(row.path), row.identity
            )
            self._number = number
        pixels = self._cube.empty_frame()
        self._cube.read_frame(index, pixels)
        return pixels

    def _path_now(self, path: str) -> str:
        """Where the file of the plan is since the earlier pipeline moved it."""
        camera, name = path.split("/")
        place = raw_place(self._night, camera)
        return path if place is None else f"{place.name}/{name}"
