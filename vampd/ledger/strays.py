"""Raw files that do not lie in their folder as they were recorded; their bytes decide who they are.

Of a closed night something may have been made of its raw files. Where a look finds another inode,
size or time under the name of one, or nothing, a row is kept here until the recorded bytes, or the
recorded identity, are found in its place. While one is to be read again its night waits; while one
is other, missing or unreadable, it is held. A night that is safe stays safe: its copies were made
of the file that was there before.
"""

from __future__ import annotations

from collections.abc import Sequence

from vampd.causes import Cause
from vampd.ledger import files, nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile, UnreadFile
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.records import FileIdentity
from vampd.states import FINAL, RAW_HOLDS, ErrorClass, FileCode, FileState, HoldCode, StrayState

#: Why a night is held, by what is wrong with the first file; the worst first.
_HOLDS = {
    StrayState.OTHER: HoldCode.RAW_CHANGED,
    StrayState.MISSING: HoldCode.RAW_GONE,
    StrayState.UNREADABLE: HoldCode.RAW_UNREADABLE,
}

_LIES = "it lies there as it was recorded"

#: Work that failed for want of the file, and is tried once it is there; a read error that was no
#: matter of its name would come again, unless all of it was just read.
_TRIED_IN_PLACE = (ErrorClass.INTEGRITY,)
_TRIED_ONCE_READ = (ErrorClass.INTEGRITY, ErrorClass.INPUT)

_STRAYS = (
    "select stray.*, raw_file.path, raw_file.batch, raw_file.sha256, raw_file.state as file_state"
    " from stray join raw_file on raw_file.id = stray.raw_file"
)
_ROWS = f"{_STRAYS} where stray.night = ?"


class Stray(Record, frozen=True, kw_only=True):
    """What lies under the name of a raw file, and that file as it was recorded."""

    raw_file: int
    night: int
    state: StrayState
    inode: int | None
    size_bytes: int | None
    modified_ns: int | None
    detail: str | None
    changed_us: int
    changed_by: str
    why: str | None
    path: str  #: of the raw file, as all that follows
    batch: int
    sha256: str | None
    file_state: FileState


def strays_of(ledger: Ledger, night: int) -> list[Stray]:
    """Every one of a night, by path; its raw file's `path`, `batch`, `sha256`, `file_state`."""
    return fetch_all(Stray, ledger, f"{_ROWS} order by path", [night])


def holding(ledger: Ledger, night: Night) -> list[Stray]:
    """Those for which a night is held: of the batch that is worked on, and read again in vain."""
    if night.status in FINAL:
        return []
    query = (
        f"{_ROWS} and stray.state != 'unread' and raw_file.state = 'whole'"
        # What lies there as it was recorded, and cannot be read, stops what is made of it alone.
        " and (stray.inode is not raw_file.inode or stray.modified_ns is not raw_file.modified_ns)"
        " and raw_file.batch = ? order by path"
    )
    return fetch_all(Stray, ledger, query, [night.id, night.batch])


def unread(ledger: Ledger, night: int) -> list[UnreadFile]:
    """Those that are to be read again."""
    return fetch_all(
        UnreadFile,
        ledger,
        "select path, stray.size_bytes from stray join raw_file on raw_file.id = raw_file"
        " where stray.night = ? and stray.state = 'unread' order by path",
        [night],
    )


def unread_counts(ledger: Ledger) -> dict[int, int]:
    """How many are to be read again, by night."""
    rows = ledger.rows("select night, count(*) from stray where state = 'unread' group by night")
    return {row[0]: row[1] for row in rows}


def is_stray(ledger: Ledger, raw_file: int) -> bool:
    """Whether a raw file does not lie in its folder as it was recorded, as far as is known."""
    return ledger.value("select 1 from stray where raw_file = ?", [raw_file]) is not None


def note(
    ledger: Ledger, row: RawFile, found: FileIdentity | None, *, on_order: bool = False
) -> bool:
    """Keep what lies now under the name of the raw file *row*; return whether that is news.

    Where it is the recorded identity, the file is no stray (any more). What was judged of the
    same identity before stands, unless it is *on_order* that it is looked at again.
    """
    known = _known(ledger, row)
    if known is not None and not on_order and _identity(known) == found:
        return False
    if found == files.identity(row):
        if known is not None:
            _settle(ledger, row, _LIES, _TRIED_IN_PLACE)
        return known is not None
    state, detail = _judge(row, found)
    _store(ledger, row, state, found, detail)
    return True


def note_unreadable(ledger: Ledger, night: int, path: str, why: str) -> None:
    """A file of which something is to be made, or that is to be read again, cannot be read."""
    row = files.find_file(ledger, night, path)
    if row is None:
        return
    known = _known(ledger, row)
    found = files.identity(row) if known is None else _identity(known)
    _store(ledger, row, StrayState.UNREADABLE, found, why)


