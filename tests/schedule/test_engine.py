"""The engine carries nights through with real workers; one bad file costs itself alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from tests.schedule import worker_bodies as bodies
from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.raw_cubes import write_raw_cube
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.background.table import BACKGROUND_JOBS
from vampd.ledger import files, frame_ids, nights, outputs, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.schedule.engine import Engine
from vampd.schedule.workers import Workers
from vampd.settings.sections import Disk
from vampd.states import FileState, Kind, NightStatus, TaskState
from vampd.views import causes
from vampd.views.conditions import conditions
from vampd.views.limits import limits
from vampd.views.summaries import nights as all_nights
from vampd.views.summaries import summarise
from vampd.watch import inspect
from vampd.watch.scan_cycle import ScanCycle

DATE = "20251105"
STEMS = tuple(f"vcam1_0{hour}:10:00.000000000" for hour in (5, 6, 7))
POISONED = {f"vcam1/{STEMS[1]}.fits", f"vcam1/{STEMS[1]}.txt"}


class Scene:
    """A night of three cubes, whose date is over, and all that carries it through."""

    def __init__(self, folder: Path, ledger: Ledger, clock: FakeClock) -> None:
        config = settings(folder)
        self.folder = folder
        self.night_folder = folder / "archive" / DATE
        for stem in STEMS:
            hour_us = int(stem[7]) * 3_600_000_000
            frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
            write_raw_cube(
                self.night_folder, frames, stem=stem, first_us=1_762_300_800_000_000 + hour_us
            )
        self.ledger = ledger
        self.workers = Workers(nice=0)
        self._clock = clock
        self._scan_cycle = ScanCycle(ledger, clock, config)
        self.engine = Engine(ledger, config, self._scan_cycle, self.workers, BACKGROUND_JOBS)

    @property
    def night(self) -> Night:
        return nights.find_night(self.ledger, Kind.ARCHIVE, DATE)

    def go_round(self) -> None:
        """One turn of the daemon, in which a minute passes."""
        self._clock.pass_seconds(60)
        self._scan_cycle.go()
        self.engine.hand_out()
        while self.engine.busy:
            assert wait(self.workers.pipes(), timeout=60), "no worker said anything"
            self.engine.collect()
            self.engine.hand_out()

    def go_until(self, status: NightStatus) -> None:
        for _ in range(60):
            self.go_round()
            if self.night.status == status:
                return
        pytest.fail(f"the night is {self.night.status}: {self.night.cause}")

    def go_until_busy(self) -> None:
        """Until work of the night is with a worker."""
        while not self.ledger.rows("select 1 from task where state = 'running'"):
            if self.engine.busy:
                wait(self.workers.pipes(), timeout=60)
                self.engine.collect()
            self._clock.pass_seconds(60)
            self._scan_cycle.go()
            self.engine.hand_out()

    def states(self) -> dict[str, str]:
        rows = files.files_of(self.ledger, self.night.id)
        return {path: row.state for path, row in rows.items()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def scene(tmp_path: Path, clock: FakeClock) -> Iterator[Scene]:
    settings(tmp_path)
    with closing(opened(tmp_path / "state", clock)) as ledger:
        scene = Scene(tmp_path, ledger, clock)
        yield scene
        scene.engine.stop()


def test_a_night_is_carried_from_raw_files_to_verified_copies(scene: Scene) -> None:
    raw = digests_of_tree(scene.night_folder)

    scene.go_until(NightStatus.SAFE)

    night = scene.night.id
    assert {row.state for row in tasks.tasks_of(scene.ledger, night)} == {TaskState.DONE}
    bound = [row.frame_id for row in outputs.outputs_of(scene.ledger, night)]
    assert bound == [425_189, 425_190, 425_191]
    far = {Path(path).name for path in digests_of_tree(scene.folder / "far")}
    for number in bound:
        assert f"{frame_ids.frame_id_text(number or 0)}.fits.fz" in far
    after = digests_of_tree(scene.night_folder)
    assert {path: after[path] for path in raw} == raw


@pytest.mark.parametrize(
    ("name", "body"),
    [("work", bodies.inspect_or_die), ("sha256_files", bodies.digest_or_die)],
)
def test_a_file_that_kills_its_readers_is_quarantined_and_those_beside_it_are_not(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str, body: bodies.Body
) -> None:
    monkeypatch.setattr(inspect, name, body)

    scene.go_until(NightStatus.SAFE)

    states = scene.states()
    assert {path for path in states if states[path] == FileState.QUARANTINED} == POISONED
    assert len(outputs.outputs_of(scene.ledger, scene.night.id)) == 2


@pytest.mark.parametrize("name", ["work", "sha256_files"])
def test_a_shortage_on_this_machine_condemns_no_file_and_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as shortage:
        shortage.setattr(inspect, name, bodies.fill_disk)
        for _ in range(40):
            scene.go_round()
        during = set(scene.states().values())

    scene.go_until(NightStatus.SAFE)

    assert FileState.QUARANTINED not in during
    assert set(scene.states().values()) == {FileState.WHOLE}


def test_a_night_that_waits_for_room_is_explained_and_a_retry_is_not_advised(scene: Scene) -> None:
    scene.engine.config = replace(scene.engine.config, disk=Disk(keep_free_gb=1e9))

    for _ in range(3):
        scene.go_round()

    with reading(scene.folder / "state") as ledger:
        (summary,) = summarise(ledger, all_nights(ledger))
    cause = causes.cause(summary, both_kinds=False)
    assert cause.rule == "disk low"
    assert "make room" in cause.next_step
    assert "vampd retry" not in cause.next_step


def test_operators_are_told_of_a_stopped_worker_which_night_it_holds_up_and_what_to_type(
    scene: Scene,
) -> None:
    scene.go_until_busy()
    pids = [child.pid for child in multiprocessing.active_children() if child.pid is not None]

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(_is_stopped(pid) for pid in pids))
    told = []
    for stopped in (scene.workers.stopped(), scene.workers.stopped(), {}):
        scene.engine.tell_stopped(stopped)
        found = conditions(scene.ledger.connection, limits(scene.engine.config), 0)
        told.append([each.text for each in found if each.name.startswith("trouble:")])
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    assert told[0] == told[2] == []
    assert any(f"archive {DATE}" in text and "kill -CONT " in text for text in told[1]), told[1]
    scene.go_until(NightStatus.SAFE)


def _is_stopped(pid: int) -> bool:
    """Or over: it had just ended its work."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] in "TZX"


def test_a_worker_that_stays_stopped_is_given_up_after_half_an_hour_and_not_before(
    scene: Scene, clock: FakeClock
) -> None:
    given_up = []
    for stopped, minutes in (
        ({1: 4711}, 0),
        ({1: 4711}, 29),
        ({}, 1),
        ({1: 4711}, 29),
        ({1: 4711}, 31),
    ):
        clock.pass_seconds(60 * minutes)
        given_up.append(scene.engine.tell_stopped(stopped))

    assert given_up[:4] == [{}, {}, {}, {}]
    assert given_up[4] == {1: "its worker was stopped by a signal for 30 min, and was ended"}
