"""Raw files in the ledger: who they are, what has become of them, what cubes say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampd.causes import Cause, file_cause
from vampd.layout import RAW_ENDING, TIMING_ENDING
from vampd.ledger import clock_words
from vampd.ledger.blobs import pack_times
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Cube, EarlierCube, Identified, Night, RawFile, UnreadFile
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.records import CardValue, FileIdentity, RawInput
from vampd.science.rules import exposure_us
from vampd.states import FileState

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
_LOGGED = ("first_count", "last_count", "first_logged_us", "last_logged_us")


@dataclass(frozen=True, kw_only=True, slots=True)
class CubeFacts:
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


def files_of(ledger: Ledger, night: int) -> dict[str, RawFile]:
    """Every file ever seen in the night, by path."""
    rows = fetch_all(RawFile, ledger, "select * from raw_file where night = ?", [night])
    return {row.path: row for row in rows}


def files_at(ledger: Ledger, night: int, paths: Iterable[str]) -> dict[str, RawFile]:
    """Those of *paths* that were ever seen in the night, by path."""
    rows = (find_file(ledger, night, path) for path in paths)
    return {row.path: row for row in rows if row is not None}


def files_of_stems(ledger: Ledger, night: int, stems: Iterable[str]) -> list[RawFile]:
    """The files of cubes by their stems: cubes, timing files, and those being written."""
    rows: list[RawFile] = []
    for stem in stems:
        camera = stem.partition("_")[0]
        rows += fetch_all(
            RawFile,
            ledger,  # "/" follows "." in ASCII: all that begin with the stem and a dot
            "select * from raw_file where night = ? and path >= ? and path < ?",
            [night, f"{camera}/{stem}.", f"{camera}/{stem}/"],
        )
    return rows


def undecided_stems(ledger: Ledger, night: Night) -> set[str]:
    """Stems of the night's batch of which a file still arrives, or is being written anew."""
    rows = ledger.rows(
        "select stem from raw_file where night = ?1 and batch = ?2 and role in ('cube', 'timing')"
        " and state in ('arriving', 'late') union select stem from raw_file where night = ?1"
        " and batch = ?2 and role = 'temporary' and state in ('arriving', 'quarantined', 'late')",
        [night.id, night.batch],
    )
    return {row["stem"] for row in rows}


def file_of(ledger: Ledger, night: int, path: str) -> RawFile:
    """The row of a file that was seen."""
    row = find_file(ledger, night, path)
    assert row is not None, path
    return row


def known_path(ledger: Ledger, night: int, pair: tuple[str, str]) -> str:
    """The path of a cube, or that of its timing file where there is no cube."""
    query = "select path from raw_file where night = ? and path = ?"
    found: str = ledger.value(query, [night, pair[0]]) or pair[1]
    return found


def find_file(ledger: Ledger, night: int, path: str) -> RawFile | None:
    """The row of a file, if it was ever seen."""
    return fetch_one(
        RawFile, ledger, "select * from raw_file where night = ? and path = ?", [night, path]
    )


def frames_of(ledger: Ledger, cube: int) -> int:
    """How many frames a whole cube has."""
    count: int = ledger.value("select frames from cube where raw_file = ?", [cube])
    return count


def processed_and_gone(ledger: Ledger, night: int) -> list[RawFile]:
    """Raw files that are gone, and of which an output or the sidecar holds what they held."""
    return fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ?1 and state = 'gone' and (rebuilt_by is not null"
        " or id in (select segment.raw_file from segment where night = ?1 union"
        " select cube.timing from cube join segment on segment.raw_file = cube.raw_file"
        " where segment.night = ?1)) and exists (select 1 from output where night = ?1"
        " and state != 'planned') order by path",
        [night],
    )


def identity(file: Identified) -> FileIdentity:
    """Who the file was when last seen."""
    return FileIdentity(inode=file.inode, size_bytes=file.size_bytes, modified_ns=file.modified_ns)


def add_file(
    ledger: Ledger,
    night: int,
    path: str,
    *,
    role: str,
    camera: int | None,
    stem: str | None,
    who: FileIdentity,
    state: FileState,
    cause: Cause | None,
) -> None:
    """Record a file that was never seen before."""
    ledger.insert(
        "raw_file",
        night=night,
        batch=ledger.value("select batch from night where id = ?", [night]),
        path=path,
        role=role,
        camera=camera,
        stem=stem,
        inode=who.inode,
        size_bytes=who.size_bytes,
        modified_ns=who.modified_ns,
        state=state,
        seen_us=ledger.now_us(),
        **_because(ledger, cause),
    )


def renew_file(
    ledger: Ledger, number: int, who: FileIdentity, state: FileState, cause: Cause
) -> None:
    """Another file stands under a known name: what was known of the old one is void."""
    forget_cube(ledger, number)
    # An operator's word that the old one may go is not said of this one.
    ledger.execute(
        "update let_go set changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where raw_file = :number",
        {**ledger.stamp("another file bears its name"), "number": number},
    )
    ledger.execute("delete from let_go where raw_file = ?", [number])
    clock_words.forget(ledger, number, "another file bears its name")
    batch = ledger.value(
        "select night.batch from night join raw_file on raw_file.night = night.id"
        " where raw_file.id = ?",
        [number],
    )
    ledger.update(
        "raw_file",
        number,
        batch=batch,
        inode=who.inode,
        size_bytes=who.size_bytes,
        modified_ns=who.modified_ns,
        sha256=None,
        **dict.fromkeys(("logged_rows", *_LOGGED)),
        state=state,
        **_because(ledger, cause),
    )


