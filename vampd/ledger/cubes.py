"""Whole cubes: what header and timing file say of each, and when it was taken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.layout import RAW_ENDING, TIMING_ENDING
from vampd.ledger import clock_words
from vampd.ledger.blobs import pack_times
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Cube, EarlierCube
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.records import CardValue
from vampd.science.rules import exposure_us

_WHO = (
    "raw_file.path, raw_file.camera, raw_file.sha256, raw_file.inode, raw_file.size_bytes,"
    " raw_file.modified_ns"
)
# What a cube's timing file says of the stream is kept with that file.
_WITH_COUNTS = (
    " left join raw_file as timing on timing.night = raw_file.night and timing.path ="
    f" substr(raw_file.path, 1, length(raw_file.path) - {len(RAW_ENDING)}) || '{TIMING_ENDING}'"
)
_COUNTS = "timing.first_count, timing.last_count"


class CubeFacts(Struct, frozen=True, kw_only=True):
    """What a whole cube's header and timing file say."""

    frames: int
    width: int
    height: int
    cards: Mapping[str, CardValue]
    has_acquisition: bool
    rejected: Mapping[int, str]
    reports: Sequence[str]
    acquired_us: NDArray[np.int64]
    lost_frames: int = 0
    is_old: bool = False
    lag_us: int | None = None
    written_us: int | None = None


def frames_of(ledger: Ledger, cube: int) -> int:
    """How many frames a whole cube has."""
    count: int = ledger.value("select frames from cube where raw_file = ?", [cube])
    return count


def forget_cube(ledger: Ledger, raw_file: int) -> None:
    """The cube or timing file *raw_file* is another one now: its facts no longer hold."""
    ledger.execute("delete from cube where raw_file = ?1 or timing = ?1", [raw_file])


def is_known_cube(ledger: Ledger, raw_file: int) -> bool:
    """Whether the facts of the cube or timing file *raw_file* are kept."""
    query = "select 1 from cube where raw_file = ?1 or timing = ?1"
    return ledger.value(query, [raw_file]) is not None


def store_cube(ledger: Ledger, raw_file: int, timing: int, facts: CubeFacts) -> None:
    """Keep what a whole cube says."""
    forget_cube(ledger, raw_file)
    ledger.insert(
        "cube",
        raw_file=raw_file,
        timing=timing,
        frames=facts.frames,
        width=facts.width,
        height=facts.height,
        cards=json.dumps(dict(facts.cards)),
        has_acquisition=int(facts.has_acquisition),
        rejected=json.dumps({str(frame): why for frame, why in facts.rejected.items()}),
        reports=json.dumps(list(facts.reports)),
        acquired=pack_times(facts.acquired_us),
        lost_frames=facts.lost_frames,
        is_old=int(facts.is_old),
        lag_us=facts.lag_us,
        written_us=facts.written_us,
        first_us=_first_us(facts.acquired_us),
    )
    usable_us = usable_times(facts.acquired_us, facts.rejected)
    store_span(ledger, raw_file, usable_us, facts.cards, is_timed=facts.has_acquisition)


def store_span(
    ledger: Ledger,
    raw_file: int,
    usable_us: NDArray[np.int64],
    cards: Mapping[str, CardValue],
    *,
    is_timed: bool,
) -> None:
    """Keep from when to when a cube was exposed; *usable_us* are the times of its usable frames."""
    ledger.execute(
        "insert into cube_span (raw_file, night, camera, begins_us, ends_us, exposure_us, is_timed)"
        " select id, night, camera, :begins_us, :ends_us, :exposure_us, :is_timed from raw_file"
        " where id = :raw_file",
        {
            "raw_file": raw_file,
            "begins_us": int(usable_us.min()) if len(usable_us) else 0,
            "ends_us": int(usable_us.max()) if len(usable_us) else 0,
            "exposure_us": exposure_us(cards),
            "is_timed": int(is_timed),
        },
    )


def usable_times(acquired_us: NDArray[np.int64], rejected: Mapping[int, str]) -> NDArray[np.int64]:
    """The times of the frames of a cube that have one, and are not *rejected*."""
    usable = acquired_us > 0
    usable[list(rejected)] = False
    return acquired_us[usable]


def correct_times(
    ledger: Ledger, raw_file: int, acquired_us: NDArray[np.int64], ahead_us: int
) -> None:
    """Keep the times of a cube, from which *ahead_us* was taken off."""
    ledger.execute(
        "update cube set acquired = ?, first_us = ?, ahead_us = ? where raw_file = ?",
        [pack_times(acquired_us), _first_us(acquired_us), ahead_us, raw_file],
    )


def _first_us(acquired_us: NDArray[np.int64]) -> int | None:
    """The first time that could be read."""
    readable = acquired_us[acquired_us > 0]
    return int(readable[0]) if len(readable) else None


#: The whole cubes of nights' batches: which of them, is added.
_OF_BATCH = (
    f"select {_WHO}, {_COUNTS}, cube.*, {clock_words.COLUMNS}"  # noqa: S608
    f" from cube {clock_words.JOIN}"
    f" join raw_file on raw_file.id = cube.raw_file{_WITH_COUNTS}"
    " join night on night.id = raw_file.night and night.batch = raw_file.batch"
)


def cubes_of(ledger: Ledger, night: int) -> list[Cube]:
    """The whole cubes of a night's batch with their facts, in the order of their paths."""
    return fetch_all(
        Cube,
        ledger,
        f"{_OF_BATCH} where night.id = ? and raw_file.state = 'whole' order by raw_file.path",
        [night],
    )


def cubes_between(ledger: Ledger, night: int, begins_us: int, through_us: int) -> list[Cube]:
    """As `cubes_of`, of the cubes with usable frames that began in that time."""
    return fetch_all(
        Cube,
        ledger,
        f"{_OF_BATCH} join cube_span on cube_span.raw_file = cube.raw_file"
        " where night.id = ? and raw_file.state = 'whole' and cube_span.ends_us > 0"
        " and cube_span.begins_us between ? and ? order by raw_file.path",
        [night, begins_us, through_us],
    )


def cube_of(ledger: Ledger, raw_file: int) -> Cube | None:
    """The facts of the cube *raw_file*, in any state, as in `cubes_of`; None: none are known."""
    return fetch_one(
        Cube,
        ledger,
        f"select {_WHO}, {_COUNTS}, cube.*, {clock_words.COLUMNS}"  # noqa: S608
        f" from cube {clock_words.JOIN}"
        f" join raw_file on raw_file.id = cube.raw_file{_WITH_COUNTS} where cube.raw_file = ?",
        [raw_file],
    )


def earlier_cubes_of(ledger: Ledger, night: int) -> list[EarlierCube]:
    """The cubes of a night's earlier batches, also those that gave their space back.

    `is_used`: frames of it are in outputs.
    """
    return fetch_all(
        EarlierCube,
        ledger,
        f"select {_WHO}, {_COUNTS}, raw_file.state, cube.*, {clock_words.COLUMNS},"  # noqa: S608
        " exists (select 1 from segment where"
        " segment.raw_file = cube.raw_file and output is not null) as is_used"
        f" from cube {clock_words.JOIN}"
        f" join raw_file on raw_file.id = cube.raw_file{_WITH_COUNTS}"
        " join night on night.id = raw_file.night and raw_file.batch < night.batch"
        " where night.id = ? and raw_file.state in ('whole', 'gone') order by raw_file.path",
        [night],
    )
