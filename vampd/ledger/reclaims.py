"""Runs that give space back: one row a night and a kind of space, and the files it listed."""

from __future__ import annotations

from collections.abc import Iterable

from vampd.ledger import elapsed
from vampd.ledger.connection import Ledger
from vampd.ledger.records import TrashFile
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.ledger.trash import Candidate
from vampd.records import FileIdentity
from vampd.states import ReclaimState, Space

_OPEN = "state in ('verifying', 'moving')"


class Reclaim(Record, frozen=True, kw_only=True):
    """A run that gives one night's space of one kind back."""

    id: int
    run: int
    night: int
    space: Space
    final: bool  #: out of the trash for ever
    state: ReclaimState
    life: int | None  #: the daemon that found the copies right
    begun_us: int
    begun_passed_us: int
    verified_us: int | None
    verified_passed_us: int | None
    due_passed_us: int
    files: int
    size_bytes: int
    changed_us: int
    changed_by: str
    why: str | None


def begin(ledger: Ledger, run: int, night: int, space: Space, *, final: bool, why: str) -> int:
    """Begin to give back one night's *space*; *final*: out of the trash for ever."""
    return ledger.insert(
        "reclaim",
        run=run,
        night=night,
        space=space,
        final=int(final),
        state=ReclaimState.VERIFYING,
        begun_us=ledger.now_us(),
        begun_passed_us=elapsed.passed_us(ledger),
        **ledger.stamp(why),
    )


def life(ledger: Ledger) -> int:
    """The daemon that lives now, or lived last; 0 before the first."""
    number: int = ledger.value("select coalesce(max(id), 0) from daemon")
    return number


def next_run(ledger: Ledger) -> int:
    """The number of a new run."""
    number: int = ledger.value("select coalesce(max(run), 0) + 1 from reclaim")
    return number


def get(ledger: Ledger, number: int) -> Reclaim:
    """The row of a reclaim that exists."""
    row = fetch_one(Reclaim, ledger, "select * from reclaim where id = ?", [number])
    assert row is not None, number
    return row


def open_ones(ledger: Ledger) -> list[Reclaim]:
    """What is under way, in the order in which it was begun."""
    return fetch_all(Reclaim, ledger, f"select * from reclaim where {_OPEN} order by id")  # noqa: S608


def open_of(ledger: Ledger, night: int) -> Reclaim | None:
    """What is under way with a night."""
    return fetch_one(Reclaim, ledger, f"select * from reclaim where night = ? and {_OPEN}", [night])  # noqa: S608


def record_verified(ledger: Ledger, number: int, *, us: int, passed_us: int) -> None:
    """Every far copy was read through and found right; that began at *us*, by both clocks."""
    ledger.update(
        "reclaim",
        number,
        state=ReclaimState.MOVING,
        life=life(ledger),
        verified_us=us,
        verified_passed_us=passed_us,
        **ledger.stamp("every copy at the far end is right"),
    )


def verify_again(ledger: Ledger, number: int, why: str) -> None:
    """What was found at the far end counts no more."""
    with ledger.transaction():
        _forget_listed(ledger, number)
        ledger.update(
            "reclaim",
            number,
            state=ReclaimState.VERIFYING,
            verified_us=None,
            verified_passed_us=None,
            **ledger.stamp(why),
        )


def rest(ledger: Ledger, number: int, until_passed_us: int, why: str) -> None:
    """Try again later."""
    ledger.update("reclaim", number, due_passed_us=until_passed_us, **ledger.stamp(why))


def end(ledger: Ledger, number: int, state: ReclaimState, why: str) -> None:
    """Nothing more is done under this row; what it listed and did not touch is forgotten."""
    with ledger.transaction():
        _forget_listed(ledger, number)
        ledger.execute(
            f"update reclaim set state = :state, changed_us = :changed_us,"  # noqa: S608
            f" changed_by = :changed_by, why = :why where id = :id and {_OPEN}",
            {**ledger.stamp(why), "state": state, "id": number},
        )


def _forget_listed(ledger: Ledger, number: int) -> None:
    ledger.execute("delete from trash where reclaim = ? and state = 'listed'", [number])


def list_files(
    ledger: Ledger, row: Reclaim, chosen: Iterable[tuple[Candidate, FileIdentity]], place: str
) -> None:
    """List the files that go under *row*, as they lie there; *place* is their trash's folder."""
    ledger.connection.executemany(
        "insert into trash (reclaim, night, space, path, place, raw_file, inode, size_bytes,"
        " modified_ns, was, was_reason, was_code, was_words, state, changed_us, changed_by)"
        " values (:reclaim, :night,"
        " :space, :path, :place, :raw_file, :inode, :size_bytes, :modified_ns, :was,"
        " :was_reason, :was_code, :was_words, 'listed', :changed_us, :changed_by)",
        [
            {
                **ledger.stamp(),
                "reclaim": row.id,
                "night": row.night,
                "space": row.space,
                "path": file.path,
                "place": f"{place}/{file.path}",
                "raw_file": file.raw_file,
                "inode": found.inode,
                "size_bytes": found.size_bytes,
                "modified_ns": found.modified_ns,
                "was": file.state,
                "was_reason": file.reason,
                "was_code": file.reason_code,
                "was_words": file.reason_words,
            }
            for file, found in chosen
        ],
    )


def next_files(ledger: Ledger, row: Reclaim, most: int) -> list[TrashFile]:
    """The next files to go under *row*: out of their places, or, if final, out of the trash."""
    if row.final:
        return fetch_all(
            TrashFile,
            ledger,
            "select * from trash where night = ? and space = ? and state = 'trashed'"
            " order by id limit ?",
            [row.night, row.space, most],
        )
    return fetch_all(
        TrashFile,
        ledger,
        "select * from trash where reclaim = ? and state = 'listed' order by id limit ?",
        [row.id, most],
    )


def count_gone(ledger: Ledger, number: int, gone: Iterable[TrashFile]) -> None:
    """Add what went to the sums of a run."""
    sizes = [row.size_bytes for row in gone]
    ledger.execute(
        "update reclaim set files = files + ?, size_bytes = size_bytes + ? where id = ?",
        [len(sizes), sum(sizes), number],
    )
