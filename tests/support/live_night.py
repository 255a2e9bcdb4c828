"""Nights that are worked on while they are written, by an engine whose clock a test moves."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing import active_children
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.trees import digests_of_tree
from vampd.ledger import nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.schedule.engine import Engine
from vampd.schedule.executor import Outcome
from vampd.schedule.workers import Workers, _answer, _understood
from vampd.simulation.camera import Step
from vampd.simulation.night import SimulatedNight
from vampd.states import Kind, NightStatus
from vampd.watch.scan_cycle import ScanCycle

J = TypeVar("J")

DATE = "20251106"
_SETTINGS = """
[live]
enabled = {enabled}
silence_seconds = 60
frame_ids = "{frame_ids}"
[[roots]]
kind = "engineering"
path = "{folder}/engineering"
[delivery.engineering]
destination = "{folder}/far-engineering"
{more}
"""


def hear(pipes: Sequence[Connection]) -> None:
    """Wait until a worker says something.

    However busy the machine is: AssertionError only when none of the workers has used any processor
    time for a minute.
    """
    used = None
    while not wait(pipes, timeout=60):
        before, used = used, [_processor_ticks(child) for child in active_children()]
        assert used != before, "no worker says or does anything"


def _processor_ticks(child: BaseProcess) -> tuple[int | None, str]:
    """What a process has used so far; "" when it has ended."""
    with suppress(OSError):
        words = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        return child.pid, f"{words[11]} {words[12]}"  # utime, stime: proc(5)
    return child.pid, ""


class WorkersHere(Workers):
    """Workers without processes: all is done in this one, as it is handed out.

    For many nights in a row: nine tenths of a small one's time go into processes.
    """

    def __init__(self) -> None:
        super().__init__(nice=0)
        self._done: list[Outcome[object]] = []
        self._next = count(1)

    def submit(self, work: Callable[[J], object], job: J) -> int:
        key = next(self._next)
        # As it goes to a process and back, the error that it may be included.
        answer = _answer(work, pickle.loads(pickle.dumps(job)))
        self._done.append(_understood(key, memoryview(answer)))
        return key

    def finished(self) -> list[Outcome[object]]:
        done, self._done = self._done, []
        return done


class LiveScene:
    """One night of one root, written step by step, and an engine that follows."""

    def __init__(
        self,
        folder: Path,
        night: SimulatedNight,
        *,
        live: bool,
        kind: Kind = Kind.ARCHIVE,
        more: str = "",
        frame_ids: str = "at_once",
        here: bool = False,
    ) -> None:
        self._here = here
        for name in ("engineering/lost+found", "far-engineering"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        text = _SETTINGS.format(
            enabled=str(live).lower(), folder=folder, more=more, frame_ids=frame_ids
        )
        self.config = settings(folder, text)
        self.kind = kind
        self.folder = folder
        self.root = folder / kind
        self.steps = list(night.steps(self.root))
        self.clock = FakeClock(self.steps[0].at_us - 1_000_000)
        self.ledger: Ledger
        self.engine: Engine

    @contextmanager
    def begun(self) -> Iterator[LiveScene]:
        """With a daemon's insides at work."""
        with closing(opened(self.folder / "state", self.clock)) as self.ledger:
            self._begin()
            try:
                yield self
            finally:
                self.engine.stop()
                self.workers.stop()

    def _begin(self) -> None:
        self.workers = WorkersHere() if self._here else Workers(nice=0)
        self.scan_cycle = ScanCycle(self.ledger, self.clock, self.config)
        self.engine = Engine(self.ledger, self.config, self.scan_cycle, self.workers, ())

    @property
    def night_folder(self) -> Path:
        return self.root / DATE

    @property
    def far(self) -> Path:
        return self.folder / ("far" if self.kind is Kind.ARCHIVE else "far-engineering") / DATE

    @property
    def night(self) -> Night:
        return nights.find_night(self.ledger, self.kind, DATE)

    def turn(self, seconds: float = 0.0) -> None:
        """One turn of the daemon after so long, and all that follows of it."""
        self.clock.pass_seconds(seconds)
        self.scan_cycle.go()
        self.work()

    def work(self) -> None:
        self.engine.hand_out()
        while self.engine.busy:
            if not self._here:
                hear(self.workers.pipes())
            self.engine.collect()
            self.engine.hand_out()

    def write(self, steps: list[Step]) -> None:
        """Let the loggers do *steps*; the times of their files are the night's."""
        for step in steps:
            step()
            if step.path.exists():
                time_ns = step.at_us * 1000
                os.utime(step.path, ns=(time_ns, time_ns))

    def play(self, every_seconds: float = 20.0) -> None:
        """Write the night as time passes, and turn every so often."""
        left = self.steps
        while left:
            self.clock.pass_seconds(every_seconds)
            due = [step for step in left if step.at_us <= self.clock.now_us()]
            left = left[len(due) :]
            self.write(due)
            self.turn()

    def close(self) -> None:
        """An operator says that the night is over, and it is carried to its end."""
        arguments = {"kind": self.kind, "date": DATE, "dry_run": False}
        for _ in range(2):
            self.turn(20)
        Orders(self.ledger, self.config).carry_out("close", arguments, "somebody")
        self.go_until(NightStatus.SAFE)

    def go_until(self, status: NightStatus) -> None:
        for _ in range(60):
            self.turn(20)
            if self.night.status == status:
                return
        msg = f"the night is {self.night.status}: {self.night.cause}"
        raise AssertionError(msg)

    def products(self) -> dict[str, str]:
        """Digests of all that must come out the same, here and at the far end."""
        found = {
            f"vgen2/{name}": digest
            for name, digest in digests_of_tree(self.night_folder / "vgen2").items()
        }
        for manifest in self.night_folder.glob("manifest_*.csv"):
            found[manifest.name] = manifest.read_text().replace(str(self.folder), "")
        far = digests_of_tree(self.far)
        manifests = {name for name in far if name.startswith("manifest_")}
        found |= {f"far/{name}": far[name] for name in far if name not in manifests}
        found |= dict.fromkeys((f"far/{name}" for name in manifests), "")
        return found


class SceneUnderFire(LiveScene):
    """Its daemon dies, and all workers with it, and another one takes over."""

    def is_struck(self) -> bool:
        """Whether it dies now, while something goes on."""
        raise NotImplementedError

    def work(self) -> None:
        self.engine.hand_out()
        while self.engine.busy:
            if self.is_struck():
                self.die_and_rise()
            else:
                hear(self.workers.pipes())
                self.engine.collect()
            self.engine.hand_out()

    def running(self) -> set[str]:
        """The stages that go on."""
        rows = self.ledger.rows("select distinct stage from task where state = 'running'")
        return {row["stage"] for row in rows}

    def die_and_rise(self) -> None:
        """Kill all workers and the daemon, which records nothing of theirs; begin anew."""
        self.workers.stop()
        self.ledger.close()
        self.ledger = opened(self.folder / "state", self.clock)
        tasks.reap(self.ledger, "its worker died with the daemon")
        self._begin()
        self.scan_cycle.go()
