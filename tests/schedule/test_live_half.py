"""What becomes of a night of which half is delivered: retries, lost ledgers, holds, supplements."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.schedule.test_live import order, planned, some_night
from tests.support.live_night import DATE, LiveScene
from vampd import __version__
from vampd.background import night_records
from vampd.errors import OperatorError
from vampd.ledger import live, nights, tasks
from vampd.ledger.connection import open_ledger
from vampd.schedule.executor import Outcome
from vampd.schedule.live import is_live
from vampd.stages import ledger_again
from vampd.states import STAGES_OF, Kind, NightStatus, OutputState
from vampd.watch.run_mode import RunMode
from vampd.watch.scan_cycle import ScanCycle

_ANY: Any = None  # no setting matters


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What comes out of an archive night that waited for its end."""
    scene = LiveScene(tmp_path_factory.mktemp("waited"), some_night(), live=False)
    with scene.begun():
        scene.play()
        scene.close()
        return scene.products()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[LiveScene]:
    scene = LiveScene(tmp_path, some_night(), live=True)
    with scene.begun():
        yield scene


def play_part(scene: LiveScene, share: float) -> None:
    """Play so much of what is left of the night."""
    steps = scene.steps
    upto = round(len(steps) * share)
    scene.steps = steps[:upto]
    scene.play()
    scene.steps = steps[upto:]
    for _ in range(2):  # what was planned last is sent, and verified
        scene.turn(1)


def states_of(scene: LiveScene, stage: str) -> set[str]:
    """The states of the night's tasks of one stage; none: it was not begun, or was taken back."""
    rows = tasks.tasks_of(scene.ledger, scene.night.id)
    return {row.state for row in rows if row.stage == stage}


def test_every_stage_can_be_done_again_while_the_night_goes_on(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    play_part(scene, 0.8)
    assert planned(scene, OutputState.VERIFIED)

    for stage in ("verify", "transfer", "build", "frame_ids", "sync"):
        assert order(scene, "retry", **{"from": stage}), stage
        if stage == "sync":  # planned anew: what was made went first
            assert not planned(scene)
        else:
            assert states_of(scene, stage) == {"pending"}, stage
        for _ in range(4):
            scene.turn(5)
        assert states_of(scene, stage) == {"done"}, stage
        assert planned(scene, OutputState.VERIFIED), stage

    scene.play()
    scene.close()
    assert scene.products() == waited


def test_a_ledger_that_is_lost_while_the_night_goes_on_is_made_again(
    tmp_path: Path, waited: dict[str, str]
) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True)
    with scene.begun():
        play_part(scene, 0.8)
        before = {row.content_key: row.frame_id for row in planned(scene)}
        assert before
        scene.ledger.execute("update paper set written_us = 0, dumped_us = 0")
        while (job := night_records.due(scene.ledger, _ANY)) is not None:
            night_records.record(
                scene.ledger, _ANY, job, Outcome(key=1, result=night_records.work(job))
            )
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").mkdir()
    with closing(open_ledger(tmp_path / "state", version=__version__, clock=scene.clock)) as ledger:
        ledger_again.make_again(ledger, [(Kind.ARCHIVE, scene.root)], digests=True)

    with scene.begun():
        scene.play()
        for _ in range(3):
            scene.turn(20)
        again = {row.content_key: row.frame_id for row in planned(scene)}
        scene.close()

        assert again.items() >= before.items()
        assert scene.products() == waited


def test_files_that_come_after_its_close_are_a_supplement_that_waits_for_its_own(
    tmp_path: Path,
) -> None:
    found = []
    for is_live_ in (False, True):
        scene = LiveScene(tmp_path / str(is_live_), some_night(), live=is_live_)
        late = {step.path.name[:24] for step in scene.steps[-12:]}
        after = [step for step in scene.steps if step.path.name[:24] in late]
        scene.steps = [step for step in scene.steps if step.path.name[:24] not in late]
        with scene.begun():
            scene.play()
            scene.close()
            scene.write(after)
            for _ in range(4):
                scene.turn(20)
            assert scene.night.batch == 2
            assert not planned_of_batch(scene, 2)
            scene.close()
            found.append(scene.products())

    assert found[0] == found[1]


def planned_of_batch(scene: LiveScene, batch: int) -> list[str]:
    return [row.name for row in planned(scene) if row.batch == batch]


def test_nothing_of_it_is_given_back(scene: LiveScene) -> None:
    play_part(scene, 0.8)

    with pytest.raises(OperatorError, match="collecting"):
        order(scene, "reclaim", raw=False, only=None)

    assert planned(scene, OutputState.VERIFIED)


def test_a_night_that_a_measure_may_hold_waits_and_is_held_without_a_number(
    tmp_path: Path, waited: dict[str, str]
) -> None:
    more = '[quality]\nhold = ["synchronised"]\nleast_synchronised_percent = 100'
    scene = LiveScene(tmp_path, some_night(), live=True, more=more)
    with scene.begun():
        scene.play()
        order(scene, "close")
        scene.go_until(NightStatus.HELD)
        assert live.row_of(scene.ledger, scene.night.id) is None
        assert scene.ledger.value("select count(*) from frame_id") == 0

        order(scene, "release")
        scene.go_until(NightStatus.SAFE)

        log = "far/.vampd/night.log"  # it tells what the measure was, too
        assert scene.products() | {log: ""} == waited | {log: ""}


def test_where_numbers_are_dealt_at_the_close_the_night_waits_for_it(
    tmp_path: Path, waited: dict[str, str]
) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True, frame_ids="at_close")
    with scene.begun():
        scene.play()
        assert not planned(scene)

        scene.close()

        assert scene.products() == waited


def test_a_shadow_waits(scene: LiveScene) -> None:
    play_part(scene, 0.5)
    night = nights.find_night(scene.ledger, scene.kind, DATE)
    shadow = RunMode(stages=dict(STAGES_OF))
    beside = ScanCycle(scene.ledger, scene.clock, scene.config, shadow)
    beside.nights = scene.scan_cycle.nights

    assert is_live(scene.ledger, scene.scan_cycle, night)
    assert not is_live(scene.ledger, beside, night)
