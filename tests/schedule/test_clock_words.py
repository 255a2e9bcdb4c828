"""An operator's word on the clock of a cube that only its logger timed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.schedule.test_rounds import DATE, STEM, Scene, scene
from tests.support.raw_cubes import FIRST_US
from vampd.causes import Cause
from vampd.errors import OperatorError, UsageError
from vampd.ledger import clock_words, cubes, files, outputs, tasks
from vampd.ledger.records import RawFile
from vampd.orders.night import Orders
from vampd.science.cubes import CubeLimits
from vampd.science.quality import QualityLimits
from vampd.stages import sync
from vampd.states import FileCode, FileState, Kind, Stage

__all__ = ["scene"]

PATH = f"vcam1/{STEM}.fits"
LIMITS = CubeLimits(max_seconds=10, max_gap_seconds=3, max_bytes=2_000_000_000)
QUALITY = QualityLimits(
    least_synchronised_percent=0,
    most_dubious_percent=100,
    most_drift_us=1e9,
    most_state_difference_percent=100,
)


def timed_by_the_logger(scene: Scene) -> None:
    """A cube whose acquisition times are 0, as where the camera's stream has none."""
    timing = scene.cube().with_suffix(".txt")
    lines = timing.read_text().splitlines()
    rows = [line.split() for line in lines[2:]]
    without = [" ".join([*row[:4], "0", *row[5:]]) for row in rows]
    timing.write_text("\n".join([*lines[:2], *without, ""]))


def plan(scene: Scene) -> None:
    """What the daemon does in the stage sync."""
    night = scene.night
    job = sync.job_of(scene.ledger, night, LIMITS, QUALITY, attempt=1)
    [task] = [row for row in tasks.tasks_of(scene.ledger, night.id) if row.stage is Stage.SYNC]
    sync.record(scene.ledger, task, sync.work(job))


def order(scene: Scene, **more: Any) -> list[str]:
    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": False, "path": PATH, **more}
    orders = Orders(scene.ledger, scene.config)
    lines: list[str] = orders.carry_out("quarantine", named, "uid 5")["lines"]
    return lines


def accept(scene: Scene, clock: str, why: str | None = "the log of that night") -> list[str]:
    return order(scene, action="accept", clock=clock, why=why)


def row_of(scene: Scene) -> RawFile:
    return files.file_of(scene.ledger, scene.night.id, PATH)


@pytest.fixture
def unproved(scene: Scene) -> Scene:
    """A closed night of one cube, which is quarantined because nothing proves its clock."""
    timed_by_the_logger(scene)
    scene.close_night()
    plan(scene)
    assert row_of(scene).state == FileState.QUARANTINED
    assert row_of(scene).reason_code == FileCode.CLOCK
    return scene


@pytest.mark.parametrize(("clock", "ahead_s"), [("utc", 0), ("tai", 37)])
def test_the_plan_uses_the_clock_that_an_operator_stated(
    unproved: Scene, clock: str, ahead_s: int
) -> None:
    lines = accept(unproved, clock)
    unproved.go(2)
    unproved.go(40)
    plan(unproved)

    [cube] = cubes.cubes_of(unproved.ledger, unproved.night.id)
    [output] = outputs.outputs_of_batch(unproved.ledger, unproved.night.id)
    reports = unproved.ledger.rows("select text from report where stage = 'sync'")
    events = unproved.ledger.rows("select * from event where subject = 'clock'")
    assert any("its times are taken as those of a clock" in line for line in lines)
    assert (cube.stated_s, cube.ahead_us) == (ahead_s, ahead_s * 1_000_000)
    assert output.first_us == FIRST_US + 71 - ahead_s * 1_000_000
    assert any("uid 5 (the log of that night) said" in row["text"] for row in reports)
    assert [(row["became"], row["actor"]) for row in events] == [(f"{ahead_s} s ahead", "uid 5")]


def test_a_clock_that_is_proved_otherwise_is_refused_with_both_values(unproved: Scene) -> None:
    number = row_of(unproved).id
    unproved.ledger.execute("update cube set written_us = ?", [FIRST_US - 36_000_000])

    with pytest.raises(OperatorError, match=r"not timed on a clock on UTC: .*DATE is 2025"):
        accept(unproved, "utc")

    assert row_of(unproved).state == FileState.QUARANTINED
    assert cubes.cube_of(unproved.ledger, number).stated_s is None  # type: ignore[union-attr]


def test_a_cube_with_acquisition_times_takes_no_word(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    order(scene, action="add", why="odd")

    with pytest.raises(OperatorError, match="has acquisition times"):
        accept(scene, "tai")


@pytest.mark.parametrize(("clock", "why"), [("gps", "why"), ("tai", None)])
def test_a_word_is_one_of_two_and_has_a_reason(
    unproved: Scene, clock: str, why: str | None
) -> None:
    with pytest.raises(UsageError, match="utc, tai"):
        accept(unproved, clock, why)


def test_a_word_does_not_outlive_the_file_or_another_quarantine(unproved: Scene) -> None:
    accept(unproved, "tai")
    number = row_of(unproved).id
    order(unproved, action="add", why="it was not so")
    after_quarantine = cubes.cube_of(unproved.ledger, number)
    clock_words.state(unproved.ledger, row_of(unproved), 37, "again")
    who = files.identity(row_of(unproved))
    files.renew_file(unproved.ledger, number, who, FileState.ARRIVING, Cause(FileCode.SEEN))

    assert after_quarantine is not None
    assert after_quarantine.stated_s is None
    assert unproved.ledger.value("select count(*) from clock_word") == 0


def test_a_dry_run_states_nothing(unproved: Scene) -> None:
    assert order(unproved, action="accept", clock="tai", why="x", dry_run=True)[1:]

    assert unproved.ledger.value("select count(*) from clock_word") == 0
