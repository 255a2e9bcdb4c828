"""A night of a lost ledger, made again from the papers in its folder.

Facts come back as they were written down: plans, frame IDs, raw files and their digests,
history. What a ledger merely believes does not: no file at the far end counts as verified
before it was read there again, no proof of rebuilding holds, and an output that is not on
the disk as it was is to be built again. Nothing but the new ledger is written. All nights of a
ledger, see `vampd.stages.ledger_again`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from vampd.causes import Cause
from vampd.errors import OperatorError
from vampd.io.beneath import Beneath, exists, is_file, night_folder, read_start, status
from vampd.io.publish import digest_file
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.ledger import dumps, nights, outputs, recovery
from vampd.ledger import frame_ids as numbers
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import fetch_all
from vampd.records import FileIdentity
from vampd.stages import frame_id_papers, lost_papers
from vampd.stages.frame_id_papers import Told
from vampd.stages.story import LEDGER_DUMP
from vampd.states import HoldCode, Kind, NightStatus, OutputState, Stage

_WHY = "made again from the night's papers"

#: These keep their status; of all others only the work that is still to be done tells.
_KEPT = frozenset({NightStatus.COLLECTING, NightStatus.EMPTY, NightStatus.ABANDONED})

#: Each with its column of numbers, and of what events tell.
_TOLD = {
    "night": ("id", "status"),
    "raw_file": ("id", "state"),
    "output": ("id", "state"),
    "task": ("id", "state"),
    "frame_id": ("number", "state"),
}


class NightAgain(Struct, frozen=True, kw_only=True):
    """What came back of one night."""

    label: str
    folder: Path
    status: str
    outputs: int
    frame_ids: int
    notes: tuple[str, ...]  #: what did not come back as it was


def night_again(ledger: Ledger, kind: Kind, folder: Beneath, *, digests: bool) -> NightAgain | None:
    """One night that the ledger does not know, if its folder shows that a vampd worked on it.

    IntegrityError: its papers are damaged. OperatorError: they are of another night.
    """
    told = frame_id_papers.read(folder)
    notes: list[str] = []
    has_dump = exists(folder / LEDGER_DUMP)
    if has_dump:
        night, notes = _load(ledger, kind, folder)
        frame_id_papers.take_over(ledger, night, told)
        notes += check_raw_files(ledger, night)
        notes += check_outputs(ledger, night, digests=digests)
        renew(ledger, night)
    elif kind is Kind.ARCHIVE and lost_papers.was_worked_on(folder):
        night = nights.sight_night(ledger, kind, folder.name, folder.path)
        frame_id_papers.take_over(ledger, night, told, batch=1)
    else:
        return None  # nobody worked here, or nothing that cannot be found out by looking
    strange = void_strange(ledger, night)
    if not has_dump:
        _hold_unknown(ledger, night, told, strange)
    if strange:
        notes.append(f"{strange} frame IDs are void: their rows were lost")
    _tell_history(ledger, night, folder)
    return what_came_back(ledger, night, folder, notes)


def what_came_back(
    ledger: Ledger, night: Night, folder: Beneath, notes: Sequence[str]
) -> NightAgain:
    """The night as the ledger has it now; *notes* tell what did not come back as it was."""
    night = nights.get_night(ledger, night.id)
    return NightAgain(
        label=nights.label(night),
        folder=folder.path,
        status=night.status,
        outputs=len(outputs.outputs_of(ledger, night.id)),
        frame_ids=ledger.value("select count(*) from frame_id where night = ?", [night.id]),
        notes=(*notes, *([night.hold] if night.hold else [])),
    )


def _load(ledger: Ledger, kind: Kind, folder: Beneath) -> tuple[Night, list[str]]:
    papers = folder / LEDGER_DUMP
    _, rows = dumps.read_dump(read_start(papers, -1), str(papers))
    (line,) = (row for table, row in rows if table == "night")
    if (line["kind"], line["date"]) != (kind, folder.name):
        msg = f"{papers} tells of {line['kind']} {line['date']}; move it away, or the folder"
        raise OperatorError(msg)
    shift = dumps.shift_for(ledger, rows)
    dumps.load(ledger, rows, shift)
    nights.move_folder(ledger, line["id"] + shift, str(folder))
    moved = [] if line["folder"] == str(folder) else [f"it lay at {line['folder']}"]
    return nights.get_night(ledger, line["id"] + shift), moved


def _hold_unknown(ledger: Ledger, night: Night, told: Told, strange: int) -> None:
    """Hold a night of which too little is known to go on; a person must decide.

    Where its paper says whose its numbers are, and its raw files are there, it is processed anew
    and gets the same ones.
    """
    if strange or not (told.bound or told.questions):
        why = (
            f"it bears {strange} frame IDs, and {LEDGER_DUMP} is lost, which said whose they are;"
            f" move {OUTPUT_FOLDER}, the manifest and .vampd away before it is released: then it is"
            " processed anew, with new numbers"
        )
    elif not lost_papers.has_raw(night_folder(night.folder)):
        why = (
            f"its raw files are gone, and {LEDGER_DUMP} is lost, which said what was made of them;"
            f" put either back: raw files and `vampd release {night.date}`, or that file and"
            " `vampd admin rebuild-db`; or give it up: vampd abandon"
        )
    else:
        return
    nights.hold_instead(ledger, night.id, Cause(HoldCode.RECORDS_LOST, {"why": why}))
    recovery.set_status(ledger, night.id, NightStatus.HELD)


def void_strange(ledger: Ledger, night: Night) -> int:
    """Numbers of which no row came back are used all the same: they are never dealt again.

    Returns how many they are. Those that vampd's own papers tell of are known to be its own.
    """
    folder = night_folder(night.folder)
    own, borne = lost_papers.own_numbers(folder), lost_papers.borne_numbers(folder)
    strange = {
        number: place
        for number, place in sorted((borne | own).items())
        if ledger.value("select 1 from frame_id where number = ?", [number]) is None
    }
    for number, place in strange.items():
        why = f"stands in {place}; its row was lost with the ledger"
        numbers.void_unknown(ledger, night, number, why, is_foreign=number not in own)
    return len(strange)


def check_raw_files(ledger: Ledger, night: Night) -> list[str]:
    """Recognise, by its digest, a raw file that lies on another disk than it did.

    All others are left to the daemon's looks, which hold a night for a raw file that changed.
    """
    notes = 0
    for row in fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and sha256 is not null"
        " and state in ('whole', 'quarantined')",
        [night.id],
    ):
        path = night_folder(night.folder) / row.path
        try:
            there = status(path)
        except OSError:
            continue
        seen = FileIdentity(
            inode=there.st_ino, size_bytes=there.st_size, modified_ns=there.st_mtime_ns
        )
        is_other = (seen.inode, seen.modified_ns) != (row.inode, row.modified_ns)
        if is_other and _is_there(path, row.size_bytes, row.sha256):
            recovery.recognise(ledger, row.id, seen)
            notes += 1
    return [f"{notes} raw files are other files with the same bytes"] if notes else []


def check_outputs(ledger: Ledger, night: Night, *, digests: bool) -> list[str]:
    """Have built again what is not on the disk as it was, unless its space was given back."""
    given_back = _given_back(ledger, night)
    notes = []
    for row in outputs.outputs_of(ledger, night.id):
        path = f"{OUTPUT_FOLDER}/{outputs.file_name(row)}"
        if row.state == "planned" or path + OUTPUT_ENDING in given_back:
            continue
        cube = (path + OUTPUT_ENDING, row.size_bytes, row.sha256)
        timing = (path + TIMING_ENDING, row.timing_size_bytes, row.timing_sha256)
        is_there = all(
            _is_there(night_folder(night.folder) / name, size_bytes, sha256 if digests else "")
            for name, size_bytes, sha256 in (cube, timing)
        )
        if not is_there:
            notes.append(f"{path}{OUTPUT_ENDING} is not as it was: it is to be built again")
            recovery.do_again(ledger, night, Stage.BUILD, outputs.unit_of(row), row.batch, why=_WHY)
        state = OutputState.BUILT if is_there else OutputState.PLANNED
        if row.state != state:
            outputs.set_state(ledger, row.id, state, _WHY)
    return notes + _check_lists(ledger, night, given_back)


def _check_lists(ledger: Ledger, night: Night, given_back: set[str]) -> list[str]:
    """Have the other files made again that are not there: the sidecar, the lists."""
    notes = []
    rows = ledger.execute(
        "select path, size_bytes, batch from deliverable where night = ? and path not like '%.log'"
        " and path not like 'vgen2/V%' and path not like 'vgen2/v%'",
        [night.id],
    )
    for path, size_bytes, batch in rows.fetchall():
        if path in given_back:
            continue
        if not _is_there(night_folder(night.folder) / path, size_bytes, ""):
            notes.append(f"{path} is not as it was: it is to be made again")
            is_sidecar = path.endswith(".tar")
            stage, unit = (Stage.BUILD, "sidecar") if is_sidecar else (Stage.MANIFEST, "")
            recovery.do_again(ledger, night, stage, unit, batch, why=_WHY)
    return notes


def _is_there(path: Beneath, size_bytes: int | None, sha256: str | None) -> bool:
    try:
        if not is_file(path) or status(path).st_size != size_bytes:
            return False
        return not sha256 or digest_file(path).sha256 == sha256
    except OSError:
        return False


def _given_back(ledger: Ledger, night: Night) -> set[str]:
    rows = ledger.execute(
        "select path from trash where night = ? and state not in ('listed', 'returned')",
        [night.id],
    )
    return {path for (path,) in rows}


def renew(ledger: Ledger, night: Night) -> None:
    """Nothing runs, nothing was verified; the night goes on with the work that is left."""
    number = night.id
    recovery.stop_and_unverify(ledger, number)
    # The present batch's tasks do it for the files of all.
    recovery.do_again(ledger, night, Stage.VERIFY, "", night.batch, why=_WHY)
    if not _given_back(ledger, night):
        recovery.unsend(ledger, number)
        recovery.do_again(ledger, night, Stage.TRANSFER, "", night.batch, why=_WHY)
    recovery.renew_space(ledger, number, _WHY)
    status = night.status
    if status not in _KEPT:
        status = NightStatus.HELD if night.hold else NightStatus.READY
    elif night.hold:
        status = NightStatus.HELD
    if status != night.status:
        recovery.set_status(ledger, number, status, _WHY)


def _tell_history(ledger: Ledger, night: Night, folder: Beneath) -> None:
    """Let the night's events be those that its journal tells, and what differs from them now."""
    number = night.id
    recovery.forget_events(ledger, number)
    last: dict[tuple[str, int], str] = {}
    known = list(lost_papers.events(folder))
    shift = number - next((event.subject_id for event in known if event.subject == "night"), number)
    for event in known:
        subject_id = event.subject_id + (0 if event.subject == "frame_id" else shift)
        recovery.add_event(ledger, number, {**event.line, "subject_id": subject_id})
        last[event.subject, subject_id] = event.became
    tell_difference(ledger, number, last)


def tell_difference(ledger: Ledger, night: int, last: Mapping[tuple[str, int], str]) -> None:
    """Tell what differs now from what the events say *last* of each subject."""
    present: dict[tuple[str, int], str] = {}
    for table, (key, column) in _TOLD.items():
        where = "id = ?" if table == "night" else "night = ?"
        for row in ledger.rows(f"select {key}, {column} from {table} where {where}", [night]):  # noqa: S608
            present[table, row[0]] = row[1]
    alive = {key: state for key, state in last.items() if state != "forgotten" and key[0] in _TOLD}
    for subject in sorted(present.keys() | alive.keys()):
        was, became = alive.get(subject), present.get(subject, "forgotten")
        if was != became:
            recovery.add_move(ledger, night, subject, was, became, why=_WHY)