def take_digest(ledger: Ledger, night: int, path: str, sha256: str, who: FileIdentity) -> bool:
    """These bytes were read under the name *path*; return whether it was that of a stray.

    With the recorded digest it is the recorded file, and its identity is renewed.
    """
    row = files.file_of(ledger, night, path)
    if not is_stray(ledger, row.id):
        return False
    if row.sha256 == sha256:
        why = "the recorded bytes, under another inode or time"
        files.renew_identity(ledger, row, who, why)
        _settle(ledger, row, why, _TRIED_ONCE_READ)
    elif row.state == FileState.QUARANTINED:
        # Nothing was made of the old one: it is a new file, as any that comes late.
        _settle(ledger, row, "another file lies under its name", ())
        files.renew_file(ledger, row.id, who, FileState.LATE, Cause(FileCode.LATE))
    else:
        detail = f"its SHA-256 was {row.sha256}, and is {sha256}"
        _store(ledger, row, StrayState.OTHER, who, detail)
    return True


def drop(ledger: Ledger, row: RawFile, why: str) -> None:
    """Nobody needs to know any more what lies under the name of the raw file *row*."""
    _settle(ledger, row, why, ())


def review(ledger: Ledger, night: int) -> str | None:
    """Hold the night for its strays, or let it go on without them; return why, where held anew."""
    row = nights.get_night(ledger, night)
    found = holding(ledger, row)
    if found:
        cause = hold_cause(found, is_closed=row.closed_us is not None)
        is_new = nights.hold_while(ledger, night, cause, like=RAW_HOLDS)
        return str(cause) if is_new else None
    nights.lift(ledger, night, RAW_HOLDS, "its raw files are what they were")
    return None


def hold_cause(found: Sequence[Stray], *, is_closed: bool) -> Cause:
    """Why a night is held: the first file, in what it differs, and how many more there are."""
    order = list(_HOLDS)
    first, *others = sorted(found, key=lambda row: (order.index(row.state), row.path))
    more = f"\n{first.detail}" if first.detail else ""
    more += f"\nand {len(others)} more raw file{'s' if len(others) > 1 else ''}" if others else ""
    when = "the night was closed" if is_closed else "it was planned"
    words = {"when": when, "path": first.path, "more": more}
    return Cause(_HOLDS[StrayState(first.state)], words)


def _known(ledger: Ledger, row: RawFile) -> Stray | None:
    return fetch_one(Stray, ledger, f"{_STRAYS} where raw_file = ?", [row.id])


def _judge(row: RawFile, found: FileIdentity | None) -> tuple[StrayState, str | None]:
    """What can be said without reading it."""
    if found is None:
        return StrayState.MISSING, None
    if found.size_bytes != row.size_bytes:
        return StrayState.OTHER, f"it had {row.size_bytes} bytes, and has {found.size_bytes}"
    if row.sha256 is None:
        return StrayState.OTHER, "its SHA-256 was never recorded: nobody can tell what it was"
    return StrayState.UNREAD, None


def _store(
    ledger: Ledger, row: RawFile, state: StrayState, found: FileIdentity | None, detail: str | None
) -> None:
    ledger.execute(
        "insert into stray (raw_file, night, state, inode, size_bytes, modified_ns, detail,"
        " changed_us, changed_by, why) values (:raw_file, :night, :state, :inode, :size_bytes,"
        " :modified_ns, :detail, :changed_us, :changed_by, :why) on conflict do update set"
        " state = :state, inode = :inode, size_bytes = :size_bytes, modified_ns = :modified_ns,"
        " detail = :detail, changed_us = :changed_us, changed_by = :changed_by, why = :why",
        {
            "raw_file": row.id,
            "night": row.night,
            "state": state,
            "inode": None if found is None else found.inode,
            "size_bytes": None if found is None else found.size_bytes,
            "modified_ns": None if found is None else found.modified_ns,
            "detail": detail,
            **ledger.stamp(detail),
        },
    )


def _settle(ledger: Ledger, row: RawFile, why: str, tried: Sequence[ErrorClass]) -> None:
    """The file *row* is no stray any more; what failed without it, of these classes, is tried."""
    ledger.execute(
        "update stray set changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where raw_file = :raw_file",
        {**ledger.stamp(why), "raw_file": row.id},
    )
    ledger.execute("delete from stray where raw_file = ?", [row.id])
    for error_class in tried:
        tasks.retry_of_raw(ledger, row, error_class, why)


def _identity(stray: Stray) -> FileIdentity | None:
    if stray.inode is None or stray.size_bytes is None or stray.modified_ns is None:
        return None
    return FileIdentity(
        inode=stray.inode, size_bytes=stray.size_bytes, modified_ns=stray.modified_ns
    )
