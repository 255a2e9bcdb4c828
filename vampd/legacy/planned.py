"""Every frame of a night's plan as one array each: for comparing it with another result."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.ledger.blobs import unpack_times
from vampd.ledger.files import identity
from vampd.ledger.reading import Reader
from vampd.ledger.records import RawFile, SegmentRow
from vampd.ledger.rows import fetch_all, fetch_each
from vampd.legacy.comparison import LABEL_A, LABEL_B, LABEL_DUBIOUS, NO_LABEL, Frames
from vampd.records import FileIdentity
from vampd.science.times import pair_time_us
from vampd.states import FlcState

_CODES = {
    FlcState.NONE: NO_LABEL,
    FlcState.A: LABEL_A,
    FlcState.B: LABEL_B,
    FlcState.DUBIOUS: LABEL_DUBIOUS,
}


class RawCubeRow(Struct, frozen=True, kw_only=True):
    """One raw cube of the plan."""

    path: str
    identity: FileIdentity


class Planned(Struct, frozen=True, kw_only=True, eq=False):
    """The frames of a plan's outputs, and what it leaves out. Arrays are (frames,)."""

    frames: Frames
    raw_file: NDArray[np.int64]  #: the ledger's number of the raw cube
    index: NDArray[np.int64]  #: the frame in it
    outputs: int
    raw: Mapping[int, RawCubeRow]
    rejected: int  #: frames
    quarantined: tuple[str, ...]  #: cubes


class _Segment(SegmentRow, frozen=True, kw_only=True):
    """Frames with what is said of their output."""

    output: int
    camera: int
    synchronised: bool
    flc_state: FlcState


def planned_frames(ledger: Reader, night: int) -> Planned:
    """All frames that the plan of *night*, the ledger's number, puts into outputs."""
    times = {
        number: unpack_times(acquired)
        for number, acquired in ledger.execute(
            "select cube.raw_file, acquired from cube join raw_file on raw_file.id = raw_file"
            " where night = ?",
            (night,),
        )
    }
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for row in fetch_each(
        _Segment,
        ledger,
        "select segment.*, camera, synchronised, flc_state from segment"
        " join output on output.id = segment.output where segment.night = ?"
        " order by output.id, position",
        (night,),
    ):
        steps = np.arange(row.count, dtype=np.int64)
        index = row.first + steps * row.step
        own_us = times[row.raw_file][index]
        time_us = own_us
        if row.partner is not None:
            number, first, step = row.partner
            partner = times[number]
            place = first + steps * step
            time_us = pair_time_us(own_us, partner[place])
        codes = (row.camera, row.synchronised, _CODES[row.flc_state])
        same = (*codes, row.output, row.raw_file)
        parts.append((time_us, own_us, index, *(np.full_like(index, code) for code in same)))
    return _gathered(ledger, night, parts)


def _gathered(ledger: Reader, night: int, parts: list[tuple[NDArray[np.int64], ...]]) -> Planned:
    none = np.empty(0, dtype=np.int64)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [none] * 8
    time_us, own_us, index, camera, synchronised, label, cube, raw_file = columns
    return Planned(
        frames=Frames(
            camera=camera,
            time_us=time_us,
            own_us=own_us,
            synchronised=synchronised.astype(bool),
            label=label,
            cube=cube,
            source=raw_file,
        ),
        raw_file=raw_file,
        index=index,
        outputs=len(np.unique(cube)),
        raw={row.id: _raw(row) for row in _raw_rows(ledger, night, "whole")},
        rejected=_rejected(ledger, night),
        quarantined=tuple(row.path for row in _raw_rows(ledger, night, "quarantined")),
    )


def _raw_rows(ledger: Reader, night: int, state: str) -> list[RawFile]:
    query = "select * from raw_file where night = ? and role = 'cube' and state = ? order by path"
    return fetch_all(RawFile, ledger, query, (night, state))


def _raw(row: RawFile) -> RawCubeRow:
    return RawCubeRow(path=row.path, identity=identity(row))


def _rejected(ledger: Reader, night: int) -> int:
    query = "select coalesce(sum(count), 0) from segment where night = ? and output is null"
    count: int = ledger.execute(query, (night,)).fetchone()[0]
    return count
