"""The facts on which the dispatcher decides, read from the ledger."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vampd.causes import Cause
from vampd.ledger import legacy, nights, strays
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.schedule.dispatch import NightSnapshot, TaskFailure
from vampd.schedule.live import is_live, is_streamed
from vampd.states import (
    FINAL,
    STAGES_OF,
    HoldCode,
    NightStatus,
    Stage,
    TaskState,
    WaitCode,
)
from vampd.watch.scan_cycle import ScanCycle

_MOST_TROUBLES = 200  # a night with more of them is not understood better by reading all


def read_facts(
    ledger: Ledger, scan_cycle: ScanCycle, full: dict[str, Cause], away: str | None = None
) -> list[NightSnapshot]:
    """Facts of every night.

    *full* says by root why nothing may be written there, *away* why there is no builder.
    """
    foreign = legacy.foreign_nights(ledger)
    undone, unread = _with_work(ledger), strays.unread_counts(ledger)
    return [
        _facts_or_trouble(
            ledger,
            scan_cycle,
            row,
            partial(
                _facts,
                ledger,
                scan_cycle,
                full,
                row,
                is_foreign=row.id in foreign,
                has_work=row.id in undone,
                unread_again=unread.get(row.id, 0),
                away=away,
            ),
        )
        for row in fetch_all(Night, ledger, "select * from night")
    ]


def _with_work(ledger: Ledger) -> set[int]:
    """Nights with tasks that are not done."""
    rows = ledger.execute(
        "select distinct night from tally where subject = 'task' and items > 0 and state != 'done'"
    )
    return {night for (night,) in rows}


def _facts_or_trouble(
    ledger: Ledger, scan_cycle: ScanCycle, night: Night, read: Callable[[], NightSnapshot]
) -> NightSnapshot:
    """The facts of a night; of one whose rows make no sense, those that keep others waiting."""
    found: list[NightSnapshot] = []
    work = f"night {night.id}: reading its facts"
    scan_cycle.barrier.regularly(
        work,
        lambda: found.append(read()),
        lambda words: nights.hold_for_trouble(ledger, night.id, words),
    )
    if found:
        return found[0]
    words = scan_cycle.barrier.words_of(work) or ""
    return NightSnapshot(
        number=night.id,
        kind=night.kind,
        date=night.date,
        status=night.status,
        hold=nights.cause_of_hold(night),
        is_closed=night.closed_us is not None,
        waits_for=None,
        pause=Cause(HoldCode.TROUBLE, {"error": words}),
        digests_missing=0,
        ids_skipped=night.ids_skip_why is not None,
        counts={},
        troubles=(),
        is_unread=True,
    )


def _facts(
    ledger: Ledger,
    scan_cycle: ScanCycle,
    full: dict[str, Cause],
    night: Night,
    *,
    is_foreign: bool,
    has_work: bool,
    unread_again: int,
    away: str | None,
) -> NightSnapshot:
    status = night.status
    watch = scan_cycle.nights.get(night.id)
    at_rest = status in FINAL
    stages = scan_cycle.run_mode.stages[night.kind]
    reads_pixels = Stage.BUILD in stages  # a mere plan needs no digests
    return NightSnapshot(
        number=night.id,
        kind=night.kind,
        date=night.date,
        status=status,
        hold=nights.cause_of_hold(night),
        is_closed=night.closed_us is not None,
        waits_for=watch.waits_for if watch else None,
        close_asked=night.close_asked_by is not None,
        pause=scan_cycle.pause_of_row(night) or full.get(str(Path(night.folder).parent)),
        digests_missing=_digests_missing(ledger, night.id) if reads_pixels and not at_rest else 0,
        ids_skipped=night.ids_skip_why is not None,
        counts=_counts_of(ledger, night, status, has_work=has_work),
        troubles=() if at_rest else _troubles(ledger, night.id),
        unread_again=unread_again,
        builders_away=None if away is None else Cause(WaitCode.BUILDERS, {"why": away}),
        is_foreign=is_foreign,
        is_live=is_live(ledger, scan_cycle, night),
        is_streamed=is_streamed(scan_cycle.config, night),
        shadow=stages if scan_cycle.run_mode.is_shadow else (),
    )


def _digests_missing(ledger: Ledger, night: int) -> int:
    count: int = ledger.value(
        "select count(*) from raw_file where night = ? and state = 'whole' and sha256 is null",
        [night],
    )
    return count


def _counts_of(
    ledger: Ledger, night: Night, status: NightStatus, *, has_work: bool
) -> dict[tuple[Stage, TaskState], int]:
    """The counts of a night, which for one that is safe and stays so need not be read."""
    if status is NightStatus.SAFE and not has_work:
        return {(stage, TaskState.DONE): 1 for stage in STAGES_OF[night.kind]}
    if status in FINAL and status is not NightStatus.SAFE:
        return {}
    return _counts(ledger, night)


def _counts(ledger: Ledger, night: Night) -> dict[tuple[Stage, TaskState], int]:
    """Tasks of the night's batch, and what is to be done again of the earlier ones."""
    rows = ledger.execute(
        "select part, state, sum(items) from tally where night = ?"
        " and subject = 'task' and items > 0 and (batch = ? or state != 'done')"
        " group by part, state",
        [night.id, night.batch],
    )
    return {(Stage(part), TaskState(state)): tasks for part, state, tasks in rows}


def _troubles(ledger: Ledger, night: int) -> list[TaskFailure]:
    # "state != 'done'" is in the index's own words: without it all tasks of the night are read.
    return fetch_all(
        TaskFailure,
        ledger,
        "select stage, state, error_class, error_code as code, due_us, iif(builder is null or"
        " instr(error, builder), error, error || ' (on ' || builder || ')') as error"
        " from task where night = ? and error is not null"
        " and state in ('pending', 'failed') and state != 'done' order by state, id limit ?",
        [night, _MOST_TROUBLES],
    )
