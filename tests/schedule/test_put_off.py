"""The engine goes on with what was put off by a date that was ahead."""

from __future__ import annotations

from msgspec.structs import replace

from tests.schedule.test_engine import Scene, clock, scene
from vampd.states import NightStatus

__all__ = ["clock", "scene"]


def test_a_night_that_was_put_off_by_a_wrong_date_goes_on(scene: Scene) -> None:
    for _ in range(60):
        scene._clock.pass_seconds(60)
        scene._scan_cycle.go()
        if scene.ledger.execute("update task set due_us = 9e18").rowcount:
            break
        scene.go_round()
    config = scene.engine.config
    scene.engine.config = replace(config, retry=replace(config.retry, longest_seconds=60.0))

    scene.go_until(NightStatus.SAFE)
