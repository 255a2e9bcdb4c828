"""A date that was ahead for a while leaves nothing that never ends, or never begins again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.schedule.test_given_back import world
from tests.support.fake_ledger import DAY_US, FakeClock, a_night, opened
from tests.support.reclaim_nights import NightTruth
from tests.support.reclaim_world import World
from vampd.background import copies
from vampd.ledger import exports, nights
from vampd.ledger.dates import clamp_due
from vampd.remote.answers import FileDigest
from vampd.schedule.executor import Outcome
from vampd.stages.verify import VerifyResult, judge

__all__ = ["world"]


def test_copies_are_read_through_once_though_the_date_was_ahead_when_that_began(
    world: World,
) -> None:
    night: NightTruth = world.nights[0]
    world.clock.date_error_us = 300 * DAY_US
    world.order("verify", night)
    world.clock.date_error_us = 0
    world.pass_time(DAY_US)

    jobs = 0
    while jobs < 5 and (job := copies.JOB.due(world.ledger, world.config)) is not None:
        jobs += 1
        found: VerifyResult = VerifyResult(
            results=[
                judge(file, FileDigest(sha256=file.sha256, why=None)) for file in job.copies.files
            ],
            seconds=1.0,
            verify_at=job.copies.verify_at,
            destination=job.copies.destination,
            patience_hours=0.0,
            marked=[],
        )
        outcome = Outcome(key=1, result=copies.Reverified(copies=found))
        copies.JOB.record(world.ledger, world.config, job, outcome)

    assert jobs == 1
    assert nights.get_night(world.ledger, night.number).verify_asked_by is None


def test_papers_are_written_though_the_date_was_ahead_when_they_were_last(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = opened(tmp_path, clock)
    night = a_night(ledger)
    clock.pass_seconds(86_400 * 300)
    exports.record_written(ledger, night.id, None)
    clock.pass_seconds(-86_400 * 300)

    assert exports.next_to_export(ledger, 60_000_000) is not None
    ledger.close()


@pytest.mark.parametrize("table", ["task", "mail", "rebuild_proof"])
def test_nothing_waits_for_a_date_that_was_wrong(world: World, table: str) -> None:
    ledger, hour_us = world.ledger, 3_600_000_000
    stamp = ledger.stamp()
    night = world.nights[0].number
    rows: dict[str, dict[str, Any]] = {
        "task": {"night": night, "batch": 2, "stage": "sync", "state": "pending"},
        "mail": {"state": "wanted"},
        "rebuild_proof": {"night": night, "batch": 2, "sidecar_sha256": "x"},
    }
    wrong_us = ledger.now_us() + 300 * DAY_US
    number = ledger.insert(table, due_us=wrong_us, **rows[table], **stamp)
    soon = ledger.insert(
        "task", night=night, stage="build", unit="9.1", state="pending", due_us=5, **stamp
    )

    clamp_due(ledger, hour_us)

    due_us = ledger.value(f"select due_us from {table} where id = ?", [number])
    assert due_us == ledger.now_us() + hour_us
    assert ledger.value("select due_us from task where id = ?", [soon]) == 5
