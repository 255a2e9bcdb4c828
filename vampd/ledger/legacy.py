"""What the earlier pipeline left, in the ledger: its tables' words, its nights, its frame IDs.

An adopted night is held. Its frame IDs are recorded as void, so that no number is dealt twice;
nothing of it is processed, and no younger night waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from vampd.causes import Cause
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.nights import get_night, hold_instead, hold_of, set_status
from vampd.ledger.records import Night
from vampd.ledger.rows import Record, fetch_one
from vampd.states import HoldCode, NightStatus

#: How a held night's cause begins when the earlier pipeline worked on it.
_ADOPTED = Cause(HoldCode.ADOPTED)


class Found(Struct, frozen=True, kw_only=True):
    """What was found of the earlier pipeline in one night's folder."""

    signs: Sequence[str]
    proved: Sequence[str] = ()  #: sentences
    unproved: Sequence[str] = ()  #: sentences

    def columns(self) -> dict[str, str]:
        """As the ledger keeps it."""
        return {
            "signs": ", ".join(self.signs),
            "proved": json.dumps(list(self.proved)),
            "unproved": json.dumps(list(self.unproved)),
        }


class Adoption(Record, frozen=True, kw_only=True):
    """A night in whose folder the earlier pipeline was at work, and what is known of that."""

    night: int
    state: str  #: noticed, adopted, released
    signs: str
    proved: str  #: JSON
    unproved: str  #: JSON


def adoption_of(ledger: Ledger, night: int) -> Adoption | None:
    """The row of a night in whose folder the earlier pipeline was at work, if it was."""
    return fetch_one(Adoption, ledger, "select * from adoption where night = ?", [night])


def is_foreign(ledger: Ledger, night: int) -> bool:
    """Whether a night is the earlier pipeline's until an operator says otherwise."""
    row = adoption_of(ledger, night)
    return row is not None and row.state != "released"


def foreign_nights(ledger: Ledger) -> frozenset[int]:
    """All nights that are."""
    rows = ledger.rows("select night from adoption where state != 'released'")
    return frozenset(row["night"] for row in rows)


def notice(ledger: Ledger, night: Night, signs: Sequence[str]) -> bool:
    """Hold a night that vampd never touched, for its folder bears *signs*; once for ever.

    Returns whether it is held for that now. An operator who released it knew the signs.
    """
    if adoption_of(ledger, night.id) is not None or _is_own(ledger, night.id):
        return False
    noticed = Cause(HoldCode.EARLIER_PIPELINE, {"signs": ", ".join(signs)})
    with ledger.transaction():
        _store(ledger, night.id, "noticed", Found(signs=signs), str(noticed))
        _hold(ledger, night.id, noticed)
    return True


def adopt(ledger: Ledger, night: Night, found: Found) -> bool:
    """Record what an import found of a night, and hold it; return whether anything is new.

    A night that was released since stays so: it is vampd's own now.
    """
    row = adoption_of(ledger, night.id)
    known = row is not None and all(
        getattr(row, name) == text for name, text in found.columns().items()
    )
    if row is not None and (row.state == "released" or (row.state == "adopted" and known)):
        return False
    with ledger.transaction():
        _store(ledger, night.id, "adopted", found, str(_ADOPTED))
        _report(ledger, night.id, found)
        _hold(ledger, night.id, _ADOPTED)
    return True


def release(ledger: Ledger, night: int, why: str) -> None:
    """The night is vampd's own from now on."""
    if is_foreign(ledger, night):
        ledger.execute(
            "update adoption set state = 'released', changed_us = :changed_us,"
            " changed_by = :changed_by, why = :why where night = :night",
            {**ledger.stamp(why), "night": night},
        )


def record_files(ledger: Ledger, night: int, files: Iterable[Mapping[str, Any]]) -> int:
    """Keep path, size and time of what the earlier pipeline made; return how many changed.

    A digest that is known stays while size and time are the same.
    """
    changed = 0
    for file in files:
        cursor = ledger.execute(
            "insert into legacy_file (night, path, size_bytes, modified_ns, frame_id, sha256,"
            " problem) values (:night, :path, :size_bytes, :modified_ns, :frame_id, :sha256,"
            " :problem)"
            " on conflict (night, path) do update set size_bytes = excluded.size_bytes,"
            " modified_ns = excluded.modified_ns, frame_id = excluded.frame_id,"
            " problem = excluded.problem, sha256 = case"
            " when excluded.sha256 is not null then excluded.sha256"
            " when size_bytes = excluded.size_bytes and modified_ns = excluded.modified_ns"
            " then sha256 end"
            " where size_bytes != excluded.size_bytes or modified_ns != excluded.modified_ns"
            " or frame_id is not excluded.frame_id or problem is not excluded.problem"
            " or sha256 is not coalesce(excluded.sha256, sha256)",
            {**file, "night": night},
        )
        changed += cursor.rowcount
    return changed


