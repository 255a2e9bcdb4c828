"""A night that goes on, in the ledger: what is known of its cubes, and how far it is planned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vampd.ledger import cubes, outputs, tasks
from vampd.ledger.blobs import unpack_times
from vampd.ledger.connection import Ledger
from vampd.ledger.records import LiveNight, Night, RawFile
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.science.live import Place, place_of
from vampd.science.watermark import CubeSpan, Watermark
from vampd.states import Stage, TaskState

#: The unit of the stage sync that plans a night which goes on; that of a closed night has no name.
UNIT = "live"

_CONFIRMED = "its close plans all of it"

_SPANS = (
    "select cube_span.* from cube_span join raw_file on raw_file.id = cube_span.raw_file"
    " join night on night.id = raw_file.night and night.batch = raw_file.batch"
    " where cube_span.night = ? and ends_us > 0 and raw_file.state = 'whole'"
)


def row_of(ledger: Ledger, night: int) -> LiveNight | None:
    """What is kept of a night that goes on, or went on."""
    return fetch_one(LiveNight, ledger, "select * from live where night = ?", [night])


def spans(ledger: Ledger, night: int, *, after_us: int = 0) -> list[CubeSpan]:
    """When the usable frames of whole cubes of a night were taken.

    Of all cubes; or of those that ended *after_us*, the last ones of each camera, and those that
    only the logger timed.
    """
    rows = ledger.rows(f"{_SPANS} and (ends_us > ? or not is_timed)", [night, after_us])
    for camera in (1, 2):
        rows += ledger.rows(
            f"{_SPANS} and ends_us <= ? and is_timed and cube_span.camera = ?"
            " order by ends_us desc limit 1",
            [night, after_us, camera],
        )
    return [
        CubeSpan(
            raw_file=row["raw_file"],
            camera=row["camera"],
            first_us=row["begins_us"],
            last_us=row["ends_us"],
            exposure_us=row["exposure_us"],
            is_timed=bool(row["is_timed"]),
        )
        for row in rows
    ]


def find_spans(ledger: Ledger, night: int) -> None:
    """Find out what an older vampd did not keep of whole cubes."""
    rows = ledger.rows(
        "select cube.* from cube join raw_file on raw_file.id = cube.raw_file"
        " where raw_file.night = ? and not exists"
        " (select 1 from cube_span where cube_span.raw_file = cube.raw_file)",
        [night],
    )
    for row in rows:
        rejected = {int(frame): why for frame, why in json.loads(row["rejected"]).items()}
        usable_us = cubes.usable_times(unpack_times(row["acquired"]), rejected)
        is_timed = bool(row["has_acquisition"])
        cards = json.loads(row["cards"])
        cubes.store_span(ledger, row["raw_file"], usable_us, cards, is_timed=is_timed)


def unsettled(ledger: Ledger, night: int) -> list[RawFile]:
    """Files of the cameras that may become whole cubes."""
    return fetch_all(
        RawFile,
        ledger,
        "select * from raw_file where night = ? and batch = 1"
        " and role in ('cube', 'timing', 'temporary') and state = 'arriving'",
        [night],
    )


def changed_us(ledger: Ledger, night: int) -> dict[int, int]:
    """By camera, when one of its files came or was last judged."""
    rows = ledger.rows(
        "select camera, max(changed_us) as last_us from raw_file where night = ?"
        " and camera is not null group by camera",
        [night],
    )
    return {row["camera"]: row["last_us"] for row in rows}


def without_digest(ledger: Ledger, night: int, through_us: int) -> int:
    """How many whole cubes that began by then were not read through yet, or their timing files."""
    count: int = ledger.value(
        "select count(*) from raw_file join cube on cube.raw_file = raw_file.id"
        " join raw_file as timing on timing.id = cube.timing"
        " join cube_span on cube_span.raw_file = raw_file.id"
        " where raw_file.night = ? and raw_file.state = 'whole' and begins_us <= ?"
        " and (raw_file.sha256 is null or timing.sha256 is null)",
        [night, through_us],
    )
    return count


def note(ledger: Ledger, night: int, mark: Watermark, newest_us: int | None) -> None:
    """Keep how far a night is known, where that is news."""
    values = {
        "night": night,
        "newest_us": newest_us,
        "through_us": mark.through_us,
        "held_by": mark.held_by,
        "now_us": ledger.now_us(),
    }
    ledger.execute(
        "insert into live (night, newest_us, through_us, held_by, changed_us)"
        " values (:night, :newest_us, :through_us, :held_by, :now_us)"
        " on conflict do update set newest_us = :newest_us, through_us = :through_us,"
        " held_by = :held_by, changed_us = :now_us where newest_us is not :newest_us"
        " or through_us is not :through_us or held_by is not :held_by",
        values,
    )


def ask_for_plan(ledger: Ledger, night: int, *, through_us: int, stretch_us: int | None) -> None:
    """Let what is known up to *through_us* be planned."""
    with ledger.transaction():
        if not renew_task(ledger, night, Stage.SYNC, UNIT, "more of the night is known"):
            return  # what is asked of it now would be lost
        ledger.execute(
            "update live set asked_us = ?, stretch_us = coalesce(?, stretch_us) where night = ?",
            [through_us, stretch_us, night],
        )


def renew_task(ledger: Ledger, night: int, stage: Stage, unit: str, why: str) -> bool:
    """Let a unit of work be done, or be done again if it is done; return whether it is to be now.

    One that waits, runs or failed stays as it is.
    """
    task = ledger.row(
        "select id, state from task where night = ?1 and stage = ?2 and unit = ?3"
        " and batch = (select batch from night where id = ?1)",
        [night, stage, unit],
    )
    if task is None:
        tasks.add_task(ledger, night, stage, unit)
    elif task["state"] == TaskState.DONE:
        ledger.execute(
            "update task set state = 'pending', attempts = attempts + 1, crashes = 0, due_us = 0,"
            " error_class = null, error = null, failing_since_us = null, changed_us = :changed_us,"
            " changed_by = :changed_by, why = :why where id = :id and state = 'done'",
            {**ledger.stamp(why), "id": task["id"]},
        )
    else:
        return False
    return True


def last_place(ledger: Ledger, night: int) -> Place | None:
    """The place of the last output that is planned."""
    row = ledger.row(
        "select first_us, camera, synchronised from output where night = ?1"
        " and batch = (select batch from night where id = ?1) order by ordinal desc limit 1",
        [night],
    )
    if row is None:
        return None
    return place_of(row["first_us"], row["camera"], synchronised=bool(row["synchronised"]))


def names_before(ledger: Ledger, night: int, us: int) -> list[str]:
    """The names of outputs that begin before a time."""
    rows = ledger.rows("select name from output where night = ? and first_us < ?", [night, us])
    return [row["name"] for row in rows]


def planned(ledger: Ledger, night: int, planned_us: int | None) -> None:
    """All that ended by then is planned."""
    ledger.execute(
        "update live set planned_us = max(coalesce(planned_us, 0), ?) where night = ?",
        [planned_us or 0, night],
    )


def goes_on(ledger: Ledger, night: Night) -> bool:
    """Whether a night is not closed, and is worked on while its cameras write."""
    return night.closed_us is None and row_of(ledger, night.id) is not None


def is_planned(ledger: Ledger, raw_file: int) -> bool:
    """Whether outputs of a night that goes on are made of a cube, or of that of a timing file."""
    query = (
        "select 1 from raw_file join live on live.night = raw_file.night and confirmed_us is null"
        " left join cube on cube.timing = raw_file.id join segment"
        " on segment.raw_file = coalesce(cube.raw_file, raw_file.id) and output is not null"
        " where raw_file.id = ? and raw_file.state = 'whole' limit 1"
    )
    return ledger.value(query, [raw_file]) is not None


def is_unconfirmed(ledger: Ledger, night: Night) -> bool:
    """Whether outputs of the night's batch were planned while it went on, and no close said so."""
    row = row_of(ledger, night.id)
    is_planned = row is not None and row.confirmed_us is None and night.batch == 1
    return is_planned and bool(outputs.outputs_of_batch(ledger, night.id))


