"""The stage that gives frame IDs, with each of its issuers: a ledger and a disk of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.support import frame_id_command
from tests.support.fake_ledger import FakeClock, a_night, a_task, opened, reread, settings
from tests.support.frame_id_counter import Counter, Fault
from tests.support.gen2_server import Observatory, observatory
from tests.support.stage_steps import prepared
from vampd.errors import VampdError
from vampd.io.disk import claim_root
from vampd.ledger import frame_ids as numbers
from vampd.ledger import outputs, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.schedule import retries
from vampd.schedule.executor import Outcome
from vampd.settings.load import load
from vampd.settings.sections import Config
from vampd.states import OutputState, Stage

FIRST = 425_189
ISSUERS = ("local", "command", "gen2 frames", "gen2 instrument")
FOREIGN = ISSUERS[1:]


class Desk(Struct, kw_only=True):
    """A daemon's part that gives frame IDs, worked by hand."""

    folder: Path
    issuer: str
    ledger: Ledger
    config: Config
    clock: FakeClock
    gen2: Observatory

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def counter(self) -> Counter:
        """The foreign issuer's counter, as it stands now."""
        if self.issuer == "command":
            return frame_id_command.read(self.folder / "counter.json")
        return self.gen2.counter

    def set(self, **values: Any) -> None:
        """Change the foreign issuer's counter, or what goes wrong with it."""
        counter = self.counter
        for name, value in values.items():
            setattr(counter, name, value)
        if self.issuer == "command":
            frame_id_command.write(self.folder / "counter.json", counter)
        if values.get("fault") is Fault.REFUSED and self.issuer != "command":
            self.gen2.refuse()

    def night(self, date: str, contents: Sequence[str]) -> Night:
        """A planned night, whose frame IDs are due."""
        night = a_night(self.ledger, date)
        (self.archive / date).mkdir()
        self.ledger.update("night", night.id, folder=str(self.archive / date))
        a_task(self.ledger, night.id, Stage.FRAME_IDS)
        self.plan(night, contents)
        return reread(self.ledger, night)

    def plan(self, night: Night, contents: Sequence[str]) -> None:
        """Plan outputs of *contents*, in this order, for the night's batch."""
        night = reread(self.ledger, night)
        raw = self.ledger.insert(
            "raw_file",
            night=night.id,
            path=f"{contents}",
            role="cube",
            inode=1,
            size_bytes=1,
            modified_ns=1,
            state="whole",
            seen_us=1,
            **self.ledger.stamp(),
        )
        taken = len(outputs.outputs_of(self.ledger, night.id))
        for ordinal, content in enumerate(contents, start=taken):
            self.ledger.insert(
                "output",
                night=night.id,
                batch=night.batch,
                ordinal=ordinal,
                cube=ordinal,
                camera=1,
                synchronised=0,
                flc_state="",
                name=content,
                frames=1,
                width=1,
                height=1,
                first_us=ordinal,
                last_us=ordinal,
                header_file=raw,
                content_key=content,
                state=OutputState.PLANNED,
                **self.ledger.stamp(),
            )

    def attempt(self, night: Night) -> tasks.Task:
        """What the engine does with the task, until nothing is due of it; return the task."""
        for _ in range(10):
            task = tasks.claim(self.ledger, self.task(night).id)
            if task is None:
                return self.task(night)
            self._once(task, night)
        return self.task(night)

    def _once(self, task: tasks.Task, night: Night) -> None:
        try:
            work = prepared(self.ledger, self.config, reread(self.ledger, night), task)
            result = work()
        except VampdError as error:
            outcome: Outcome[object] = Outcome(
                key=0, error_class=error.error_class, error=str(error)
            )
            with self.ledger.transaction():
                retries.after_error(self.ledger, task, outcome, self.config)
            return
        with self.ledger.transaction():
            retries.after_success(self.ledger, task, result, self.config)

    def be_impatient(self, seconds: float) -> None:
        """Wait so long for an answer from now on."""
        frame_ids = replace(self.config.frame_ids, deadline_seconds=seconds)
        self.config = replace(self.config, frame_ids=frame_ids)

    def retry(self, night: Night) -> tasks.Task:
        """An operator's `retry`, and what follows."""
        tasks.retry_failed(self.ledger, night.id, "retry")
        return self.attempt(night)

    def order(self, order: str, night: Night, **arguments: Any) -> dict[str, Any]:
        named = {"kind": "archive", "date": night.date, "dry_run": False, "why": "seen so"}
        return Orders(self.ledger, self.config).carry_out(order, {**named, **arguments}, "me")

    def task(self, night: Night) -> tasks.Task:
        number = self.ledger.value(
            "select id from task where night = ? and stage = 'frame_ids' order by batch desc",
            [night.id],
        )
        return tasks.get_task(self.ledger, number)

    def bound(self, night: Night) -> dict[str, int]:
        return numbers.bound_of(self.ledger, reread(self.ledger, night))

    def requests(self) -> list[str]:
        rows = self.ledger.rows("select state from frame_request order by id")
        return [row["state"] for row in rows]


@contextmanager
def desk(folder: Path, issuer: str) -> Iterator[Desk]:
    """A desk with one of the ISSUERS, whose counter begins at FIRST."""
    clock = FakeClock()
    settings(folder)
    counter = Counter(following=FIRST)
    frame_id_command.write(folder / "counter.json", counter)
    with (
        observatory(folder / "frames_VMPA.txt", counter) as gen2,
        closing(opened(folder / "state", clock)) as ledger,
    ):
        ledger.execute("pragma synchronous = off")
        archive = folder / "archive"
        ledger.insert("root", path=str(archive), marker=claim_root(archive), claimed_us=1)
        yield Desk(
            folder=folder,
            issuer=issuer,
            ledger=ledger,
            config=_config(folder, issuer, gen2),
            clock=clock,
            gen2=gen2,
        )


def _config(folder: Path, issuer: str, gen2: Observatory) -> Config:
    """The settings of that issuer."""
    path = folder / "vampd.toml"
    kind, _, route = issuer.partition(" ")
    program = [sys.executable, frame_id_command.__file__, str(folder / "counter.json"), "{count}"]
    lines = [
        f"first = {FIRST}",
        f'issuer = "{kind}"',
        "deadline_seconds = 20",
        f"command = {program}",
        f'gen2_route = "{route or "frames"}"',
        f'gen2_name_service = "{gen2.name_service}"',
        f'gen2_file = "{folder}/frames_VMPA.txt"',
    ]
    path.write_text(path.read_text().replace(f"first = {FIRST}", "\n".join(lines)))
    return load(path)
