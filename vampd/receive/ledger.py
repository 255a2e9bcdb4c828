"""The receiver's ledger: nights, what lists told, files. Nothing else writes these tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from vampd.io.clock import Clock
from vampd.ledger.connection import Ledger, Schema, open_ledger
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.receive.carry import Verdict
from vampd.receive.plan import Known, Remark, state_of_different
from vampd.receive.records import FileRow, NightRow
from vampd.receive.states import FileState, NightState

#: What a column holds.
Column: TypeAlias = int | str | None

SCHEMA = Schema(name="vampd-receive", folder="receive")


#: What a date that was ahead must not put off for years: see `vampd.ledger.dates`.
PUT_OFF = {
    "night": "due_us > 0",
    "step_run": "state = 'pending'",
    "letter": "sent_us is null and given_up = 0",
}
SINCE = {
    "night": ("moved_us",),
    "file": ("judged_us",),
    "letter": ("composed_us",),
    "alert": ("began_us", "told_us"),
}


def opened(state_dir: Path, *, version: str, clock: Clock) -> Ledger:
    """The receiver's ledger, open for writing; the caller holds the lock of *state_dir*."""
    return open_ledger(state_dir, version=version, clock=clock, schema=SCHEMA)


def night_of(ledger: Ledger, kind: str, date: str) -> NightRow:
    """The night, which is new if nothing of it was ever seen."""
    row = find_night(ledger, kind, date)
    if row is not None:
        return row
    now_us = ledger.now_us()
    number = ledger.insert(
        "night",
        kind=kind,
        date=date,
        state=NightState.ARRIVING,
        seen_us=now_us,
        moved_us=now_us,
        **ledger.stamp("first seen in the inbox"),
    )
    return get_night(ledger, number)


def find_night(ledger: Ledger, kind: str, date: str) -> NightRow | None:
    """The night, if anything of it ever came."""
    query = "select * from night where kind = ? and date = ?"
    return fetch_one(NightRow, ledger, query, [kind, date])


def get_night(ledger: Ledger, number: int) -> NightRow:
    """The row of a night that exists."""
    row = fetch_one(NightRow, ledger, "select * from night where id = ?", [number])
    assert row is not None, number
    return row


def nights(ledger: Ledger) -> list[NightRow]:
    """All nights, the oldest first."""
    return fetch_all(NightRow, ledger, "select * from night order by date, kind")


def _file(ledger: Ledger, night: int, path: str) -> FileRow | None:
    query = "select * from file where night = ? and path = ?"
    return fetch_one(FileRow, ledger, query, [night, path])


def known_files(ledger: Ledger, night: int) -> dict[str, Known]:
    """What is known of every path of a night."""
    digests: dict[str, list[str]] = {}
    for path, sha256 in ledger.execute(
        "select path, sha256 from listing where night = ? order by listed_us desc, id desc", [night]
    ):
        digests.setdefault(path, []).append(sha256)
    return {
        row.path: Known(
            state=row.state,
            digests=tuple(digests.get(row.path, ())),
            sha256=row.sha256,
            identity=row.identity,
            judged_us=row.judged_us,
        )
        for row in fetch_all(FileRow, ledger, "select * from file where night = ?", [night])
    }


def counts_of(ledger: Ledger, night: int) -> dict[FileState, int]:
    """How many files of a night are in which state."""
    rows = ledger.rows("select state, count(*) from file where night = ? group by state", [night])
    return {FileState(row[0]): row[1] for row in rows}


def last_event(ledger: Ledger, night: int) -> int:
    """The number of the last thing that happened to a night: the same, nothing changed."""
    number: int | None = ledger.value("select max(id) from event where night = ?", [night])
    return number or 0


def any_arriving(ledger: Ledger) -> bool:
    """Whether any file may still grow."""
    return bool(ledger.value("select count(*) from file where state = 'arriving'"))


def take_list(ledger: Ledger, night: int, digests: Mapping[str, str]) -> None:
    """A list came: its digests are the newest for its paths, and what is not here is awaited."""
    now_us = ledger.now_us()
    with ledger.transaction():
        for path, sha256 in digests.items():
            ledger.execute(
                "insert into listing (night, path, sha256, listed_us) values (?, ?, ?, ?)"
                " on conflict (night, path, sha256) do update set listed_us = excluded.listed_us",
                [night, path, sha256, now_us],
            )
            row = _file(ledger, night, path)
            if row is None:
                _add(ledger, night, path, FileState.AWAITED, "a list names it")
            elif row.sha256 != sha256 and row.state in {
                FileState.PLACED,
                FileState.UNLISTED,
                FileState.WRONG,
            }:
                _set(ledger, row, FileState.AWAITED, "a list names it", identity=None)


def remark(ledger: Ledger, night: int, remarks: Iterable[Remark]) -> None:
    """Note what was seen of files that were not read."""
    for each in remarks:
        row = _file(ledger, night, each.path)
        if each.state is None:
            if row is not None:
                _forget(ledger, row, each.why)
            continue
        more: dict[str, Column] = {"identity": each.identity, "judged_us": ledger.now_us()}
        if row is None:
            _add(ledger, night, each.path, each.state, each.why, **more)
        else:
            _set(ledger, row, each.state, each.why, **more)


def record(ledger: Ledger, night: int, verdicts: Sequence[Verdict], *, settle_us: int) -> None:
    """Note what became of files."""
    known = known_files(ledger, night)
    is_any_placed = False
    for verdict in verdicts:
        before = known.get(verdict.path)
        state = _state_after(verdict, before, ledger.now_us(), settle_us)
        row = _file(ledger, night, verdict.path)
        columns = _columns(ledger, verdict, state, row)
        if verdict.word == "absent" and (before is None or not before.digests):
            if row is not None:
                _forget(ledger, row, verdict.why)  # nothing names it: it is not awaited
        elif row is None:
            _add(ledger, night, verdict.path, state, verdict.why, **columns)
        else:
            _set(ledger, row, state, verdict.why, **columns)
        is_any_placed |= state is FileState.PLACED
    if is_any_placed:
        ledger.update("night", night, moved_us=ledger.now_us())


