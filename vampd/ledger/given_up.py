"""Raw files that an operator gave up after their night was planned."""

from __future__ import annotations

from collections.abc import Iterable

from vampd.causes import Cause
from vampd.ledger import files, strays
from vampd.ledger.connection import Ledger
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import Record, fetch_all
from vampd.states import FileCode, FileState


class GivenUpCube(Record, frozen=True, kw_only=True):
    """A cube that an operator gave up."""

    raw_file: int
    path: str
    frames: int
    changed_by: str
    why: str


def give_up(ledger: Ledger, rows: Iterable[RawFile], why: str) -> None:
    """Give a cube and its timing file up, for the reason *why*."""
    with ledger.transaction():
        for row in rows:
            ledger.insert("given_up", raw_file=row.id, night=row.night, **ledger.stamp(why))
            cause = given_up_by(ledger.actor, why)
            strays.drop(ledger, row, str(cause))
            files.set_state(ledger, row.id, FileState.QUARANTINED, cause)


def given_up_by(actor: str, why: str) -> Cause:
    """Why frames of such a file are in no output."""
    return Cause(FileCode.LEFT_OUT, {"who": actor, "why": why})


def is_given_up(ledger: Ledger, raw_file: int) -> bool:
    """Whether that was said of this file."""
    return ledger.value("select 1 from given_up where raw_file = ?", [raw_file]) is not None


def paths_of(ledger: Ledger, night: int) -> frozenset[str]:
    """All of a night, cubes and timing files."""
    rows = ledger.rows(
        "select path from given_up join raw_file on raw_file.id = raw_file"
        " where given_up.night = ?",
        [night],
    )
    return frozenset(row["path"] for row in rows)


def cubes_of(ledger: Ledger, night: Night) -> list[GivenUpCube]:
    """Cubes of the batch that is worked on."""
    return fetch_all(
        GivenUpCube,
        ledger,
        "select given_up.*, raw_file.path, cube.frames from given_up"
        " join cube on cube.raw_file = given_up.raw_file"
        " join raw_file on raw_file.id = given_up.raw_file"
        " where given_up.night = ? and raw_file.batch = ? order by raw_file.path",
        [night.id, night.batch],
    )


def numbers(ledger: Reader, night: int) -> frozenset[int]:
    """The numbers of all raw files of a night that were given up."""
    rows = ledger.execute("select raw_file from given_up where night = ?", (night,))
    return frozenset(row["raw_file"] for row in rows)


def forget(ledger: Ledger, night: int, why: str) -> None:
    """With its plan it is forgotten what was given up for its sake; the files stay quarantined."""
    ledger.execute(
        "update given_up set changed_us = :changed_us, changed_by = :changed_by,"
        " why = :why || ': ' || why where night = :night",
        {**ledger.stamp(why), "night": night},
    )
    ledger.execute("delete from given_up where night = ?", [night])
