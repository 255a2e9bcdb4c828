"""What gives its space back: pins, an operator's word, and every file on its way.

The row is there before its file is touched; what a row says of a file that is on its way is
an intention, and only a look at the disk tells what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from vampd.causes import Cause, file_cause
from vampd.ledger import files
from vampd.ledger.connection import Ledger
from vampd.ledger.elapsed import passed_us
from vampd.ledger.records import Pin, TrashFile
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.records import FileIdentity
from vampd.states import FileCode, FileState, Space, TrashState

#: A row in one of these says what was intended, not what came of it.
_UNSETTLED = "state in ('leaving', 'returning', 'unlinking')"


class Candidate(Record, frozen=True, kw_only=True):
    """A file that may give its space back; but for path and size, a raw file's columns."""

    path: str
    size_bytes: int
    raw_file: int | None
    inode: int | None
    modified_ns: int | None
    state: FileState | None
    reason: str | None
    reason_code: FileCode | None
    reason_words: str | None

    @property
    def identity(self) -> FileIdentity | None:
        """Who a raw file is; None: it is no raw file."""
        if self.inode is None or self.modified_ns is None:
            return None
        return FileIdentity(
            inode=self.inode, size_bytes=self.size_bytes, modified_ns=self.modified_ns
        )


class LeavingFile(Record, frozen=True, kw_only=True):
    """A file that gives its space back, in its place and in the trash, as a worker takes it."""

    id: int
    path: str  #: relative to the night's folder
    place: str  #: relative to the root's trash
    inode: int
    size_bytes: int
    modified_ns: int
    sha256: str | None  #: of the bytes that bear this identity, where it is known
    state: TrashState  #: what is intended, or was when a worker ended


def pinned(ledger: Ledger, night: int) -> Pin | None:
    """Who wants everything of a night kept, and why; None: nobody."""
    return fetch_one(Pin, ledger, "select * from pin where night = ?", [night])


def pin(ledger: Ledger, night: int, why: str) -> None:
    """Keep everything of a night, until `unpin`. The first reason stays."""
    ledger.execute(
        "insert into pin (night, changed_us, changed_by, why)"
        " values (:night, :changed_us, :changed_by, :why) on conflict do nothing",
        {"night": night, **ledger.stamp(why)},
    )


def unpin(ledger: Ledger, night: int, why: str | None) -> None:
    """Nobody wants the night kept any more."""
    with ledger.transaction():
        ledger.execute(
            "update pin set changed_us = :changed_us, changed_by = :changed_by,"
            " why = coalesce(:why, why) where night = :night",
            {"night": night, **ledger.stamp(why)},
        )
        ledger.execute("delete from pin where night = ?", [night])


def let_go(ledger: Ledger, night: int, why: str) -> int:
    """An operator's word that the night's quarantined cubes may go; return how many files."""
    cursor = ledger.execute(
        "insert into let_go (raw_file, night, changed_us, changed_by, why)"
        " select id, night, :changed_us, :changed_by, :why from raw_file where night = :night"
        " and state = 'quarantined' and id not in (select raw_file from given_up)"
        " on conflict do nothing",
        {"night": night, **ledger.stamp(why)},
    )
    return cursor.rowcount


def undecided(ledger: Ledger, night: int) -> list[str]:
    """Quarantined files about which no operator decided."""
    rows = ledger.rows(
        "select path from raw_file where night = ? and state = 'quarantined'"
        " and id not in (select raw_file from let_go union select raw_file from given_up)"
        " order by path",
        [night],
    )
    return [str(row["path"]) for row in rows]


