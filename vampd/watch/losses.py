"""Which cubes the logger lost, by all that the ledger knows of a night's files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from vampd.layout import RAW_ENDING, TIMING_ENDING
from vampd.ledger import files, logger_faults
from vampd.ledger.connection import Ledger
from vampd.ledger.logger_faults import Fault, Toll
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import fetch_all
from vampd.records import FileIdentity
from vampd.science.losses import LoggedCube, Loss, Trace, find_losses
from vampd.science.rules import SETTING_CARDS
from vampd.states import FileState, LoggerFault
from vampd.watch.inspect import Inspection
from vampd.watch.naming import Role, named_us

_NEVER_RENAMED = "a temporary file that was never renamed"
_VANISHED = "a temporary file that vanished without becoming a cube"
_EMPTY = "an empty timing file without its cube: is a disk full?"
_UNREADABLE = "a timing file without its cube"


class _RawFile(RawFile, frozen=True, kw_only=True):
    """A raw file; what follows is known of whole cubes."""

    camera: int
    stem: str
    cards: str | None
    width: int | None
    height: int | None


def note_timing(ledger: Ledger, timing: RawFile | None, inspection: Inspection | None) -> bool:
    """Keep what a timing file says of the logger, if it was read as it is now.

    Returns whether there was anything new.
    """
    if timing is None or inspection is None or timing.logged_rows is not None:
        return False
    identity: FileIdentity = files.identity(timing)
    is_of = inspection.timing_before == inspection.timing_after == identity
    if not is_of or inspection.counts is None or inspection.logged_span_us is None:
        return False
    files.note_logged(
        ledger,
        timing.id,
        rows=inspection.rows,
        counts=inspection.counts,
        span_us=inspection.logged_span_us,
    )
    return True


def renew_losses(ledger: Ledger, night: Night) -> Toll | None:
    """Find anew which cubes were lost, and keep it; return what all come to, if any are new.

    A temporary file is one that is being written, until the close of the night quarantines it.
    """
    rows = fetch_all(
        _RawFile,
        ledger,
        "select raw_file.*, cube.cards, cube.width, cube.height from raw_file"
        " left join cube on cube.raw_file = raw_file.id"
        " where night = ? and role in ('cube', 'timing', 'temporary')",
        [night.id],
    )
    losses = find_losses(list(_logged(rows)), list(_traces(rows)))
    faults = {LoggerFault.LOST}
    if not logger_faults.renew(ledger, night, faults, map(_fault, losses)):
        return None
    return logger_faults.tolls(ledger.connection, [night.id])[night.id][LoggerFault.LOST]


def _fault(loss: Loss) -> Fault:
    return Fault(
        fault=LoggerFault.LOST,
        camera=loss.camera,
        cubes=loss.cubes,
        frames=loss.frames,
        text=loss.text,
    )


def _logged(rows: Sequence[_RawFile]) -> Iterator[LoggedCube]:
    """Cubes whose timing could be read, and timing files without a cube.

    What is gone from the folder was there all the same.
    """
    cubes = {row.path: row for row in rows if row.role == Role.CUBE}
    written = _being_written(rows)
    for row in rows:
        if row.role != Role.TIMING or (logged := row.logged) is None:
            continue
        cube = cubes.get(_beside(row.path, RAW_ENDING))
        if cube is None and row.stem in written:
            continue
        yield LoggedCube(
            path=row.path if cube is None else cube.path,
            camera=row.camera,
            frames=logged.rows,
            first_count=logged.counts[0],
            last_count=logged.counts[1],
            first_us=logged.span_us[0],
            last_us=logged.span_us[1],
            settings=None if cube is None else _settings(cube),
            has_cube=cube is not None,
        )


def _traces(rows: Sequence[_RawFile]) -> Iterator[Trace]:
    """Cubes without timing, timing files that tell nothing, and what is left of others."""
    paths = {row.path: row for row in rows}
    written = _being_written(rows)
    for row in rows:
        if row.role == Role.CUBE:
            why = _why_unplaced(row, paths)
        elif row.role == Role.TIMING:
            why = None if row.stem in written else _why_alone(row, paths)
        else:
            why = _why_temporary(row, paths)
        if why is not None:
            yield Trace(path=row.path, camera=row.camera, named_us=named_us(row.stem), why=why)


def _why_unplaced(cube: _RawFile, paths: Mapping[str, _RawFile]) -> str | None:
    """Empty for a cube that is there, and of which no timing is known; None for others."""
    timing = paths.get(_beside(cube.path, TIMING_ENDING))
    is_placed = timing is not None and timing.logged_rows is not None
    return None if is_placed or cube.state == FileState.GONE else ""


def _why_alone(timing: _RawFile, paths: Mapping[str, _RawFile]) -> str | None:
    """Why a timing file without its cube is a trace; None: it tells more, or is none."""
    is_alone = _beside(timing.path, RAW_ENDING) not in paths
    if not is_alone or timing.logged_rows is not None or timing.state == FileState.GONE:
        return None
    return _EMPTY if timing.size_bytes == 0 else _UNREADABLE


def _why_temporary(row: _RawFile, paths: Mapping[str, _RawFile]) -> str | None:
    """Why a temporary file is a lost cube; empty: it may yet be one; None: it is counted."""
    stem = f"{row.path.partition('/')[0]}/{row.stem}"
    has_cube, has_timing = stem + RAW_ENDING in paths, stem + TIMING_ENDING in paths
    if row.state == FileState.GONE:
        return None if has_cube or has_timing else _VANISHED
    if row.state == FileState.ARRIVING:
        return ""
    # Beside a timing file alone it is the cube of that one.
    return None if has_timing and not has_cube else _NEVER_RENAMED


def _being_written(rows: Sequence[_RawFile]) -> set[str]:
    return {
        row.stem for row in rows if row.role == Role.TEMPORARY and row.state == FileState.ARRIVING
    }


def _beside(path: str, ending: str) -> str:
    return path.rpartition(".")[0] + ending


def _settings(cube: _RawFile) -> object:
    """What was set when a cube was taken; None where only its timing is known."""
    if cube.cards is None:
        return None
    cards = json.loads(cube.cards)
    return (cube.width, cube.height, *(repr(cards.get(card)) for card in SETTING_CARDS))
