"""What the ledger says of nights, in short: for the screens that operators look at.

Fast on purpose: sqlite3 alone, one query a question for all nights together, and counts from
`tally`, which the ledger's own triggers keep: no row of 10^6 is counted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from vampd.causes import CauseCode
from vampd.ledger import awaited, logger_faults
from vampd.ledger.logger_faults import Toll
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.ledger.tasks import Task
from vampd.plain_text import first_line
from vampd.states import (
    FINAL,
    RESTING_HOLDS,
    STAGES_OF,
    ErrorClass,
    ErrorCode,
    FileState,
    LoggerFault,
    NightStatus,
    OutputState,
    Stage,
    TaskState,
)
from vampd.views.live import Lag, lags
from vampd.views.oddities import Oddity, oddities

#: Of the nights that need nothing more, this many are told unless all are asked for.
RECENT = 20


class StageState(Struct, frozen=True, kw_only=True):
    """How far one stage of a night is; *done* of *total* units of work."""

    state: TaskState
    done: int
    total: int
    running: int = 0


class Trouble(Struct, frozen=True, kw_only=True):
    """The unit of work that keeps a night from going on."""

    stage: Stage
    unit: str
    error_class: ErrorClass | None
    code: ErrorCode | None
    error: str
    attempts: int
    due_us: int
    failing_since_us: int | None
    failed: bool  #: gave up; otherwise it tries again at *due_us*

    @property
    def line(self) -> str:
        """What went wrong: one line, where it is known; else the program's own words."""
        return self.error if self.code is None else first_line(self.error)


class Amounts(Struct, frozen=True, kw_only=True):
    """Bytes of a night."""

    raw: int = 0  #: raw files that are there
    outputs: int = 0  #: outputs on the disk, compressed
    pixels: int = 0  #: of all outputs that are planned for this batch, not compressed
    pixels_built: int = 0  #: of *pixels*


class _Tally(Struct, frozen=True, kw_only=True):
    """How many there are of one sort."""

    night: int
    subject: str
    part: str
    batch: int
    state: str
    items: int
    size_bytes: int
    pixel_bytes: int


class Summary(Struct, frozen=True, kw_only=True):
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
    quarantined_seen: int = 0  #: of the quarantined: somebody said that they were looked at
    elsewhere: int = 0  #: files at the far end that nobody moved on yet to where they count
    left: int = 0  #: files that the night waits for, where it waits for their reading
    amounts: Amounts = field(default_factory=Amounts)
    tolls: Mapping[LoggerFault, Toll] = field(default_factory=dict)
    oddities: Sequence[Oddity] = ()
    lag: Lag | None = None  #: of a night that is or was worked on while its cameras write

    @property
    def quarantined_untold(self) -> int:
        """Quarantined cubes of which nobody said that they were looked at."""
        return self.quarantined - self.quarantined_seen


class DaemonRow(Struct, frozen=True, kw_only=True):
    """The last daemon that wrote into the ledger."""

    pid: int
    version: str
    started_us: int
    heard_us: int
    stopped_us: int | None
    pauses: str | None = None  #: why it begins nothing now
    coder_trouble: str | None = None  #: why the compiled coder is not trusted


def nights(ledger: Reader) -> list[Night]:
    """All nights, the oldest first."""
    return fetch_all(Night, ledger, "select * from night order by date, kind")


def is_at_rest(night: Night) -> bool:
    """Whether nothing more is done of a night, and nobody is waited for."""
    rests = night.status is NightStatus.HELD and why_held(night) in RESTING_HOLDS
    return rests or night.status in FINAL


def why_held(night: Night) -> CauseCode | None:
    """The hold of a night, or what else it is held for; None: work of it went wrong."""
    return night.held or night.cause_code


def recent(every: list[Night]) -> list[Night]:
    """The nights of *every* that are under way, and the newest of the others."""
    final = [night.id for night in every if is_at_rest(night)][-RECENT:]
    return [night for night in every if not is_at_rest(night) or night.id in final]


