"""The ledger as it was, as far as the events tell: statuses, stages, counts; no sizes, no rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from vampd.ledger.exports import Event
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.states import (
    FINAL,
    STAGES_OF,
    FileState,
    NightStatus,
    OutputState,
    Stage,
    TaskState,
)
from vampd.views.summaries import DaemonRow, Summary, Trouble, nights, stage_state

_TELLS_WHY = frozenset({NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD})
_FORGOTTEN = "forgotten"

# A bare column beside max() is that of the row with the maximum: sqlite.org/lang_select.html.
_LAST = (
    "select subject_id, became, was, why, about, max(id) from event"
    " where night = :night and subject = :subject and at_us <= :at_us group by subject_id"
)


class _TaskEvent(Struct, frozen=True, kw_only=True):
    """The last that happened to a task; stage and unit as long as it is there."""

    was: str | None
    became: str
    why: str | None
    about: str | None
    stage: str | None
    unit: str | None


def nights_at(ledger: Reader, at_us: int) -> list[Night]:
    """All nights that were known at *at_us*, with the status of then."""
    return [_night_at(ledger, night, at_us) for night in nights(ledger) if night.seen_us <= at_us]


def summarise_at(ledger: Reader, chosen: Collection[Night], at_us: int) -> list[Summary]:
    """Sum up each of the nights *chosen* as it was at *at_us*."""
    return [_summary(ledger, night, at_us) for night in chosen]


def daemon_at(ledger: Reader, at_us: int) -> DaemonRow | None:
    """The daemon that had started last by *at_us*; its *stopped_us* only if that was before."""
    query = "select * from daemon where started_us <= ? order by id desc limit 1"
    daemon = fetch_one(DaemonRow, ledger, query, (at_us,))
    if daemon is None:
        return None
    stopped_us = _if_before(daemon.stopped_us, at_us)
    return replace(daemon, stopped_us=stopped_us, pauses=None, coder_trouble=None)


def _night_at(ledger: Reader, night: Night, at_us: int) -> Night:
    row = fetch_one(
        Event,
        ledger,
        "select * from event where night = ? and subject = 'night'"
        " and at_us <= ? order by id desc limit 1",
        (night.id, at_us),
    )
    status = NightStatus(row.became) if row is not None else NightStatus.COLLECTING
    return replace(
        night,
        status=status,
        cause=row.why if row is not None and status in _TELLS_WHY else None,
        hold=None,
        last_change_us=min(night.last_change_us, at_us),
        closed_us=_if_before(night.closed_us, at_us),
        closed_by=night.closed_by if _if_before(night.closed_us, at_us) else None,
        safe_us=_if_before(night.safe_us, at_us),
        changed_us=row.at_us if row is not None else night.seen_us,
        changed_by=row.actor if row is not None else "vampd",
    )


def _if_before(us: int | None, at_us: int) -> int | None:
    return us if us is not None and us <= at_us else None


def _summary(ledger: Reader, night: Night, at_us: int) -> Summary:
    cubes = _cubes(ledger, night, at_us)
    outputs = _states(ledger, night, "output", at_us)
    verified = outputs[OutputState.VERIFIED]
    counts, trouble = _work(ledger, night, at_us)
    stages = {
        stage: stage_state({state: counts[stage, state] for state in TaskState})
        for stage in STAGES_OF[night.kind]
    }
    return Summary(
        night=night,
        stages=stages,
        trouble=trouble if night.status not in FINAL else None,
        raw_files=sum(cubes.values()) - cubes[FileState.GONE] - cubes[FileState.LATE],
        quarantined=cubes[FileState.QUARANTINED],
        late=cubes[FileState.LATE],
        outputs=sum(outputs.values()) - outputs[_FORGOTTEN],
        built=outputs[OutputState.BUILT] + verified,
        verified=verified,
        batches=1,
    )


def _cubes(ledger: Reader, night: Night, at_us: int) -> dict[str, int]:
    """How many FITS files were in each state."""
    rows = ledger.execute(
        f"select became, count(*) from ({_LAST}) as last"  # noqa: S608 - a text of ours
        " join raw_file on raw_file.id = last.subject_id where role = 'cube' group by became",
        {"night": night.id, "subject": "raw_file", "at_us": at_us},
    )
    return defaultdict(int, rows.fetchall())


def _states(ledger: Reader, night: Night, subject: str, at_us: int) -> dict[str, int]:
    rows = ledger.execute(
        f"select became, count(*) from ({_LAST}) group by became",  # noqa: S608
        {"night": night.id, "subject": subject, "at_us": at_us},
    )
    return defaultdict(int, rows.fetchall())


def _work(
    ledger: Reader, night: Night, at_us: int
) -> tuple[dict[tuple[str, str], int], Trouble | None]:
    """How many units of each stage were in which state, and the first that was in trouble."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    troubles: list[Trouble] = []
    rows = fetch_all(
        _TaskEvent,
        ledger,
        f"select last.*, task.stage, task.unit from ({_LAST}) as last"  # noqa: S608
        " left join task on task.id = last.subject_id",
        {"night": night.id, "subject": "task", "at_us": at_us},
    )
    for row in rows:
        stage, _, unit = (row.about or f"{row.stage or ''} {row.unit or ''}").partition(" ")
        if not stage or row.became == _FORGOTTEN:
            continue
        counts[stage, row.became] += 1
        failed = row.became == TaskState.FAILED
        requeue = row.became == TaskState.PENDING and row.was == TaskState.RUNNING
        if row.why and (failed or requeue):
            troubles.append(_trouble(Stage(stage), unit, row.why, failed=failed))
    order = list(Stage)
    troubles.sort(key=lambda trouble: (not trouble.failed, order.index(trouble.stage)))
    return counts, troubles[0] if troubles else None


def _trouble(stage: Stage, unit: str, error: str, *, failed: bool) -> Trouble:
    return Trouble(
        stage=stage,
        unit=unit,
        error_class=None,
        code=None,
        error=error,
        attempts=1,
        due_us=0,
        failing_since_us=None,
        failed=failed,
    )
