"""Which frame IDs were seen outside the ledger, in nights' folders, marks and far folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vampd.io.numbers_seen import NightNumbers
from vampd.ledger.connection import Ledger
from vampd.ledger.rows import Record, fetch_all, fetch_one


class NumbersSeen(Record, frozen=True, kw_only=True):
    """Which numbers a folder bears, or bore when it was last looked at."""

    folder: str
    highest: int
    place: str
    looked_us: int
    runs: str  #: JSON
    note: str | None


class NumberLook(Record, frozen=True, kw_only=True):
    """The last look at a far folder."""

    place: str
    looked_us: int
    nights: int
    error: str | None


def stamps(ledger: Ledger) -> dict[str, Any]:
    """How each night's folder was when its numbers were seen, by folder."""
    rows = ledger.rows("select folder, stamp from number_seen where source = 'night'")
    return {row["folder"]: json.loads(row["stamp"]) for row in rows}


def far_nights(ledger: Ledger) -> list[NumbersSeen]:
    """What was seen of each night at the far ends."""
    return fetch_all(NumbersSeen, ledger, "select * from number_seen where source = 'far'")


def look_at(ledger: Ledger, place: str) -> NumberLook | None:
    """The last look at the far folder *place*, if there was one."""
    return fetch_one(NumberLook, ledger, "select * from number_look where place = ?", [place])


def record(ledger: Ledger, seen: NightNumbers, source: str) -> None:
    """Keep the numbers of a folder in place of what was seen there before.

    *source* is "night", "mark" or "far".
    """
    ledger.execute(
        "insert into number_seen (folder, stamp, highest, place, looked_us, source, runs, note)"
        " values (:folder, :stamp, :highest, :place, :now_us, :source, :runs, :note)"
        " on conflict do update set stamp = :stamp, highest = :highest, place = :place,"
        " looked_us = :now_us, source = :source, runs = :runs, note = :note",
        {
            "folder": seen.folder,
            "stamp": json.dumps(seen.stamp),
            "highest": seen.highest,
            "place": seen.place,
            "source": source,
            "runs": json.dumps(seen.runs),
            "note": "; ".join(seen.notes) or None,
            "now_us": ledger.now_us(),
        },
    )


def record_far(
    ledger: Ledger, place: str, found: Sequence[NightNumbers], error: str | None
) -> None:
    """Keep a look at the far folder *place*: the nights *found* there, or why none was."""
    for seen in found:
        record(ledger, seen, "far")
    ledger.execute(
        "insert into number_look (place, looked_us, nights, error)"
        " values (:place, :now_us, :nights, :error) on conflict do update"
        " set looked_us = :now_us, nights = :nights, error = :error",
        {"place": place, "nights": len(found), "error": error, "now_us": ledger.now_us()},
    )


def doubt_looks(ledger: Ledger) -> None:
    """Ask every far folder again before the next numbers are dealt: more may lie there by now."""
    ledger.execute(
        "update number_look set looked_us = 0, error = 'the ledger was made again since then'"
    )


def note_looked(ledger: Ledger, night: int) -> None:
    """All places were looked at for a night just now."""
    ledger.update("night", night, ids_looked_us=ledger.now_us())
