"""What the ledger says of nights, in short: for the screens that operators look at.

Fast on purpose (sqlite3 alone), and one query a question for all nights together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vampd.ledger.reading import Reader
from vampd.states import (
    FINAL,
    STAGES_OF,
    ErrorClass,
    FileState,
    Kind,
    NightStatus,
    Stage,
    TaskState,
)

#: Of the nights that need nothing more, this many are told unless all are asked for.
RECENT = 20

_PLANNED_BATCH = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """One night's row. Times are microseconds since the epoch, UTC."""

    id: int
    kind: Kind
    date: str
    folder: str
    status: NightStatus
    cause: str | None
    hold: str | None
    seen_us: int
    last_change_us: int
    closed_us: int | None
    closed_by: str | None
    safe_us: int | None
    changed_us: int
    changed_by: str

    def __str__(self) -> str:
        """As messages and the log name it."""
        return f"{self.kind} {self.date}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageState:
    """How far one stage of a night is; *done* of *total* units of work."""

    state: TaskState
    done: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """The unit of work that keeps a night from going on."""

    stage: Stage
    unit: str
    error_class: ErrorClass | None
    error: str
    attempts: int
    due_us: int
    failing_since_us: int | None
    failed: bool  #: gave up; otherwise it tries again at *due_us*


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A night in short. Cubes are FITS files; timing files are not counted."""

    night: Night
    stages: dict[Stage, StageState]
    trouble: Trouble | None
    raw_files: int  #: cubes that are there, late ones apart
    quarantined: int  #: of *raw_files*
    late: int
    outputs: int
    built: int  #: of *outputs*, verified ones included
    verified: int  #: of *built*
    batches: int  #: 1, and one for each supplement


@dataclass(frozen=True, kw_only=True, slots=True)
class DaemonRow:
    """The last daemon that wrote into the ledger."""

    pid: int
    version: str
    started_us: int
    heard_us: int
    stopped_us: int | None


def nights(ledger: Reader) -> list[Night]:
    """All nights, the oldest first."""
    return [
        Night(
            id=row["id"],
            kind=Kind(row["kind"]),
            date=row["date"],
            folder=row["folder"],
            status=NightStatus(row["status"]),
            cause=row["cause"],
            hold=row["hold"],
            seen_us=row["seen_us"],
            last_change_us=row["last_change_us"],
            closed_us=row["closed_us"],
            closed_by=row["closed_by"],
            safe_us=row["safe_us"],
            changed_us=row["changed_us"],
            changed_by=row["changed_by"],
        )
        for row in ledger.execute("select * from night order by date, kind")
    ]


def recent(every: list[Night]) -> list[Night]:
    """The nights of *every* that are under way, and the newest of the others."""
    final = [night.id for night in every if night.status in FINAL][-RECENT:]
    return [night for night in every if night.status not in FINAL or night.id in final]


def summarise(ledger: Reader, chosen: Collection[Night]) -> list[Summary]:
    """Sum up each of the nights *chosen*, in their order."""
    return [_summary(ledger, night) for night in chosen]


def last_daemon(ledger: Reader) -> DaemonRow | None:
    """The daemon that started last; None before the first."""
    row = ledger.execute("select * from daemon order by id desc limit 1").fetchone()
    if row is None:
        return None
    return DaemonRow(
        pid=row["pid"],
        version=row["version"],
        started_us=row["started_us"],
        heard_us=row["heard_us"],
        stopped_us=row["stopped_us"],
    )


def root_markers(ledger: Reader) -> dict[str, str]:
    """The marker of each root that was ever seen, by its path."""
    return dict(ledger.execute("select path, marker from root").fetchall())


def _summary(ledger: Reader, night: Night) -> Summary:
    cubes = _counts(
        ledger,
        "select state, count(*) from raw_file where night = ? and role = 'cube' group by state",
        night,
    )
    outputs = _counts(
        ledger, "select state, count(*) from output where night = ? group by state", night
    )
    gone = cubes.get(FileState.GONE, 0)
    late = cubes.get(FileState.LATE, 0)
    verified = outputs.get("verified", 0)
    return Summary(
        night=night,
        stages=stage_states(ledger, night),
        trouble=_trouble(ledger, night),
        raw_files=sum(cubes.values()) - gone - late,
        quarantined=cubes.get(FileState.QUARANTINED, 0),
        late=late,
        outputs=sum(outputs.values()),
        built=outputs.get("built", 0) + verified,
        verified=verified,
        batches=_batches(ledger, night),
    )


def stage_states(
    ledger: Reader, night: Night, batch: int = _PLANNED_BATCH
) -> dict[Stage, StageState]:
    """How far each stage is that a night of this kind has. A safe night has them all done."""
    counts: dict[tuple[str, str], int] = {
        (stage, state): count
        for stage, state, count in ledger.execute(
            "select stage, state, count(*) from task where night = ? and batch = ? "
            "group by stage, state",
            (night.id, batch),
        )
    }
    found = {
        stage: _stage_state({state: counts.get((stage, state), 0) for state in TaskState})
        for stage in STAGES_OF[night.kind]
    }
    if night.status in {NightStatus.SAFE, NightStatus.RECLAIMED} and batch == _PLANNED_BATCH:
        return {
            stage: StageState(state=TaskState.DONE, done=state.total, total=state.total)
            for stage, state in found.items()
        }
    return found


def _stage_state(count_of: dict[TaskState, int]) -> StageState:
    done, total = count_of[TaskState.DONE], sum(count_of.values())
    state = TaskState.PENDING
    if count_of[TaskState.FAILED]:
        state = TaskState.FAILED
    elif total and done == total:
        state = TaskState.DONE
    elif count_of[TaskState.RUNNING] or done:
        state = TaskState.RUNNING
    return StageState(state=state, done=done, total=total)


def _trouble(ledger: Reader, night: Night) -> Trouble | None:
    """The first unit, in the order of the stages, that failed; else one that has an error."""
    rows = ledger.execute(
        "select * from task where night = ? and state != 'done' and error is not null",
        (night.id,),
    ).fetchall()
    if not rows or night.status in FINAL:
        return None
    order = list(Stage)
    row = min(
        rows,
        key=lambda row: (
            row["state"] != TaskState.FAILED,
            order.index(Stage(row["stage"])),
            row["id"],
        ),
    )
    return Trouble(
        stage=Stage(row["stage"]),
        unit=row["unit"],
        error_class=ErrorClass(row["error_class"]) if row["error_class"] else None,
        error=row["error"],
        attempts=row["attempts"],
        due_us=row["due_us"],
        failing_since_us=row["failing_since_us"],
        failed=row["state"] == TaskState.FAILED,
    )


def _batches(ledger: Reader, night: Night) -> int:
    row = ledger.execute("select max(batch) from task where night = ?", (night.id,)).fetchone()
    return int(row[0] or _PLANNED_BATCH)


def _counts(ledger: Reader, query: str, night: Night) -> dict[str, int]:
    pairs: Iterable[tuple[str, int]] = ledger.execute(query, (night.id,)).fetchall()
    return dict(pairs)
