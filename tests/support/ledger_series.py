"""Nights one after the other, by an engine in this process, whose ledger is lost at some moment.

A moment is one at which the engine has handed out or taken back something, or a worker has done
what it was given. The daemon dies then, its ledger is gone or damaged, and is made again by the
command, of its newest copy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from click.testing import CliRunner

from tests.support.at_hand import AtHand
from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.trees import digests_of_tree
from vampd.background import ledger_copies, night_records
from vampd.cli import group
from vampd.io.beneath import night_folder
from vampd.layout import GIVEN_UP_FOLDER
from vampd.ledger import nights, tasks
from vampd.ledger.connection import Ledger, ledger_path
from vampd.orders.night import Orders
from vampd.schedule.engine import Engine
from vampd.simulation.camera import Step
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.stages import frame_id_papers
from vampd.states import Kind, NightStatus
from vampd.watch.scan_cycle import ScanCycle

DATES = ("20251106", "20251107", "20251108")
_JOBS = (night_records.JOB, ledger_copies.MAKE, ledger_copies.SEND)
_SETTINGS = """
[live]
enabled = {live}
silence_seconds = 60
[ledger_copies]
every_hours = 0.5
"""


@dataclass(kw_only=True)
class Series:
    """Nights of one root, and the moment at which their ledger is lost; 0: never."""

    folder: Path
    dates: tuple[str, ...] = DATES
    scenes: tuple[str, ...] = ("one-frame", "pdi-gap")
    lost_at: int = 0
    is_damaged: bool = False  #: in place of being gone
    live: bool = True
    moments: int = 0  #: seen so far
    begun_with: str | None = None  #: the copy with which the ledger was made again
    bound: dict[int, str | None] = field(default_factory=dict)  #: on paper when it was lost
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        text = _SETTINGS.format(live=str(self.live).lower())
        self.config = settings(self.folder, text)
        self.written = [
            SimulatedNight(
                [REFERENCE_SCENES[name] for name in self.scenes],
                date=date,
                first_number=1 + 10 * place,
            )
            for place, date in enumerate(self.dates)
        ]
        steps = self.written[0].steps(self.folder / "archive")
        self.clock = FakeClock(next(iter(steps)).at_us - 60_000_000)

    def run(self) -> None:
        """Let all nights be written, closed and made safe."""
        with self._begun():
            for night in self.written:
                self._play(night)
                self._close(night.date)
                self._turn(3600)

    def products(self) -> dict[str, str]:
        """All that must come out the same, here and at the far end; paths are left out of it.

        A night that is planned again sets aside what was made for the plan before: see `replan`.
        """
        found = {}
        for place in ("archive", "far"):
            for date in self.dates:
                top = self.folder / place / date
                for name, digest in digests_of_tree(top).items():
                    is_made = name.startswith("vgen2/") or name.endswith((".tar", ".log"))
                    if is_made and not name.startswith(GIVEN_UP_FOLDER):
                        found[f"{place}/{date}/{name}"] = digest
                for manifest in top.glob("manifest_*.csv"):
                    text = manifest.read_text().replace(str(self.folder), "")
                    found[f"{place}/{date}/{manifest.name}"] = text
        return found

    def bound_now(self) -> dict[int, str | None]:
        """Which number bears which content, by the papers of all nights."""
        found: dict[int, str | None] = {}
        for date in self.dates:
            folder = self.folder / "archive" / date
            if folder.is_dir():
                told = frame_id_papers.read(night_folder(folder))
                for number, each in told.bound.items():
                    assert number not in found, f"{number} is in the papers of two nights"
                    found[number] = each.content
        return found

    def check_against(self, calm: Series) -> None:
        """It came out as the series *calm*, whose ledger was never lost."""
        assert self.moments >= self.lost_at, "the moment never came"
        now, wanted = self.products(), calm.products()
        other = sorted(name for name in now | wanted if now.get(name) != wanted.get(name))
        assert not other, f"{len(other)} files are not the same: {other[:3]}"
        assert wanted, "nothing was made"
        assert self.bound_now() == calm.bound_now(), "other frame IDs"
        assert self.bound.items() <= self.bound_now().items(), "a frame ID was given a second time"

    @contextmanager
    def _begun(self) -> Iterator[None]:
        self._open()
        try:
            yield
        finally:
            self.engine.stop()
            self.ledger.close()

    def _open(self) -> None:
        self.ledger = opened(self.folder / "state", self.clock)
        tasks.reap(self.ledger, "its worker died with the daemon")
        self.executor = AtHand()
        self.scan_cycle = ScanCycle(self.ledger, self.clock, self.config)
        self.engine = Engine(self.ledger, self.config, self.scan_cycle, self.executor, _JOBS)

    def _play(self, night: SimulatedNight) -> None:
        left = list(night.steps(self.folder / "archive"))
        self.clock.pass_seconds(max(0, (left[0].at_us - self.clock.now_us()) / 1e6))
        while left:
            self._turn(30)
            due = [step for step in left if step.at_us <= self.clock.now_us()]
            left = left[len(due) :]
            _write(due)

    def _close(self, date: str) -> None:
        for _ in range(3):
            self._turn(20)
        arguments = {"kind": Kind.ARCHIVE, "date": date, "dry_run": False}
        Orders(self.ledger, self.config).carry_out("close", arguments, "somebody")
        night = nights.find_night(self.ledger, Kind.ARCHIVE, date)
        for _ in range(60):
            self._turn(20)
            night = nights.find_night(self.ledger, Kind.ARCHIVE, date)
            if night.status is NightStatus.SAFE:
                return
            if night.closed_us is None and night.close_asked_by is None:
                Orders(self.ledger, self.config).carry_out("close", arguments, "somebody")
        msg = f"{date} is {night.status}: {night.cause or night.hold}"
        raise AssertionError(msg)

    def _turn(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        self.scan_cycle.go()
        self.engine.hand_out()
        self._pass_moment()
        while self.engine.busy:
            self.executor.do_one()
            self._pass_moment()
            self.engine.collect()
            self._pass_moment()
            self.engine.hand_out()

    def _pass_moment(self) -> None:
        self.moments += 1
        if self.moments == self.lost_at:
            self._lose()

    def _lose(self) -> None:
        """The daemon dies, its ledger is lost and made again, and another daemon takes over."""
        self.ledger.close()
        self.bound = self.bound_now()
        state = self.folder / "state"
        path = ledger_path(state)
        if self.is_damaged:
            content = bytearray(path.read_bytes())
            chance = Random(self.lost_at)
            for _ in range(20):
                place = chance.randrange(len(content) - 4096)
                content[place : place + 512] = chance.randbytes(512)
            (state / "damaged").write_bytes(content)
        for each in state.glob(f"{path.name}*"):
            each.unlink()
        done = CliRunner().invoke(
            group, ["--config", str(self.folder / "vampd.toml"), "admin", "rebuild-db"]
        )
        assert done.exit_code == 0, f"{done.output}{done.exception}"
        self.begun_with = next((word for word in done.output.split() if ".gz" in word), None)
        self._open()
        self.scan_cycle.go()


def _write(steps: list[Step]) -> None:
    for step in steps:
        step()
        if step.path.exists():
            time_ns = step.at_us * 1000
            os.utime(step.path, ns=(time_ns, time_ns))