def use_frame_ids(
    ledger: Ledger, night: int, named: Mapping[int, str]
) -> tuple[list[int], list[str]]:
    """Record numbers as used by the earlier pipeline; *named* says where each stands.

    Returns the numbers that are new to the ledger, and the conflicts: numbers that it gave to
    something else.
    """
    added, conflicts = [], []
    for number, place in sorted(named.items()):
        row = ledger.row("select * from frame_id where number = ?", [number])
        if row is None:
            ledger.insert(
                "frame_id",
                number=number,
                night=night,
                state="void",
                is_foreign=1,
                reserved_us=ledger.now_us(),
                **ledger.stamp(f"used by the earlier pipeline: {place}"),
            )
            added.append(number)
        elif row["night"] != night or row["state"] == "bound":
            other = get_night(ledger, row["night"])
            conflicts.append(
                f"{frame_id_text(number)} of {place} is {row['state']} in the ledger,"
                f" for {other.kind} {other.date}"
            )
    return added, conflicts


def store_rows(ledger: Ledger, rows: Iterable[Mapping[str, Any]]) -> int:
    """Keep lines of the earlier tables as they are; return how many are new or other."""
    columns = (
        "processed",
        "processed_at",
        "transferred",
        "transferred_at",
        "safe",
        "safe_at",
        "delete_after",
    )
    changes = ", ".join(f"{name} = excluded.{name}" for name in (*columns, "read_us"))
    differs = " or ".join(f"legacy_row.{name} is not excluded.{name}" for name in columns)
    changed = 0
    for row in rows:
        cursor = ledger.execute(
            f"insert into legacy_row (source, folder, {', '.join(columns)}, read_us)"  # noqa: S608
            f" values (:source, :folder, {', '.join(f':{name}' for name in columns)}, :read_us)"
            f" on conflict (source, folder) do update set {changes} where {differs}",
            {**row, "read_us": ledger.now_us()},
        )
        changed += cursor.rowcount
    ledger.execute(
        "update legacy_row set night = (select id from night where night.folder ="
        " legacy_row.folder) where night is null"
    )
    return changed


def _is_own(ledger: Ledger, night: int) -> bool:
    """Whether vampd planned this night itself."""
    return ledger.value("select 1 from output where night = ? limit 1", [night]) is not None


def _store(ledger: Ledger, night: int, state: str, found: Found, why: str) -> None:
    ledger.execute(
        "insert into adoption values (:night, :state, :signs, :proved, :unproved, :changed_us,"
        " :changed_by, :why) on conflict (night) do update set state = excluded.state,"
        " signs = excluded.signs, proved = excluded.proved, unproved = excluded.unproved,"
        " changed_us = excluded.changed_us, changed_by = excluded.changed_by, why = excluded.why",
        {**ledger.stamp(why), **found.columns(), "night": night, "state": state},
    )


def _report(ledger: Ledger, night: int, found: Found) -> None:
    """Let `vampd show` tell it, in place of what an earlier import found."""
    ledger.execute("delete from report where night = ? and stage = 'import'", [night])
    texts = [f"proved: {text}" for text in found.proved]
    texts += [f"not proved: {text}" for text in found.unproved]
    for text in texts:
        ledger.insert("report", night=night, stage="import", text=text)


def _hold(ledger: Ledger, night: int, cause: Cause) -> None:
    """Hold it for this. An operator's own hold stays, and so does an abandoned night."""
    row = get_night(ledger, night)
    if row.status == NightStatus.ABANDONED:
        return
    if hold_of(row) in {None, HoldCode.EARLIER_PIPELINE}:
        hold_instead(ledger, night, cause)
    if row.status in {NightStatus.EMPTY, NightStatus.COLLECTING}:
        set_status(ledger, get_night(ledger, night), NightStatus.HELD, cause)
