"""Which raw files were rebuilt bit for bit from what was delivered, and from which sidecar.

A proof belongs to one sidecar, by its digest: triggers of the ledger forget it as soon as
another sidecar is listed, and a raw file's part in it as soon as the file has other bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from vampd.ledger.connection import Ledger
from vampd.ledger.records import RawFile
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.records import RebuiltFile

_SIDECAR = ".vampd/raw_sidecar"

#: A proof that is complete, of a sidecar that is still the listed one.
_VALID = (
    "select rebuild_proof.id from rebuild_proof join deliverable"
    " on deliverable.night = rebuild_proof.night"
    " and deliverable.sha256 = rebuild_proof.sidecar_sha256"
    " and deliverable.path = iif(rebuild_proof.batch = 1, '.vampd/raw_sidecar.tar',"
    " '.vampd/raw_sidecar.' || rebuild_proof.batch || '.tar')"
    " where rebuild_proof.night = ?1 and rebuild_proof.proved_us is not null"
)

#: Files of the cameras that lie in the night's folder, and are not to be processed later.
_THERE = (
    "night = ?1 and role != 'other' and state in ('whole', 'quarantined')"
    " and id not in (select raw_file from given_up)"
)


class RebuildProof(Record, frozen=True, kw_only=True):
    """The proof that the raw files of a batch can be rebuilt."""

    id: int
    night: int
    batch: int
    sidecar_sha256: str
    files: int
    frames: int
    proved_us: int | None
    problem: str | None
    failures: int
    due_us: int
    changed_us: int
    changed_by: str
    why: str | None


class ListedSidecar(Record, frozen=True, kw_only=True):
    """A sidecar of which something is to be proved."""

    night: int
    batch: int
    path: str
    sha256: str


def rebuild_proved(ledger: Ledger, night: int) -> bool:
    """Whether every raw file that is there was rebuilt bit for bit from outputs and sidecar.

    It holds for whole and for quarantined files. Late ones are in no sidecar and count for
    nothing here: nothing proves them.
    """
    has_proof = ledger.value(_VALID, [night]) is not None
    return has_proof and not unproved_files(ledger, night)


def unproved_files(ledger: Ledger, night: int) -> list[str]:
    """Paths of whole and quarantined raw files that no valid proof covers."""
    rows = ledger.rows(
        f"select path from raw_file where {_THERE}"  # noqa: S608 - constants
        f" and (rebuilt_by is null or rebuilt_by not in ({_VALID})) order by path",
        [night],
    )
    return [row["path"] for row in rows]


def sidecar_to_prove(ledger: Ledger) -> ListedSidecar | None:
    """The sidecar of the longest safe night of which something is not proved yet.

    None while a cube is built: that has the first claim to the disks.
    """
    # A range, not LIKE: it uses the index of paths, and this is asked every second.
    return fetch_one(
        ListedSidecar,
        ledger,
        "select deliverable.night, deliverable.batch, deliverable.path, deliverable.sha256"
        " from night join deliverable on deliverable.night = night.id"
        " and deliverable.path >= ?1 and deliverable.path < ?2"
        " left join rebuild_proof on rebuild_proof.night = deliverable.night"
        " and rebuild_proof.batch = deliverable.batch"
        " where night.status = 'safe' and night.hold is null"
        " and rebuild_proof.proved_us is null and rebuild_proof.problem is null"
        " and coalesce(rebuild_proof.due_us, 0) <= ?3"
        " and not exists (select 1 from task where state = 'running' and stage = 'build')"
        " order by night.safe_us limit 1",
        [f"{_SIDECAR}.", f"{_SIDECAR}/", ledger.now_us()],
    )


def is_listed(ledger: Ledger, night: int, path: str, sha256: str) -> bool:
    """Whether the sidecar *path* of a night is still listed, with this digest."""
    query = "select 1 from deliverable where night = ? and path = ? and sha256 = ?"
    return ledger.value(query, [night, path, sha256]) is not None


def begin(ledger: Ledger, night: int, batch: int, sidecar_sha256: str) -> RebuildProof:
    """The proof of a batch from this sidecar, begun when it is not there."""
    ledger.execute(
        "insert into rebuild_proof (night, batch, sidecar_sha256, changed_us, changed_by, why)"
        " values (:night, :batch, :sidecar, :changed_us, :changed_by, :why)"
        " on conflict do nothing",
        {"night": night, "batch": batch, "sidecar": sidecar_sha256, **ledger.stamp("begun")},
    )
    row = proof_of(ledger, night, batch)
    assert row is not None
    return row


def proof_of(ledger: Ledger, night: int, batch: int) -> RebuildProof | None:
    """The proof of a batch, complete or not, if it was begun."""
    return fetch_one(
        RebuildProof,
        ledger,
        "select * from rebuild_proof where night = ? and batch = ?",
        [night, batch],
    )


def files_to_rebuild(ledger: Ledger, night: int, batch: int, most_bytes: int) -> list[RawFile]:
    """Raw files of a batch that no proof covers yet, by path; some of *most_bytes* together.

    Without a digest there is nothing to compare with: such a file is never covered.
    """
    rows = fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and batch = ?"
        " and role != 'other' and state in ('whole', 'quarantined') and rebuilt_by is null"
        " and sha256 is not null and id not in (select raw_file from given_up)"
        " order by path",
        [night, batch],
    )
    chosen: list[RawFile] = []
    size_bytes = 0
    for row in rows:
        if chosen and size_bytes + row.size_bytes > most_bytes:
            break
        chosen.append(row)
        size_bytes += row.size_bytes
    return chosen


def record_rebuilt(ledger: Ledger, proof: RebuildProof, rebuilt: Iterable[RebuiltFile]) -> None:
    """These files came back with these digests, *frames* each; the proof is complete with the last.

    A file whose recorded digest is another by now is not covered.
    """
    with ledger.transaction():
        for file in rebuilt:
            cursor = ledger.execute(
                "update raw_file set rebuilt_by = ? where night = ? and path = ? and sha256 = ?",
                [proof.id, proof.night, file.path, file.sha256],
            )
            ledger.execute(
                "update rebuild_proof set files = files + ?, frames = frames + ? where id = ?",
                [cursor.rowcount, cursor.rowcount * file.frames, proof.id],
            )
        ledger.update("rebuild_proof", proof.id, failures=0)
        if not files_to_rebuild(ledger, proof.night, proof.batch, 0):
            why = "every raw file came back bit for bit"
            ledger.update("rebuild_proof", proof.id, proved_us=ledger.now_us(), **ledger.stamp(why))


def put_off(ledger: Ledger, proof: RebuildProof, why: str, *, due_us: int) -> None:
    """An attempt told nothing of the files; the next one is due later."""
    ledger.update(
        "rebuild_proof",
        proof.id,
        failures=proof.failures + 1,
        due_us=due_us,
        **ledger.stamp(why),
    )


def record_problem(ledger: Ledger, proof: RebuildProof, problem: str) -> None:
    """The proof failed; it is not tried again until somebody asks."""
    ledger.update("rebuild_proof", proof.id, problem=problem, **ledger.stamp(problem))


def forget(ledger: Ledger, night: int, why: str) -> int:
    """Forget the proofs of a night, so that they are made anew; return how many there were."""
    with ledger.transaction():
        ledger.execute(
            "update raw_file set rebuilt_by = null where rebuilt_by in"
            " (select id from rebuild_proof where night = ?)",
            [night],
        )
        ledger.execute(
            "update rebuild_proof set changed_us = :changed_us, changed_by = :changed_by,"
            " why = :why where night = :night",
            {**ledger.stamp(why), "night": night},
        )
        return ledger.execute("delete from rebuild_proof where night = ?", [night]).rowcount