def candidates(ledger: Ledger, night: int, space: Space) -> list[Candidate]:
    """Every file that may go if the night's *space* may.

    Raw: cubes and their timing files, whole or let go. Outputs: what was delivered of
    `vgen2/`, unless it went already. Late files and other people's files are in neither.
    """
    if space is Space.OUTPUTS:
        return fetch_all(
            Candidate,
            ledger,
            "select path, size_bytes, null as raw_file, null as inode, null as modified_ns,"
            " null as state, null as reason, null as reason_code, null as reason_words"
            " from deliverable where night = ?1"
            " and path like 'vgen2/%' and path not in (select path from trash where night = ?1"
            " and state not in ('listed', 'returned') and not (state = 'unlinked' and made_anew))"
            " order by path",
            [night],
        )
    return fetch_all(
        Candidate,
        ledger,
        "select id as raw_file, path, inode, size_bytes, modified_ns, state, reason, reason_code,"
        " reason_words from raw_file"
        " where night = ? and role in ('cube', 'timing') and (state = 'whole'"
        " or (state = 'quarantined' and id in (select raw_file from let_go))) order by path",
        [night],
    )


def in_trash(ledger: Ledger, night: int, space: Space | None = None) -> list[TrashFile]:
    """Every file of a night that lies in the trash."""
    return fetch_all(
        TrashFile,
        ledger,
        "select * from trash where night = ?1 and state = 'trashed'"
        " and (?2 is null or space = ?2) order by id",
        [night, space],
    )


def to_put_back(ledger: Ledger, night: int) -> list[TrashFile]:
    """What `vampd space undelete` moves back: what lies in the trash, or was lost."""
    return fetch_all(
        TrashFile,
        ledger,
        "select * from trash where night = ? and state in ('trashed', 'lost') order by id",
        [night],
    )


def unsettled(ledger: Ledger, most: int, now_passed_us: int) -> list[TrashFile]:
    """Files of one night that were on their way when their worker ended; due ones only."""
    first = ledger.row(
        f"select night from trash where {_UNSETTLED} and due_passed_us <= ? limit 1",  # noqa: S608
        [now_passed_us],
    )
    if first is None:
        return []
    return fetch_all(
        TrashFile,
        ledger,
        f"select * from trash where {_UNSETTLED} and night = ? order by id limit ?",  # noqa: S608
        [first["night"], most],
    )


def on_their_way(ledger: Ledger, night: int) -> int:
    """How many files of a night are being moved, or were when a worker ended."""
    count: int = ledger.value(
        f"select count(*) from trash where night = ? and {_UNSETTLED}",  # noqa: S608
        [night],
    )
    return count


def get(ledger: Ledger, number: int) -> TrashFile:
    """The row of a file that exists."""
    row = fetch_one(TrashFile, ledger, "select * from trash where id = ?", [number])
    assert row is not None, number
    return row


def leaving(ledger: Ledger, row: TrashFile) -> LeavingFile:
    """What a worker must know of a file."""
    found = fetch_one(
        LeavingFile,
        ledger,
        "select trash.*, coalesce(raw_file.sha256, deliverable.sha256) as sha256 from trash"
        " left join raw_file on raw_file.id = trash.raw_file"
        " left join deliverable on trash.raw_file is null and deliverable.night = trash.night"
        " and deliverable.path = trash.path where trash.id = ?",
        [row.id],
    )
    assert found is not None, row.id
    return found


def rest(ledger: Ledger, numbers: Sequence[int], until_passed_us: int) -> None:
    """Nobody looks for these files before that time, by the witness's clock."""
    ledger.connection.executemany(
        "update trash set due_passed_us = ? where id = ?",
        [(until_passed_us, number) for number in numbers],
    )


def set_states(
    ledger: Ledger, numbers: Sequence[int], state: TrashState, why: str | None = None
) -> None:
    """Say of files what is intended with them, or what became of them."""
    with ledger.transaction():
        ledger.connection.executemany(
            "update trash set state = :state, due_passed_us = 0, changed_us = :changed_us,"
            " changed_by = :changed_by, why = :why where id = :id",
            [{"id": number, "state": state, **ledger.stamp(why)} for number in numbers],
        )


