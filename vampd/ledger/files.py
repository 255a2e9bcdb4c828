"""Raw files in the ledger: who they are, what has become of them, what cubes say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from vampd.causes import Cause, file_cause
from vampd.ledger import clock_words, cubes
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Identified, Night, RawFile, UnreadFile
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.records import FileIdentity, RawInput
from vampd.states import FileCode, FileState

_LOGGED = ("first_count", "last_count", "first_logged_us", "last_logged_us")


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
    cubes.forget_cube(ledger, number)
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


def unseen_quarantined(ledger: Ledger, night: int) -> list[RawFile]:
    """Quarantined files of a night of which nobody said that they were looked at."""
    return fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and state = 'quarantined'"
        " and json_extract(coalesce(reason_words, '{}'), '$.seen') is null order by path",
        [night],
    )


def mark_seen(ledger: Ledger, row: RawFile, why: str) -> None:
    """Somebody looked at a quarantined file: it stays where it is, and is told no more.

    It is a word of the cause: with another cause the file is told again.
    """
    cause = cause_of(row) or Cause(FileCode.OTHER, {"text": row.reason or ""})
    seen = Cause(cause.code, {**cause.words, "seen": f"{ledger.actor}: {why}"})
    set_state(ledger, row.id, FileState.QUARANTINED, seen)


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