def summarise(ledger: Reader, chosen: Collection[Night]) -> list[Summary]:
    """Sum up each of the nights *chosen*, in their order."""
    numbers = [night.id for night in chosen]
    tallies = _tallies(ledger, numbers)
    troubles = _troubles(ledger, [night.id for night in chosen if night.status not in FINAL])
    elsewhere = _elsewhere(ledger, [number for number, rows in troubles.items() if rows])
    tolls = logger_faults.tolls(ledger, numbers)
    odd = oddities(ledger, list(chosen))
    found = lags(ledger, numbers)
    seen = _quarantined_seen(ledger, numbers)
    given = _given_back(ledger, numbers)
    made = [
        replace(
            _summary(night, tallies[night.id], troubles[night.id], elsewhere.get(night.id, 0)),
            tolls=tolls.get(night.id, {}),
            left=awaited.left(ledger, night.id, night.cause_code),
            oddities=odd.get(night.id, ()),
            lag=found.get(night.id),
            quarantined_seen=seen.get(night.id, 0),
        )
        for night in chosen
    ]
    return [_as_it_was(each, *given.get(each.night.id, (0, 0))) for each in made]


def last_daemon(ledger: Reader) -> DaemonRow | None:
    """The daemon that started last; None before the first."""
    return fetch_one(DaemonRow, ledger, "select * from daemon order by id desc limit 1")


def root_markers(ledger: Reader) -> dict[str, str]:
    """The marker of each root that was ever seen, by its path."""
    return dict(ledger.execute("select path, marker from root").fetchall())


def far_markers(ledger: Reader) -> dict[str, str]:
    """The marker of each far folder's disk that was ever claimed, by its place."""
    rows = ledger.execute("select place, marker from far_disk order by id").fetchall()
    return dict(rows)


def was_delivered_to(ledger: Reader, place: str) -> bool:
    """Whether anything was ever published below the far folder *place*."""
    query = (
        "select 1 from night where exists (select 1 from far_copy where night = night.id"
        " and place = rtrim(?, '/') || '/' || night.date) limit 1"
    )
    return ledger.execute(query, [place]).fetchone() is not None


def _summary(night: Night, tallies: list[_Tally], rows: list[Task], elsewhere: int) -> Summary:
    cubes = _counts(tally for tally in tallies if tally.part == "cube")
    made = [tally for tally in tallies if tally.subject == "output"]
    outputs = _counts(made)
    gone = cubes.get(FileState.GONE, 0)
    late = cubes.get(FileState.LATE, 0)
    verified = outputs.get(OutputState.VERIFIED, 0)
    return Summary(
        night=night,
        stages=_stage_states(night, tallies),
        trouble=_first_trouble(rows),
        raw_files=sum(cubes.values()) - gone - late,
        quarantined=cubes.get(FileState.QUARANTINED, 0),
        late=late,
        outputs=sum(outputs.values()),
        built=outputs.get(OutputState.BUILT, 0) + verified,
        verified=verified,
        batches=night.batch,
        elsewhere=elsewhere,
        amounts=_amounts(night, tallies),
    )


def _amounts(night: Night, tallies: list[_Tally]) -> Amounts:
    raw = [tally for tally in tallies if tally.subject == "raw_file"]
    made = [tally for tally in tallies if tally.subject == "output"]
    return Amounts(
        raw=sum(tally.size_bytes for tally in raw if tally.state != FileState.GONE),
        outputs=sum(tally.size_bytes for tally in made if tally.state != OutputState.PLANNED),
        pixels=sum(tally.pixel_bytes for tally in made if tally.batch == night.batch),
        pixels_built=sum(
            tally.pixel_bytes
            for tally in made
            if tally.batch == night.batch and tally.state != OutputState.PLANNED
        ),
    )