def close(ledger: Ledger, night: int) -> None:
    """It goes on no more: what was to be planned of it is left to its close."""
    rows = ledger.rows(
        "select id from task where night = ? and stage = 'sync' and unit = ?", [night, UNIT]
    )
    for task in rows:
        ledger.update("task", task["id"], **ledger.stamp(_CONFIRMED))
        ledger.execute("delete from task where id = ?", [task["id"]])


def confirm(ledger: Ledger, night: int, *, kept: int, anew: int, late: int) -> None:
    """Its close planned all of it: *kept* outputs stayed, *anew* of the built ones did not.

    *late* ones are new, and stand before some that stayed: their frame IDs come after those.
    """
    ledger.execute(
        "update live set confirmed_us = ?, kept = ?, anew = ?, late = ? where night = ?",
        [ledger.now_us(), kept, anew, late, night],
    )


def forget(ledger: Ledger, night: int) -> None:
    """Nothing of what was planned counts any more."""
    ledger.execute("delete from live where night = ?", [night])


def not_as_planned(ledger: Ledger, night: int, keys: Mapping[int, Any]) -> Iterator[str]:
    """Raw files, of those numbered in *keys*, that are not whole and read through (any more)."""
    for number in sorted(keys):
        row = ledger.row(
            "select raw_file.path from raw_file left join cube on cube.raw_file = raw_file.id"
            " left join raw_file as timing on timing.id = cube.timing"
            " where raw_file.id = ? and (raw_file.state != 'whole' or raw_file.sha256 is null"
            " or timing.sha256 is null or raw_file.night != ?)",
            [number, night],
        )
        if row is not None:
            yield row["path"]
