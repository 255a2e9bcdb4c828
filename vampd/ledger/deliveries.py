"""What goes to the other machine, and what is known of it there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from vampd.io.listed_files import ListedFile
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Deliverable, Night
from vampd.ledger.rows import fetch_all


class Verdict(Protocol):
    """What was found of a file at the far end: see `vampd.stages.verify`."""

    @property
    def path(self) -> str: ...  # noqa: D102 - the columns' names
    @property
    def verdict(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str | None: ...  # noqa: D102
    @property
    def why(self) -> str | None: ...  # noqa: D102


def list_file(ledger: Ledger, night: int, path: str, size_bytes: int, sha256: str) -> None:
    """List a file to be sent; a new digest voids what was known of an older one."""
    ledger.execute(
        "insert into deliverable (night, batch, path, size_bytes, sha256)"
        " values (:night, (select batch from night where id = :night), :path, :size_bytes, :sha256)"
        " on conflict (night, path) do update set size_bytes = :size_bytes, sha256 = :sha256,"
        " sent_us = null, verified_us = null, verdict = null, detail = null"
        " where sha256 != :sha256",
        {"night": night, "path": path, "size_bytes": size_bytes, "sha256": sha256},
    )


def deliverables_of(ledger: Ledger, night: int) -> list[Deliverable]:
    """Every file listed for the other machine, the manifest last."""
    return fetch_all(
        Deliverable,
        ledger,
        "select * from deliverable where night = ? order by path like 'manifest%', path",
        [night],
    )


#: Of a night that goes on, no more is sent at a time: what is newer must not wait for all of it.
_SOME_FILES = 200
_SOME_BYTES = 8_000_000_000


def some_unsent(ledger: Ledger, night: int, *, newest_first: bool) -> list[Deliverable]:
    """Files of a night that are not sent, as they were built or against that; not too many."""
    rows = fetch_all(
        Deliverable,
        ledger,
        "select * from deliverable where night = ? and verified_us is null and sent_us is null"
        " order by id",
        [night],
    )
    chosen: list[Deliverable] = []
    size_bytes = 0
    for row in reversed(rows) if newest_first else rows:
        size_bytes += row.size_bytes
        if chosen and (len(chosen) == _SOME_FILES or size_bytes > _SOME_BYTES):
            break
        chosen.append(row)
    return chosen


def open_counts(ledger: Ledger, night: int) -> tuple[int, int]:
    """How many files of a night are not sent; and how many are, and not verified."""
    row = ledger.row(
        "select count(*) - count(sent_us), count(sent_us) from deliverable"
        " where night = ? and verified_us is null",
        [night],
    )
    assert row is not None
    return row[0], row[1]


def plain(rows: Iterable[Deliverable]) -> list[ListedFile]:
    """Deliverables as plain values, for a worker."""
    return [ListedFile(path=row.path, size_bytes=row.size_bytes, sha256=row.sha256) for row in rows]


def record_sent(ledger: Ledger, night: int, paths: Iterable[str]) -> None:
    """Rsync went over these; it proves nothing."""
    now_us = ledger.now_us()
    ledger.connection.executemany(
        "update deliverable set sent_us = ? where night = ? and path = ?",
        [(now_us, night, path) for path in paths],
    )


def record_verdicts(ledger: Ledger, night: int, verdicts: Iterable[Verdict]) -> None:
    """Keep what was found at the far end.

    A file counts as verified only if the digest found there is the one listed now: it may have
    been made anew since the question was asked.
    """
    now_us = ledger.now_us()
    for verdict in verdicts:
        ledger.execute(
            "update deliverable set verdict = :verdict, detail = :detail, verified_us ="
            " case when :verdict = 'verified' and sha256 = :sha256 then :now_us end"
            " where night = :night and path = :path",
            {
                "verdict": verdict.verdict,
                "detail": verdict.why or verdict.sha256,
                "sha256": verdict.sha256,
                "now_us": now_us,
                "night": night,
                "path": verdict.path,
            },
        )
    ledger.update("night", night, verified_us=_verified_us(ledger, night))


def _verified_us(ledger: Ledger, night: int) -> int | None:
    """When the file whose verification is oldest was verified; None while one is not."""
    row = ledger.row(
        "select count(*) as files, count(verified_us) as verified, min(verified_us) as oldest_us"
        " from deliverable where night = ?",
        [night],
    )
    assert row is not None
    return row["oldest_us"] if row["files"] == row["verified"] else None


def send_again(ledger: Ledger, night: int, paths: Iterable[str]) -> None:
    """Send these again. What lies there, and only waits to be moved on, was sent well before."""
    ledger.connection.executemany(
        "update deliverable set sent_us = null, resends = resends + (verdict is not 'elsewhere')"
        " where night = ? and path = ?",
        [(night, path) for path in paths],
    )


def send_batch_again(ledger: Ledger, night: Night) -> None:
    """Send every file of the night's batch again, and verify it anew."""
    ledger.execute(
        "update deliverable set sent_us = null, verified_us = null, resends = 0"
        " where night = ? and batch = ?",
        [night.id, night.batch],
    )


def forget_file(ledger: Ledger, night: int, path: str) -> None:
    """No such file is to be sent."""
    ledger.execute("delete from deliverable where night = ? and path = ?", [night, path])


def forget_batch(ledger: Ledger, night: Night) -> None:
    """Nothing of the night's batch is to be sent."""
    ledger.execute("delete from deliverable where night = ? and batch = ?", [night.id, night.batch])