def renew_identity(ledger: Ledger, row: RawFile, who: FileIdentity, why: str) -> None:
    """The file *row*, with the bytes that it had, bears another inode or time by now.

    Nothing that is known of its bytes changes; where it was gone, it is back.
    """
    state = FileState.WHOLE if row.state == FileState.GONE else row.state
    with ledger.transaction():
        ledger.update(
            "raw_file",
            row.id,
            inode=who.inode,
            size_bytes=who.size_bytes,
            modified_ns=who.modified_ns,
            state=state,
            **_because(ledger, cause_of(row) if state == row.state else None) | ledger.stamp(why),
        )
        # The same bytes have the same header: it need not be read again.
        ledger.update("raw_file", row.id, headed=row.headed)


def note_logged(
    ledger: Ledger, timing: int, *, rows: int, counts: Sequence[int], span_us: Sequence[int]
) -> None:
    """Keep what the timing file *timing* says of the logger, whatever becomes of its cube."""
    values = dict(zip(_LOGGED, (*counts, *span_us), strict=True))
    ledger.update("raw_file", timing, logged_rows=rows, **values)


def set_state(ledger: Ledger, number: int, state: FileState, cause: Cause | None) -> None:
    """What has become of a file."""
    ledger.update("raw_file", number, state=state, **_because(ledger, cause))


def cause_of(file: RawFile) -> Cause | None:
    """Why a raw file is in its state; None: its state says it all."""
    return file_cause(file.reason_code, file.reason_words, file.reason)


def _because(ledger: Ledger, cause: Cause | None) -> dict[str, Any]:
    """The columns that say why a file is in its state: code, words and sentence; and the stamp."""
    sentence = None if cause is None else str(cause)
    return {
        "reason": sentence,
        "reason_code": None if cause is None else cause.code,
        "reason_words": json.dumps(cause.words) if cause is not None and cause.words else None,
        **ledger.stamp(sentence),
    }


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


def cubes_of(ledger: Ledger, night: int) -> list[Cube]:
    """The whole cubes of a night's batch with their facts, in the order of their paths."""
    return fetch_all(
        Cube,
        ledger,
        f"select {_WHO}, {_COUNTS}, cube.*, {clock_words.COLUMNS}"  # noqa: S608
        f" from cube {clock_words.JOIN}"
        f" join raw_file on raw_file.id = cube.raw_file{_WITH_COUNTS}"
        " join night on night.id = raw_file.night and night.batch = raw_file.batch"
        " where night.id = ? and raw_file.state = 'whole' order by raw_file.path",
        [night],
    )


def cubes_between(ledger: Ledger, night: int, begins_us: int, through_us: int) -> list[Cube]:
    """As `cubes_of`, of the cubes with usable frames that began in that time."""
    return fetch_all(
        Cube,
        ledger,
        f"select {_WHO}, {_COUNTS}, cube.*, {clock_words.COLUMNS}"  # noqa: S608
        f" from cube {clock_words.JOIN}"
        f" join raw_file on raw_file.id = cube.raw_file{_WITH_COUNTS}"
        " join night on night.id = raw_file.night and night.batch = raw_file.batch"
        " join cube_span on cube_span.raw_file = cube.raw_file"
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


def without_digest(ledger: Ledger, night: int, most: int = -1) -> list[UnreadFile]:
    """The first *most* whole files of a night whose digest is not known yet, oldest first."""
    return fetch_all(
        UnreadFile,
        ledger,
        "select path, size_bytes from raw_file where night = ? and state = 'whole'"
        " and sha256 is null order by modified_ns, path limit ?",
        [night, most],
    )


def record_digest(ledger: Ledger, night: int, path: str, sha256: str, who: FileIdentity) -> None:
    """Keep a digest, if the file is still the one whose bytes were read."""
    ledger.execute(
        "update raw_file set sha256 = ? where night = ? and path = ? and inode = ?"
        " and size_bytes = ? and modified_ns = ?",
        [sha256, night, path, who.inode, who.size_bytes, who.modified_ns],
    )


def quarantine(ledger: Ledger, night: int, path: str, cause: Cause) -> bool:
    """Quarantine a cube and its timing file by the path of either; False: there is none such."""
    row = find_file(ledger, night, path)
    if row is None:
        return False
    for twin in twins(ledger, row):
        set_state(ledger, twin.id, FileState.QUARANTINED, cause)
    return True


def twins(ledger: Ledger, row: RawFile) -> list[RawFile]:
    """A cube and its timing file, by the row of either; any other file alone."""
    if row.stem is None or row.role not in {"cube", "timing"}:
        return [row]
    return fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and stem = ? and role in ('cube', 'timing')"
        " and state != 'gone'",
        [row.night, row.stem],
    )


def raw_inputs(ledger: Ledger, numbers: Iterable[int]) -> dict[int, RawInput]:
    """Raw cubes with their timing files, for a worker, by number."""
    return {number: _raw_input(ledger, number) for number in sorted(set(numbers))}


def _raw_input(ledger: Ledger, number: int) -> RawInput:
    cube = fetch_one(RawFile, ledger, "select * from raw_file where id = ?", [number])
    timing = fetch_one(
        RawFile,
        ledger,
        "select raw_file.* from raw_file join cube on cube.timing = raw_file.id"
        " where cube.raw_file = ?",
        [number],
    )
    assert cube is not None
    assert timing is not None
    return RawInput(
        path=cube.path,
        who=identity(cube),
        timing_path=timing.path,
        timing_who=identity(timing),
    )


def move_to_batch(ledger: Ledger, raw_file: int, batch: int) -> None:
    """A raw file belongs to *batch* of its night from now on."""
    ledger.update("raw_file", raw_file, batch=batch)
