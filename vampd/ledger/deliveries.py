"""What goes to the other machine, and what is known of it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vampd.ledger.connection import Ledger, Row


def list_file(ledger: Ledger, night: int, path: str, size_bytes: int, sha256: str) -> None:
    """List a file to be sent; a new digest voids what was known of an older one."""
    ledger.execute(
        "insert into deliverable (night, path, size_bytes, sha256)"
        " values (:night, :path, :size_bytes, :sha256)"
        " on conflict (night, path) do update set size_bytes = :size_bytes, sha256 = :sha256,"
        " sent_us = null, verified_us = null, verdict = null, detail = null"
        " where sha256 != :sha256",
        {"night": night, "path": path, "size_bytes": size_bytes, "sha256": sha256},
    )


def deliverables_of(ledger: Ledger, night: int) -> list[Row]:
    """Every file listed for the other machine, the manifest last."""
    return ledger.rows(
        "select * from deliverable where night = ? order by path like 'manifest%', path", [night]
    )


def plain(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Deliverables as plain values, for a worker."""
    return [{name: row[name] for name in ("path", "size_bytes", "sha256")} for row in rows]


def record_sent(ledger: Ledger, night: int, paths: Iterable[str]) -> None:
    """Rsync went over these; it proves nothing."""
    now_us = ledger.now_us()
    ledger.connection.executemany(
        "update deliverable set sent_us = ? where night = ? and path = ?",
        [(now_us, night, path) for path in paths],
    )


def record_verdicts(ledger: Ledger, night: int, verdicts: Iterable[Mapping[str, Any]]) -> None:
    """Keep what was found at the far end."""
    now_us = ledger.now_us()
    for verdict in verdicts:
        verified = verdict["verdict"] == "verified"
        ledger.execute(
            "update deliverable set verdict = ?, detail = ?, verified_us = ?"
            " where night = ? and path = ?",
            [
                verdict["verdict"],
                verdict["why"] or verdict["sha256"],
                now_us if verified else None,
                night,
                verdict["path"],
            ],
        )


def send_again(ledger: Ledger, night: int, paths: Iterable[str]) -> None:
    """These are missing or differ over there: send them again, compared byte by byte."""
    ledger.connection.executemany(
        "update deliverable set sent_us = null, resends = resends + 1 where night = ? and path = ?",
        [(night, path) for path in paths],
    )