def _stage_states(night: Night, tallies: list[_Tally]) -> dict[Stage, StageState]:
    """How far each stage of the batch at work is. A safe night has them all done."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for tally in tallies:
        if tally.subject == "task" and tally.batch == night.batch:
            counts[tally.part, tally.state] += tally.items
    found = {
        stage: stage_state({state: counts[stage, state] for state in TaskState})
        for stage in STAGES_OF[night.kind]
    }
    if night.status in {NightStatus.SAFE, NightStatus.RECLAIMED}:
        return {
            stage: StageState(state=TaskState.DONE, done=state.total, total=state.total)
            for stage, state in found.items()
        }
    return found


def stage_state(count_of: Mapping[TaskState, int]) -> StageState:
    """The state of a stage from how many of its units are in each."""
    done, total = count_of[TaskState.DONE], sum(count_of.values())
    running = count_of[TaskState.RUNNING]
    state = TaskState.PENDING
    if count_of[TaskState.FAILED]:
        state = TaskState.FAILED
    elif total and done == total:
        state = TaskState.DONE
    elif running or done:
        state = TaskState.RUNNING
    return StageState(state=state, done=done, total=total, running=running)


def _tallies(ledger: Reader, nights: Sequence[int]) -> dict[int, list[_Tally]]:
    found: dict[int, list[_Tally]] = defaultdict(list)
    query = f"select * from tally where items > 0 and night in ({_marks(nights)})"  # noqa: S608
    for tally in fetch_all(_Tally, ledger, query, nights):
        found[tally.night].append(tally)
    return found


def _troubles(ledger: Reader, nights: Sequence[int]) -> dict[int, list[Task]]:
    """The tasks of each night that went wrong."""
    found: dict[int, list[Task]] = defaultdict(list)
    query = (
        f"select * from task where night in ({_marks(nights)}) "  # noqa: S608
        "and error is not null and state != 'done'"
    )
    for task in fetch_all(Task, ledger, query, nights):
        found[task.night].append(task)
    return found


def _elsewhere(ledger: Reader, nights: Sequence[int]) -> dict[int, int]:
    query = (
        f"select night, count(*) from deliverable where night in ({_marks(nights)}) "  # noqa: S608
        "and verdict = 'elsewhere' group by night"
    )
    return dict(ledger.execute(query, nights).fetchall())


_GIVEN_BACK = (
    "select trash.night, count(distinct raw_file),"
    " count(distinct case was when 'quarantined' then raw_file end)"
    " from trash join raw_file on raw_file.id = trash.raw_file"
    " where trash.state not in ('listed', 'returned') and role = 'cube'"
    " and raw_file.state = 'gone' and trash.night in ({}) group by trash.night"
)


def _given_back(ledger: Reader, nights: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By night: cubes that gave their space back, and how many of them were quarantined."""
    query = _GIVEN_BACK.format(_marks(nights))
    return {night: (cubes, bad) for night, cubes, bad in ledger.execute(query, nights)}


def _as_it_was(summary: Summary, cubes: int, bad: int) -> Summary:
    """A night whose space was given back is told as what it was; on its bad cubes was decided."""
    return replace(
        summary,
        raw_files=summary.raw_files + cubes,
        quarantined=summary.quarantined + bad,
        quarantined_seen=summary.quarantined_seen + bad,
    )


def _quarantined_seen(ledger: Reader, nights: Sequence[int]) -> dict[int, int]:
    query = (
        f"select night, count(*) from raw_file where night in ({_marks(nights)}) "  # noqa: S608
        "and role = 'cube' and state = 'quarantined'"
        " and json_extract(coalesce(reason_words, '{}'), '$.seen') is not null group by night"
    )
    return dict(ledger.execute(query, nights).fetchall())


def _marks(values: Sequence[int]) -> str:
    return ", ".join("?" * len(values))


def _first_trouble(rows: list[Task]) -> Trouble | None:
    """The first unit, in the order of the stages, that failed; else one that has an error."""
    order = list(Stage)
    row = min(
        rows,
        key=lambda row: (
            row.state != TaskState.FAILED,
            order.index(row.stage),
            row.id,
        ),
        default=None,
    )
    if row is None:
        return None
    return Trouble(
        stage=row.stage,
        unit=row.unit,
        error_class=row.error_class,
        code=row.error_code,
        error=on_builder(row.error or "", row.builder),
        attempts=row.attempts,
        due_us=row.due_us,
        failing_since_us=row.failing_since_us,
        failed=row.state == TaskState.FAILED,
    )


def on_builder(error: str, builder: str | None) -> str:
    """What went wrong, and on which other host."""
    if builder is None or builder in error:
        return error
    first, *others = error.split("\n")
    return "\n".join([f"{first} (on {builder})", *others])


def _counts(tallies: Iterable[_Tally]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for tally in tallies:
        found[tally.state] += tally.items
    return found
