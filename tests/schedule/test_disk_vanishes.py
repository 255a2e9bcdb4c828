"""A disk that goes away under whoever works on it condemns nothing, and holds no night."""

from __future__ import annotations

from multiprocessing.connection import wait

from tests.schedule.test_engine import Scene, clock, scene
from vampd.states import FileState, NightStatus

__all__ = ["clock", "scene"]


def _turn(scene: Scene, *, is_away: bool) -> None:
    """One turn in which what is handed out once is done, perhaps while the disk is away."""
    scene._clock.pass_seconds(60)
    scene._scan_cycle.go()
    root = scene.night_folder.parent
    if is_away:
        root.rename(root.with_name("away"))
    scene.engine.hand_out()
    while scene.engine.busy:
        assert wait(scene.workers.pipes(), timeout=60), "no worker said anything"
        scene.engine.collect()
    if is_away:
        root.with_name("away").rename(root)
    scene.engine.refresh()


def test_whatever_is_at_work_when_the_disk_goes_is_done_again_when_it_is_back(
    scene: Scene,
) -> None:
    files, nights, causes = set(), set(), set()
    for turn in range(120):
        _turn(scene, is_away=bool(turn % 2))
        files |= set(scene.states().values())
        nights.add(scene.night.status)
        causes.add(scene.night.cause)
        if scene.night.status == NightStatus.SAFE:
            break

    assert scene.night.status == NightStatus.SAFE
    assert FileState.QUARANTINED not in files
    assert not nights & {NightStatus.HELD, NightStatus.FAILED}, causes