_LYING = frozenset({"placed", "there already"})


def _state_after(verdict: Verdict, known: Known | None, now_us: int, settle_us: int) -> FileState:
    match verdict.word:
        case "placed" | "there already":
            newest = known.digests[0] if known is not None and known.digests else verdict.sha256
            return FileState.PLACED if verdict.sha256 == newest else FileState.AWAITED
        case "different":
            return state_of_different(
                known, verdict.identity or "", now_us=now_us, settle_us=settle_us
            )
        case "in the way":
            return FileState.IN_THE_WAY
        case "odd":
            return FileState.ODD
        case "listed" | "absent":
            return FileState.AWAITED


def _columns(
    ledger: Ledger, verdict: Verdict, state: FileState, row: FileRow | None
) -> dict[str, Column]:
    now_us = ledger.now_us()
    if verdict.word in _LYING:
        return {
            "sha256": verdict.sha256,
            "size_bytes": verdict.size_bytes,
            "found": None,
            "identity": None,
            "judged_us": None,
            "placed_us": now_us,
        }
    if state is FileState.AWAITED:
        return {"identity": None, "judged_us": None}
    is_same = row is not None and row.identity == verdict.identity
    judged_us = row.judged_us if row is not None and is_same else now_us
    found = verdict.there or verdict.sha256
    return {"identity": verdict.identity, "judged_us": judged_us, "found": found}


def settle(ledger: Ledger, night: int, state: NightState, cause: str | None) -> bool:
    """Let a night be in *state* for *cause*; return whether that is new."""
    row = get_night(ledger, night)
    if (row.state, row.cause) == (state, cause):
        return False
    ledger.update("night", night, state=state, cause=cause, **ledger.stamp(cause))
    return True


def put_off(ledger: Ledger, night: int, due_us: int, *, failures: int) -> None:
    """Move nothing of the night on before *due_us*."""
    ledger.update("night", night, due_us=due_us, failures=failures)


def judge_again(ledger: Ledger, night: int, why: str) -> int:
    """Forget what was judged of files that are not right: they are read again; how many."""
    rows = fetch_all(
        FileRow,
        ledger,
        "select * from file where night = ? and state in ('wrong', 'in the way', 'odd', 'arriving',"
        " 'unlisted')",
        [night],
    )
    listed = {path for path, each in known_files(ledger, night).items() if each.digests}
    for row in rows:
        if row.path in listed:
            _set(ledger, row, FileState.AWAITED, why, identity=None, judged_us=None, found=None)
        else:
            _forget(ledger, row, why)
    put_off(ledger, night, 0, failures=0)
    return len(rows)


def marker_of(ledger: Ledger, folder: str) -> str | None:
    """By which marker the disk of *folder* is known."""
    marker: str | None = ledger.value("select marker from place where folder = ?", [folder])
    return marker


def keep_marker(ledger: Ledger, folder: str, marker: str) -> None:
    """The disk of *folder* is known by *marker* from now on; the first one stays."""
    ledger.execute(
        "insert into place (folder, marker, claimed_us) values (?, ?, ?) on conflict do nothing",
        [folder, marker, ledger.now_us()],
    )


def forget_marker(ledger: Ledger, folder: str) -> None:
    """The disk of *folder* was changed on purpose."""
    ledger.execute("delete from place where folder = ?", [folder])


_LOOKING = "looking into "


def note_problems(ledger: Ledger, problems: Mapping[str, str]) -> None:
    """Why folders could not be looked at, by folder; those that were before can be now."""
    now_us = ledger.now_us()
    works = {f"{_LOOKING}{folder}": words for folder, words in problems.items()}
    known = ledger.rows("select work from trouble where work like ?", [f"{_LOOKING}%"])
    for (work,) in known:
        if work not in works:
            ledger.execute("delete from trouble where work = ?", [work])
    for work, words in works.items():
        ledger.execute(
            "insert into trouble (work, words, since_us, last_us)"
            " values (:work, :words, :now, :now)"
            " on conflict (work) do update set words = :words, last_us = :now",
            {"work": work, "words": words, "now": now_us},
        )


def has_trouble(ledger: Ledger) -> bool:
    """Whether anything goes wrong that belongs to no night."""
    return bool(ledger.value("select count(*) from trouble"))


def begin_life(ledger: Ledger, *, pid: int, version: str) -> int:
    """A receiver begins; return the number of this life."""
    now_us = ledger.now_us()
    return ledger.insert("daemon", started_us=now_us, pid=pid, version=version, heard_us=now_us)


def note_alive(ledger: Ledger, life: int) -> None:
    """Its loop still goes round."""
    ledger.update("daemon", life, heard_us=ledger.now_us())


def end_life(ledger: Ledger, life: int) -> None:
    """It stopped in good order."""
    ledger.update("daemon", life, stopped_us=ledger.now_us())


def _add(ledger: Ledger, night: int, path: str, state: FileState, why: str, **more: Column) -> None:
    ledger.insert("file", night=night, path=path, state=state, **more, **ledger.stamp(why))


def _set(ledger: Ledger, row: FileRow, state: FileState, why: str, **more: Column) -> None:
    ledger.update("file", row.id, state=state, **more, **ledger.stamp(why))


def _forget(ledger: Ledger, row: FileRow, why: str) -> None:
    ledger.update("file", row.id, **ledger.stamp(why))
    ledger.execute("delete from file where id = ?", [row.id])
