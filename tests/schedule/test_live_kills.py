"""A daemon that dies again and again while a night is written brings out the same."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.support.fake_ledger import opened
from tests.support.live_night import LiveScene
from vampd.ledger import tasks
from vampd.schedule.engine import Engine
from vampd.schedule.workers import Workers
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import OutputState
from vampd.watch.scan_cycle import ScanCycle

_SCENES = ("one-frame", "pdi-gap", "one-frame")
_SEED = 11
_KILLS = 8


def some_night() -> SimulatedNight:
    return SimulatedNight([REFERENCE_SCENES[name] for name in _SCENES])


def die_and_rise(scene: LiveScene, moments: random.Random) -> int:
    """Kill all workers amid what they are at, and the daemon, which records nothing; begin anew.

    Returns how many pieces of work died with them.
    """
    scene.scan_cycle.go()
    scene.engine.hand_out()
    died = scene.engine.busy
    time.sleep(moments.uniform(0.0, 0.15))
    scene.workers.stop()
    scene.ledger.close()
    scene.ledger = opened(scene.folder / "state", scene.clock)
    tasks.reap(scene.ledger, "its worker died with the daemon")
    scene.workers = Workers(nice=0)
    scene.scan_cycle = ScanCycle(scene.ledger, scene.clock, scene.config)
    scene.engine = Engine(scene.ledger, scene.config, scene.scan_cycle, scene.workers, ())
    return died


def test_a_live_night_under_kills_comes_out_as_one_that_waited(tmp_path: Path) -> None:
    waiting = LiveScene(tmp_path / "waiting", some_night(), live=False)
    with waiting.begun():
        waiting.play()
        waiting.close()
        waited = waiting.products()
    moments = random.Random(_SEED)
    scene = LiveScene(tmp_path / "live", some_night(), live=True)
    with scene.begun():
        steps, parts, died = scene.steps, _KILLS - 2, 0
        for part in range(parts):
            scene.steps = steps[part * len(steps) // parts : (part + 1) * len(steps) // parts]
            scene.play()
            scene.clock.pass_seconds(20)
            died += die_and_rise(scene, moments)
        for _ in range(_KILLS - parts):
            scene.clock.pass_seconds(100)
            died += die_and_rise(scene, moments)
        for _ in range(5):
            scene.turn(60)
        verified = scene.ledger.value(
            "select count(*) from output where state = ?", [OutputState.VERIFIED]
        )
        scene.close()

        assert died >= 3
        assert verified > 0
        assert scene.products() == waited
    scene.ledger.close()
