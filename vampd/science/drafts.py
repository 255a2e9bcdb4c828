"""Output cubes before they have names: which frames, in which state, from which raw cubes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.records import RawCube, Segment
from vampd.science.flc import DUBIOUS, STATE_A, STATE_B
from vampd.science.segments import Progression, progressions
from vampd.states import FlcState

_STATES = ((STATE_A, FlcState.A), (STATE_B, FlcState.B), (DUBIOUS, FlcState.DUBIOUS))


class Part(Struct, frozen=True, kw_only=True):
    """One output file of a cube: one camera, one state."""

    camera: int
    flc_state: FlcState
    header_file: int
    width: int
    height: int
    segments: tuple[Segment, ...]

    @property
    def frames(self) -> int:
        """Number of its frames."""
        return sum(segment.count for segment in self.segments)


class Draft(Struct, frozen=True, kw_only=True):
    """A cube before deinterleaving, with all files that it becomes."""

    synchronised: bool
    first_us: int
    last_us: int
    parts: tuple[Part, ...]


class Source(Struct, frozen=True, kw_only=True):
    """Where the frames of one camera come from, in their order."""

    cubes: Sequence[RawCube]
    cube: NDArray[np.int32]  #: (frames,) index into *cubes*
    frame: NDArray[np.int32]  #: (frames,) number within the raw cube


def draft(
    sources: Sequence[Source],
    states: NDArray[np.int8] | None,
    *,
    first_us: int,
    last_us: int,
) -> Draft:
    """The files of one cube from its frames in one camera, or of the pairs in both.

    *states* (frames,) is None for cubes that are not deinterleaved. The header of every
    file is that of its camera's first raw cube before deinterleaving.
    """
    parts = [
        Part(
            camera=source.cubes[source.cube[0]].camera,
            flc_state=flc_state,
            header_file=source.cubes[source.cube[0]].raw_file,
            width=source.cubes[source.cube[0]].width,
            height=source.cubes[source.cube[0]].height,
            segments=segments,
        )
        for flc_state, rows in _rows_of(states, len(sources[0].frame))
        for source, segments in zip(sources, _segments(sources, rows), strict=True)
    ]
    return Draft(
        synchronised=len(sources) > 1,
        first_us=first_us,
        last_us=last_us,
        parts=tuple(sorted(parts, key=lambda part: (part.camera, part.flc_state))),
    )


def _rows_of(
    states: NDArray[np.int8] | None, frames: int
) -> Iterator[tuple[FlcState, NDArray[np.intp]]]:
    """The rows of each state that occurs."""
    if states is None:
        yield FlcState.NONE, np.arange(frames)
        return
    for state, flc_state in _STATES:
        rows = np.flatnonzero(states == state)
        if len(rows):
            yield flc_state, rows


def _segments(sources: Sequence[Source], rows: NDArray[np.intp]) -> tuple[tuple[Segment, ...], ...]:
    """The segments of *rows* in each source; those of two sources match each other."""
    keys = np.stack([source.cube[rows] for source in sources])
    columns = np.stack([source.frame[rows] for source in sources])
    runs = list(progressions(keys, columns))
    return tuple(
        tuple(_segment(sources, mine, keys, columns, run) for run in runs)
        for mine in range(len(sources))
    )


def _segment(
    sources: Sequence[Source],
    mine: int,
    keys: NDArray[np.int32],
    columns: NDArray[np.int32],
    run: Progression,
) -> Segment:
    paired = len(sources) > 1
    partner = 1 - mine if paired else mine
    partner_cube = sources[partner].cubes[keys[partner, run.first]]
    return Segment(
        raw_file=sources[mine].cubes[keys[mine, run.first]].raw_file,
        first=int(columns[mine, run.first]),
        step=run.steps[mine],
        count=run.last - run.first,
        partner_file=partner_cube.raw_file if paired else None,
        partner_first=int(columns[partner, run.first]) if paired else 0,
        partner_step=run.steps[partner] if paired else 1,
    )
