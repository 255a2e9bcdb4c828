"""By which markers the disks are known to which nights are delivered, and who said so."""

from __future__ import annotations

from collections.abc import Iterable

from vampd.io.listed_files import ListedFile
from vampd.ledger.connection import Ledger
from vampd.ledger.rows import fetch_all
from vampd.remote.destination_marker import Marked

_COPIES = 3  # that are looked for, where a disk has no marker yet


def marker_of(ledger: Ledger, place: str) -> str | None:
    """The marker of the disk of the far folder *place*; None: nobody claimed it yet."""
    found = ledger.value(
        "select marker from far_disk where place = ? order by id desc limit 1", [place]
    )
    return None if found is None else str(found)


def record(ledger: Ledger, marked: Iterable[Marked]) -> None:
    """Remember from now on the markers of *marked*; those before stay on record."""
    for disk in marked:
        if marker_of(ledger, disk.place) != disk.marker:
            ledger.insert(
                "far_disk", place=disk.place, marker=disk.marker, **ledger.stamp(disk.why)
            )


def go_on(ledger: Ledger, place: str) -> int:
    """Let the work that waits for the disk of *place* be tried now; how much of it there was."""
    return ledger.execute(
        "update task set due_us = 0 where state = 'pending' and due_us > 0 and instr(error, ?) > 0",
        [f"far disk {place}: "],
    ).rowcount


def copies_at(ledger: Ledger, place: str) -> list[ListedFile]:
    """Some files that were published below the far folder *place*, of the latest nights.

    Their paths begin there.
    """
    return fetch_all(
        ListedFile,
        ledger,
        "select night.date || '/' || far_copy.path as path, deliverable.size_bytes,"
        " far_copy.sha256 from night join far_copy on far_copy.night = night.id"
        " and far_copy.place = rtrim(?, '/') || '/' || night.date"
        " join deliverable on deliverable.night = night.id and deliverable.path = far_copy.path"
        " and deliverable.sha256 = far_copy.sha256"
        " order by night.date desc limit ?",
        [place, _COPIES],
    )


def was_used(ledger: Ledger, place: str) -> bool:
    """Whether anything was ever published below the far folder *place*."""
    found = ledger.value(
        "select 1 from night where exists (select 1 from far_copy where night = night.id"
        " and place = rtrim(?, '/') || '/' || night.date) limit 1",
        [place],
    )
    return found is not None
