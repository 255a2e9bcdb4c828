"""A cause does not change with progress: each change is an event and a line of the log."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

from tests.schedule.test_engine import Scene, clock, scene
from tests.schedule.test_rounds import Scene as Watching
from tests.schedule.test_rounds import scene as watching
from vampd.causes import Cause
from vampd.ledger.reading import reading
from vampd.schedule import engine as engine_module
from vampd.schedule import readings
from vampd.schedule.readings import digest_batch
from vampd.settings.sections import Disk
from vampd.states import NightStatus, WaitCode
from vampd.views import advice
from vampd.views.summaries import nights, summarise

__all__ = ["clock", "scene", "watching"]


def _events(scene: Scene) -> list[tuple[str, str | None]]:
    rows = scene.ledger.rows(
        "select became, why from event where subject = 'night' and night = ? order by id",
        [scene.night.id],
    )
    return [(row["became"], row["why"]) for row in rows]


def test_the_events_of_a_night_are_no_more_where_its_files_are_read_one_by_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "BATCH_FILES", 1)
    monkeypatch.setattr(readings, "_BATCH_CUBES", 1)

    monkeypatch.setattr(
        readings,
        "digest_batch",
        lambda *rows: () if scene.night.closed_us is None else digest_batch(*rows),
    )

    scene.go_until(NightStatus.SAFE)

    events = _events(scene)
    assert events.count(("waiting", str(Cause(WaitCode.READ_THROUGH)))) == 1
    assert len(events) == len(set(events)), events
    assert events[-1][0] == "safe"


def test_how_many_files_are_left_is_told_where_the_cause_is_shown(watching: Watching) -> None:
    watching.cube()
    watching.close_night()
    watching.ledger.update(
        "night",
        watching.night.id,
        status="waiting",
        cause=str(Cause(WaitCode.READ_THROUGH)),
        cause_code=WaitCode.READ_THROUGH,
    )

    with reading(watching.config.state_dir) as ledger:
        [summary] = summarise(ledger, nights(ledger))

    assert advice.cause_of(summary) == "raw files to be read through (2 left)"


def _any_root(free: float, _root: object) -> float:
    return free


def test_a_disk_that_fills_further_is_full_for_the_same_cause(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.engine.config = replace(scene.engine.config, disk=Disk(keep_free_gb=100))
    causes = set()
    for free in (9.1e9, 8.7e9):
        monkeypatch.setattr(engine_module, "_free", partial(_any_root, free))
        causes |= set(scene.engine._full_disks().values())

    assert len(causes) == 1
