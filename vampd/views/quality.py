"""What the frames of a night came to: kept with its plan, and summed up for observers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.states import FlcState
from vampd.time_units import MINUTE_US


class FrameTally(Struct, kw_only=True):
    """What became of one camera's frames. *synchronised* + *solo* are in outputs."""

    synchronised: int = 0
    solo: int = 0
    a: int = 0
    b: int = 0
    dubious: int = 0
    rejected: int = 0
    lost: int = 0  #: by the camera: its stream counted them, nobody logged them

    def add(self, other: FrameTally) -> None:
        """Take in *other*'s frames."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)


class Slice(Struct, frozen=True, kw_only=True):
    """One minute of one target at one exposure time."""

    minute_us: int  #: when it began, UTC
    target: str
    exposure_s: float | None
    cameras: Mapping[int, FrameTally] = field(default_factory=dict)


class KeptQuality(Struct, frozen=True, kw_only=True):
    """What was kept of one batch: see `vampd.science.quality.Quality`."""

    batch: int
    expected: int
    synchronised: int
    with_flc: int
    a: int
    b: int
    dubious: int
    drift_us: int


class Arrival(Struct, frozen=True, kw_only=True):
    """What is known of one camera's cubes while they arrive."""

    cubes: Mapping[str, int]  #: how many, by state
    lost_frames: int


def kept(ledger: Reader, night: Night) -> list[KeptQuality]:
    """The quality of each batch that is planned."""
    return fetch_all(
        KeptQuality,
        ledger,
        "select batch, expected, synchronised, with_flc, a, b, dubious, drift_us from quality"
        " where night = ? and exists (select 1 from output where output.night = quality.night"
        " and output.batch = quality.batch) order by batch",
        (night.id,),
    )


def findings(ledger: Reader, night: Night) -> list[str]:
    """What of the whole night was outside its limits."""
    rows = ledger.execute(
        "select text from report where night = ? and stage = 'sync' and raw_file is null"
        " order by id",
        (night.id,),
    )
    return [text for (text,) in rows]


def slices(ledger: Reader, night: Night) -> list[Slice]:
    """The night minute by minute, target by target, in the order of time.

    An output's frames count for the minute of its first one, rejected and lost ones for that
    of their raw cube's first one.
    """
    found: dict[tuple[int, str, float | None], dict[int, FrameTally]] = defaultdict(
        lambda: {1: FrameTally(), 2: FrameTally()}
    )
    for first_us, camera, cards, fates in (*_in_outputs(ledger, night), *_others(ledger, night)):
        minute_us = first_us // MINUTE_US * MINUTE_US
        found[(minute_us, *_what(cards))][camera].add(fates)
    order = sorted(found, key=lambda key: (key[0], key[1], key[2] or 0.0))
    return [
        Slice(minute_us=key[0], target=key[1], exposure_s=key[2], cameras=found[key])
        for key in order
    ]


def arrivals(ledger: Reader, night: Night) -> dict[int, Arrival]:
    """What is known of each camera's cubes of the night."""
    lost = dict(
        ledger.execute(
            "select raw_file.camera, coalesce(sum(lost_frames), 0) from cube"
            " join raw_file on raw_file.id = cube.raw_file where night = ? group by camera",
            (night.id,),
        ).fetchall()
    )
    cubes: dict[int, dict[str, int]] = defaultdict(dict)
    for camera, state, count in ledger.execute(
        "select camera, state, count(*) from raw_file where night = ? and role = 'cube'"
        " and camera is not null group by camera, state",
        (night.id,),
    ):
        cubes[camera][state] = count
    return {
        camera: Arrival(cubes=counts, lost_frames=lost.get(camera, 0))
        for camera, counts in cubes.items()
    }


def _in_outputs(ledger: Reader, night: Night) -> Iterator[tuple[int, int, str, FrameTally]]:
    for first_us, camera, synchronised, flc_state, frames, cards in ledger.execute(
        "select output.first_us, output.camera, synchronised, flc_state, output.frames, cube.cards"
        " from output join cube on cube.raw_file = output.header_file where output.night = ?",
        (night.id,),
    ):
        state = FlcState(flc_state)
        yield (
            first_us,
            camera,
            cards,
            FrameTally(
                synchronised=frames if synchronised else 0,
                solo=0 if synchronised else frames,
                a=frames if state is FlcState.A else 0,
                b=frames if state is FlcState.B else 0,
                dubious=frames if state is FlcState.DUBIOUS else 0,
            ),
        )


def _others(ledger: Reader, night: Night) -> Iterator[tuple[int, int, str, FrameTally]]:
    for first_us, camera, cards, lost, rejected in ledger.execute(
        "select cube.first_us, raw_file.camera, cube.cards, cube.lost_frames,"
        " (select coalesce(sum(count), 0) from segment where segment.raw_file = cube.raw_file"
        " and output is null) as rejected"
        " from cube join raw_file on raw_file.id = cube.raw_file where raw_file.night = ?"
        " and cube.first_us is not null",
        (night.id,),
    ):
        if rejected or lost:
            yield first_us, camera, cards, FrameTally(rejected=rejected, lost=lost or 0)


def _what(cards: str) -> tuple[str, float | None]:
    """Target and exposure time, as the header says them."""
    values: dict[str, Any] = json.loads(cards)
    exposure = values.get("EXPTIME")
    if isinstance(exposure, bool) or not isinstance(exposure, int | float):
        exposure = None
    return str(values.get("OBJECT") or "").strip(), exposure
