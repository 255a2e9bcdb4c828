"""What goes on now, and how fast: running stages, what nights weigh, the last word of the far side.

Fast like `summaries`: a few indexed queries; rows are counted for running nights only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import NightStatus, Stage, TaskState
from vampd.views.summaries import Summary

#: A rate is that of so much of the past: long enough for cubes of minutes, short enough for now.
_WINDOW_US = 600 * 1_000_000

#: So many nights say how fast a disk fills up.
_NIGHTS = 7

_DELIVERY = frozenset({Stage.TRANSFER, Stage.VERIFY})


class Progress(Struct, frozen=True, kw_only=True):
    """A stage at work. Bytes are those that the stage reads: pixels in build, else files."""

    night: Night
    stage: Stage
    units: int
    units_done: int
    units_running: int
    total_bytes: int  #: 0 where the stage is not a matter of bytes
    done_bytes: int
    bytes_per_second: float | None  #: None: nothing is known to judge by
    since_us: int | None  #: when its first unit, or this attempt, began

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes at that rate; None where nobody knows."""
        if not self.bytes_per_second or not self.total_bytes:
            return None
        return max(0, self.total_bytes - self.done_bytes) / self.bytes_per_second


class Queue(Struct, frozen=True, kw_only=True):
    """Units of work of the nights that work is handed out for."""

    running: int
    pending: int


def queue(summaries: Collection[Summary]) -> Queue:
    """What is at work and what waits, of nights that are not at rest, held or collecting."""
    working = {NightStatus.READY, NightStatus.RUNNING, NightStatus.WAITING}
    stages = [
        stage
        for summary in summaries
        if summary.night.status in working
        for stage in summary.stages.values()
    ]
    running = sum(stage.running for stage in stages)
    done = sum(stage.done for stage in stages)
    return Queue(running=running, pending=sum(stage.total for stage in stages) - done - running)


def far_verified_us(ledger: Reader) -> int | None:
    """When a night was last found whole at the far end; None: never."""
    row = ledger.execute(
        "select max(finished_us) from task where stage = 'verify' and state = 'done'"
    ).fetchone()
    return None if row[0] is None else int(row[0])


def bytes_of_nights(ledger: Reader, every: Sequence[Night], roots: Collection[str]) -> list[int]:
    """What the last dates put onto the disk that bears *roots*: raw files and outputs together.

    Both kinds of one date are one. Nights that still collect do not count: they are not whole.
    """
    dates: dict[str, list[int]] = {}
    for night in every:
        there = night.folder.rpartition("/")[0] in roots
        if there and night.status not in {NightStatus.COLLECTING, NightStatus.EMPTY}:
            dates.setdefault(night.date, []).append(night.id)
    found = []
    for date in sorted(dates)[-_NIGHTS:]:
        marks = ", ".join("?" * len(dates[date]))
        row = ledger.execute(
            f"select sum(size_bytes) from tally where night in ({marks}) "  # noqa: S608
            "and subject in ('raw_file', 'output') and state not in ('gone', 'planned')",
            dates[date],
        ).fetchone()
        if row[0]:
            found.append(int(row[0]))
    return found


def progress(ledger: Reader, summaries: Collection[Summary], *, now_us: int) -> list[Progress]:
    """Every stage that a worker is at, in the order of the nights."""
    return [
        _progress(ledger, summary, stage, now_us)
        for summary in summaries
        for stage, state in summary.stages.items()
        if state.running or (state.state is TaskState.RUNNING and _is_at_work(summary))
    ]


def _is_at_work(summary: Summary) -> bool:
    return summary.night.status is NightStatus.RUNNING


def _progress(ledger: Reader, summary: Summary, stage: Stage, now_us: int) -> Progress:
    night, state = summary.night, summary.stages[stage]
    since_us = _since_us(ledger, night, stage)
    total, done, rate = 0, 0, None
    if stage is Stage.BUILD:
        total, done = summary.amounts.pixels, summary.amounts.pixels_built
        rate = _build_rate(ledger, night, since_us, now_us)
    elif stage in _DELIVERY:
        total, done = _delivered(ledger, night, stage)
        rate = _last_rate(ledger, night, stage)
        if rate is not None and since_us is not None:
            # The attempt tells what it did when it ends; until then, by the last one's rate.
            done = min(total, done + round(rate * (now_us - since_us) / 1e6))
    return Progress(
        night=night,
        stage=stage,
        units=state.total,
        units_done=state.done,
        units_running=state.running,
        total_bytes=total,
        done_bytes=done,
        bytes_per_second=rate,
        since_us=since_us,
    )


def _since_us(ledger: Reader, night: Night, stage: Stage) -> int | None:
    row = ledger.execute(
        "select min(started_us) from task where night = ? and batch = ? and stage = ?",
        (night.id, night.batch, stage),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _build_rate(ledger: Reader, night: Night, since_us: int | None, now_us: int) -> float | None:
    """Pixel bytes a second over the last minutes, all workers together."""
    if since_us is None:
        return None
    from_us = max(since_us, now_us - _WINDOW_US)
    row = ledger.execute(
        "select sum(2 * frames * width * height) from output where night = ?"
        " and batch = ? and state != 'planned' and changed_us >= ?",
        (night.id, night.batch, from_us),
    ).fetchone()
    return int(row[0]) / ((now_us - from_us) / 1e6) if row[0] and now_us > from_us else None


def _delivered(ledger: Reader, night: Night, stage: Stage) -> tuple[int, int]:
    """Bytes of the night's files, and of those that are sent, or verified, already."""
    column = "sent_us" if stage is Stage.TRANSFER else "verified_us"
    row = ledger.execute(
        f"select sum(size_bytes), sum(size_bytes * ({column} is not null)) from deliverable "  # noqa: S608
        "where night = ? and batch = ?",
        (night.id, night.batch),
    ).fetchone()
    return int(row[0] or 0), int(row[1] or 0)


def _last_rate(ledger: Reader, night: Night, stage: Stage) -> float | None:
    """Bytes a second of the last night of this kind that this stage carried through."""
    number, took_us = ledger.execute(
        "select task.night, max(finished_us - started_us) from task"
        " where stage = ? and unit = '' and state = 'done' and task.night = (select id from night"
        " where kind = ? and status in ('safe', 'reclaimed') order by date desc limit 1)",
        (stage, night.kind),
    ).fetchone()
    if not took_us:
        return None
    size = ledger.execute(
        "select sum(size_bytes) from deliverable where night = ?", (number,)
    ).fetchone()[0]
    return int(size) / (took_us / 1e6) if size else None
