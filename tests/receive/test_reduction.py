"""What the receiver keeps of its steps when processes, disks or Slurm fail; how much it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_ledger import FakeClock
from vampd.errors import RetryableError
from vampd.io.disk import claim_root
from vampd.ledger.barrier import Barrier
from vampd.receive import ledger as books
from vampd.receive import slurm, step_work
from vampd.receive.desk import Desk
from vampd.receive.reduction import Reduction
from vampd.receive.settings import load
from vampd.receive.states import FileState, NightState
from vampd.schedule.executor import Outcome
from vampd.time_units import DAY_US

_SETTINGS = """\
state_dir = "{folder}/receiver"
[[inbox]]
kind = "archive"
folder = "{folder}/in"
to = "{folder}/sdata/{{night}}"
[workers]
processes = 2
[reduce]
quiet_minutes = 0
keep_free_gb = 0
{more}
[[step]]
name = "run"
command = ["true"]
per = "{per}"
"""


class Hands:
    """An executor whose work is done, or dies, when the test says so."""

    def __init__(self) -> None:
        self.jobs: dict[int, tuple[Callable[[Any], object], Any]] = {}
        self.is_short = False
        self._outcomes: list[Outcome[Any]] = []
        self._count = 0

    @property
    def elsewhere(self) -> None:
        return None

    def submit(self, work: Callable[[Any], object], job: Any) -> int:
        if self.is_short:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self._count += 1
        self.jobs[self._count] = (work, job)
        return self._count

    def end(self, **how: Any) -> None:
        """Let the oldest piece end so; else as its work ends."""
        key = min(self.jobs)
        work, job = self.jobs.pop(key)
        self._outcomes.append(Outcome(key=key, **(how or {"result": work(job)})))

    def finished(self) -> list[Outcome[object]]:
        outcomes, self._outcomes = self._outcomes, []
        return list(outcomes)

    def cancel(self, keys: Iterable[int]) -> None:
        raise AssertionError(keys)

    def stop(self) -> None:
        raise AssertionError

    @property
    def builders(self) -> tuple[str, ...]:
        return ("the test",)

    def pipes(self) -> Sequence[Connection]:
        return ()


class SetClock(FakeClock):
    """Its date can be set; its other clock goes on."""

    ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


class Site:
    """Received nights of three cubes, and the reduction that follows them."""

    def __init__(self, folder: Path, per: str, nights: int, more: str) -> None:
        for name in ("in", "sdata/lost+found", "receiver"):
            (folder / name).mkdir(parents=True)
        self.base = folder / "sdata"
        settings = folder / "settings.toml"
        settings.write_text(_SETTINGS.format(folder=folder, per=per, more=more))
        config = load(settings)
        self.clock = SetClock()
        self.ledger = books.opened(config.state_dir, version="0", clock=self.clock)
        for number in range(nights):
            night = books.night_of(self.ledger, "archive", f"202511{number + 1:02d}").id
            for cube in range(3):
                self.ledger.insert(
                    "file",
                    night=night,
                    path=f"vgen2/VMPA{number:04d}{cube:04d}.fits.fz",
                    state=FileState.PLACED,
                    sha256=f"{number}-{cube}",
                    **self.ledger.stamp(),
                )
            self.ledger.update("night", night, state=NightState.RECEIVED)
        self.hands = Hands()
        self.barrier = Barrier(self.ledger)
        self.desk = Desk(self.hands, self.barrier)
        self.reduction = Reduction(self.ledger, config, self.desk)

    def turn(self) -> None:
        self.desk.collect()
        self.barrier.attempt("a turn", self.reduction.hand_out)

    def runs(self) -> list[tuple[str, str, int]]:
        rows = self.ledger.rows("select unit, state, attempts from step_run order by id")
        return [(row["unit"], row["state"], row["attempts"]) for row in rows]


@contextmanager
def site(folder: Path, per: str = "night", nights: int = 1, more: str = "") -> Iterator[Site]:
    place = Site(folder, per, nights, more)
    with closing(place.ledger):
        yield place


def test_headers_of_many_nights_are_read_by_few_processes(tmp_path: Path) -> None:
    with site(tmp_path, "target", nights=9) as place:
        place.turn()

        assert len(place.hands.jobs) == 2


def test_a_worker_that_dies_says_nothing_of_any_target(tmp_path: Path) -> None:
    with site(tmp_path, "target") as place:
        place.turn()
        place.hands.end(crashed=True, error="killed")
        place.turn()

        assert place.runs() == []


def test_without_its_disk_no_cube_has_a_target_and_no_step_begins(tmp_path: Path) -> None:
    with site(tmp_path, "target") as place:
        marker = claim_root(place.base)
        assert marker is not None
        books.keep_marker(place.ledger, str(place.base), marker)
        (place.base / ".vampd-root").unlink()
        place.turn()

        with pytest.raises(RetryableError, match="away with its disk"):
            place.hands.end()

    job = step_work.StepJob(
        disk=str(place.base),
        marker=marker,
        base=str(place.base),
        folder="20251101",
        keep_free_bytes=0,
        command=["touch", "begun"],
        deadline_seconds=60,
    )
    with pytest.raises(RetryableError, match="away with its disk"):
        step_work.work(job)
    assert not (place.base / "20251101").exists()


def test_a_step_for_which_there_is_no_process_was_not_begun(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        place.hands.is_short = True
        place.turn()
        assert place.runs() == []

        place.hands.is_short = False
        place.turn()

        assert place.runs() == [("", "running", 1)]


def test_a_step_whose_end_could_not_be_recorded_is_done_again(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        place.turn()
        place.hands.end(result={"no": "such answer"})
        place.turn()

        assert place.runs() == [("", "running", 2)]
        assert len(place.hands.jobs) == 1


def test_a_night_that_is_done_is_not_read_again_until_it_changes(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        place.turn()
        place.hands.end(result=step_work.StepEnd(code=0))
        place.turn()
        asked: list[str] = []
        place.ledger.connection.set_trace_callback(asked.append)

        place.turn()
        at_rest = [each for each in asked if "from file" in each]
        place.ledger.execute("update file set sha256 = 'another', changed_us = 1 where id = 1")
        place.turn()

        assert at_rest == []
        assert place.runs() == [("", "running", 1)]
        assert len(place.hands.jobs) == 1


@pytest.mark.parametrize(
    ("said", "is_over"),
    [
        ("slurm_load_jobs error: Invalid job id specified", True),
        ("slurm_load_jobs error: Zero Bytes were transmitted or received", False),
        ("slurm_load_jobs error: Protocol authentication error", False),
    ],
)
def test_a_slurm_that_does_not_answer_says_nothing_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, *, is_over: bool
) -> None:
    for name in ("squeue", "scontrol", "sacct"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    job = slurm.AskJob(job="17", base=str(tmp_path), folder="x", name="vampd")

    if is_over:
        assert slurm.ask(job).end is not None
    else:
        with pytest.raises(RetryableError, match="squeue exited 1"):
            slurm.ask(job)


def test_a_date_that_was_ahead_does_not_stop_the_pace(tmp_path: Path) -> None:
    with site(tmp_path, nights=2, more="files_per_minute = 180") as place:
        place.clock.ahead_us = 365 * DAY_US
        place.turn()
        place.clock.ahead_us = 0
        place.turn()
        assert len(place.hands.jobs) == 1  # three files a second

        place.clock.pass_seconds(1)
        place.turn()

        assert len(place.hands.jobs) == 2
