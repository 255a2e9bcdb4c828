"""A daemon that dies again and again while a night is written brings out the same."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from tests.support.live_night import LiveScene, SceneUnderFire, hear
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import OutputState, Stage

_SCENES = ("one-frame", "pdi-gap", "one-frame")
_STAGES = (Stage.SYNC, Stage.FRAME_IDS, Stage.BUILD, Stage.TRANSFER, Stage.VERIFY)


def some_night() -> SimulatedNight:
    return SimulatedNight([REFERENCE_SCENES[name] for name in _SCENES])


class DyingScene(SceneUnderFire):
    """Its daemon dies once as each stage has begun, and once as it is done and not recorded."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, some_night(), live=True)
        self.seams = list(product(_STAGES, ("begun", "done")))

    def is_struck(self) -> bool:
        running = self.running()
        seam = next((seam for seam in self.seams if seam[0] in running), None)
        if seam is None:
            return False
        self.seams.remove(seam)
        for pipe in self.workers.pipes() if seam[1] == "done" else ():
            hear([pipe])
        return True


def test_a_live_night_under_kills_comes_out_as_one_that_waited(tmp_path: Path) -> None:
    waiting = LiveScene(tmp_path / "waiting", some_night(), live=False)
    with waiting.begun():
        waiting.play()
        waiting.close()
        waited = waiting.products()
    scene = DyingScene(tmp_path / "live")
    with scene.begun():
        scene.play()
        for _ in range(8):
            scene.turn(60)
        left = list(scene.seams)
        verified = scene.ledger.value(
            "select count(*) from output where state = ?", [OutputState.VERIFIED]
        )
        scene.close()

        assert left == []
        assert verified > 0
        assert scene.products() == waited
    scene.ledger.close()
