"""By which marker the disk of each root is known."""

from __future__ import annotations

from vampd.ledger.connection import Ledger


def markers(ledger: Ledger) -> dict[str, str]:
    """The marker of every root that was claimed, by its path."""
    return {row["path"]: row["marker"] for row in ledger.rows("select path, marker from root")}


def marker_of(ledger: Ledger, path: str) -> str | None:
    """The marker of the root *path*; None: nobody claimed it yet."""
    marker: str | None = ledger.value("select marker from root where path = ?", [path])
    return marker


def record(ledger: Ledger, path: str, marker: str) -> None:
    """The disk of the root *path* bears *marker* from now on."""
    ledger.insert("root", path=path, marker=marker, claimed_us=ledger.now_us())