def settle(ledger: Ledger, row: TrashFile, state: TrashState, why: str | None) -> None:
    """Keep what a look at the disk told of one file; its raw file's row follows."""
    moved = {}
    if state is TrashState.TRASHED and row.moved_us is None:
        moved = {"moved_us": ledger.now_us(), "moved_passed_us": passed_us(ledger)}
    ledger.update("trash", row.id, state=state, **moved, **ledger.stamp(why))
    if row.raw_file is None:
        return
    if state is TrashState.RETURNED:
        assert row.was is not None, row.id
        cause = file_cause(row.was_code, row.was_words, row.was_reason)
        files.set_state(ledger, row.raw_file, row.was, cause)
    else:
        files.set_state(ledger, row.raw_file, FileState.GONE, _gone(state))


def _gone(state: TrashState) -> Cause:
    """Why a raw file is not in its place."""
    codes = {
        TrashState.TRASHED: FileCode.TRASHED,
        TrashState.UNLINKED: FileCode.GIVEN_BACK,
        TrashState.LOST: FileCode.LOST,
    }
    return Cause(codes.get(state, FileCode.ON_ITS_WAY))


def why_gone(ledger: Ledger, raw_file: int) -> Cause | None:
    """Why a raw file is not in its place, if that is vampd's own doing."""
    row = ledger.row(
        "select state from trash where raw_file = ? and state not in ('listed', 'returned')"
        " order by id desc limit 1",
        [raw_file],
    )
    return None if row is None else _gone(TrashState(row["state"]))


def why_incomplete(ledger: Ledger, night: int) -> str | None:
    """Why the raw files of a night cannot be worked on: some are on their way, or gone for ever."""
    counts = {
        row["state"]: row["files"]
        for row in ledger.rows(
            "select trash.state, count(*) as files from trash join raw_file"
            " on raw_file.id = trash.raw_file where trash.night = ?"
            " and trash.state not in ('listed', 'returned')"
            " and (trash.state != 'unlinked' or raw_file.state = 'gone') group by trash.state",
            [night],
        )
    }
    if counts.keys() - {TrashState.UNLINKED, TrashState.LOST}:
        return (
            f"{sum(counts.values())} raw files are not in their place: `vampd space undelete` first"
        )
    if counts:
        return f"{sum(counts.values())} raw files are gone: their space was given back"
    return None


def unproved(ledger: Ledger, night: int) -> list[str]:
    """Raw files in the trash that no proof covers: from a sidecar that is still the listed one."""
    rows = ledger.rows(
        "select trash.path from trash join raw_file on raw_file.id = trash.raw_file"
        " where trash.night = ? and trash.state = 'trashed' and not exists (select 1"
        " from rebuild_proof join deliverable on deliverable.night = rebuild_proof.night"
        " and deliverable.sha256 = rebuild_proof.sidecar_sha256"
        " where rebuild_proof.id = raw_file.rebuilt_by and rebuild_proof.proved_us is not null)"
        " order by trash.path",
        [night],
    )
    return [str(row["path"]) for row in rows]


def removed(ledger: Ledger, night: int) -> int:
    """How many files of a night were removed for ever."""
    number: int = ledger.value(
        "select count(*) from trash where night = ? and state = 'unlinked'", [night]
    )
    return number


def raw_is_gone(ledger: Ledger, night: int) -> bool:
    """Whether vampd removed raw files of a night for ever, and none is left."""
    removed = ledger.value(
        "select 1 from trash where night = ? and space = 'raw' and state = 'unlinked' limit 1",
        [night],
    )
    left = ledger.value(
        "select 1 from raw_file where night = ?1 and role in ('cube', 'timing')"
        " and state != 'gone' and id not in (select raw_file from given_up)"
        " union all select 1 from trash where night = ?1 and space = 'raw'"
        " and state not in ('listed', 'returned', 'unlinked') limit 1",
        [night],
    )
    return removed is not None and left is None
