"""The journal is appended to, the rows are dumped now and then; both from a worker's own look."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support.fake_ledger import FakeClock, a_task, opened
from vampd.background import night_records as background_job
from vampd.ledger import dumps, exports, nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.exports import Written
from vampd.ledger.records import Night
from vampd.schedule.executor import Outcome
from vampd.stages import story
from vampd.states import Kind, Stage

_ANY: Any = None


class Desk(Struct, kw_only=True):
    """A night in its folder, and the ledger that tells of it."""

    folder: Path
    ledger: Ledger
    clock: FakeClock
    number: int

    @property
    def night(self) -> Night:
        return nights.get_night(self.ledger, self.number)

    @property
    def journal(self) -> Path:
        return self.folder / story.JOURNAL

    def happens(self, what: str) -> None:
        self.ledger.update("night", self.number, hold=what, **self.ledger.stamp(what))

    def tell(self, *, with_dump: bool = True) -> Written:
        job = story.prepare_records(self.ledger, self.night, with_dump=with_dump)
        told = story.write_story(job)
        exports.record_written(self.ledger, self.number, told)
        return told

    def events(self) -> list[int]:
        rows = self.ledger.rows("select id from event where night = ? order by id", [self.number])
        return [row["id"] for row in rows]

    def told(self) -> list[int]:
        lines = self.journal.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["id"] for line in lines]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock, folder = FakeClock(), tmp_path / "archive" / "20251106"
    folder.mkdir(parents=True)
    (tmp_path / "state").mkdir()
    with closing(opened(tmp_path / "state", clock)) as ledger:
        number = nights.sight_night(ledger, Kind.ARCHIVE, folder.name, folder).id
        yield Desk(folder=folder, ledger=ledger, clock=clock, number=number)


def test_a_journal_that_is_added_to_is_what_it_were_if_written_at_once(desk: Desk) -> None:
    desk.happens("one")
    desk.tell()
    desk.happens("two")
    desk.tell()
    added = desk.journal.read_bytes()

    desk.journal.unlink()
    desk.tell()

    assert desk.told() == desk.events()
    assert desk.journal.read_bytes() == added


def test_only_what_happened_since_is_written(desk: Desk) -> None:
    desk.happens("one")
    desk.tell()
    before = desk.journal.stat()
    desk.happens("two")

    desk.tell()

    assert desk.journal.stat().st_ino == before.st_ino
    assert desk.journal.stat().st_size > before.st_size


@pytest.mark.parametrize(
    "left",
    [b"", b'{"id": 99999, "subject": "night"}\n', b"no line of ours\n"],
    ids=["nothing", "another ledger's", "strange"],
)
def test_a_journal_of_something_else_is_written_anew(desk: Desk, left: bytes) -> None:
    desk.happens("one")
    desk.tell()
    desk.journal.write_bytes(left)

    desk.tell()

    assert desk.told() == desk.events()


def test_a_journal_that_a_power_cut_tore_is_written_anew(desk: Desk) -> None:
    desk.happens("one")
    desk.tell()
    desk.journal.write_bytes(desk.journal.read_bytes()[:-7])
    desk.happens("two")

    desk.tell()

    assert desk.told() == desk.events()


def test_the_rows_are_dumped_when_a_stage_has_ended_and_seldom_before(desk: Desk) -> None:
    nights.mark_closed(desk.ledger, desk.number, "vampd")
    a_task(desk.ledger, desk.number, Stage.BUILD, "one")
    a_task(desk.ledger, desk.number, Stage.BUILD, "two")
    desk.tell()
    found = []
    for minute in range(12):
        desk.clock.pass_seconds(61)
        desk.happens(f"minute {minute}")
        night = exports.next_to_export(desk.ledger)
        assert night is not None
        found.append(bool(night.with_dump))
        desk.tell(with_dump=found[-1])
    seldom = found.count(True)
    for row in desk.ledger.rows("select * from task order by id"):
        claimed = tasks.claim(desk.ledger, row["id"])
        assert claimed is not None
        assert tasks.finish(desk.ledger, claimed)
    desk.clock.pass_seconds(61)
    ended = exports.next_to_export(desk.ledger)

    assert seldom == 1
    assert ended is not None
    assert ended.with_dump


def test_the_rows_of_a_night_that_goes_on_are_dumped_seldom_though_stages_begin_and_end(
    desk: Desk,
) -> None:
    a_task(desk.ledger, desk.number, Stage.BUILD, "0")
    desk.tell()
    dumped = 0
    for minute in range(1, 20):
        for row in desk.ledger.rows("select id from task where state = 'pending'"):
            claimed = tasks.claim(desk.ledger, row["id"])
            assert claimed is not None
            assert tasks.finish(desk.ledger, claimed)
        if minute % 2:
            a_task(desk.ledger, desk.number, Stage.BUILD, f"{minute}")
        desk.clock.pass_seconds(61)
        night = exports.next_to_export(desk.ledger)
        assert night is not None
        dumped += night.with_dump
        desk.tell(with_dump=night.with_dump)

    assert dumped == 1


def test_rows_that_were_not_dumped_are_dumped_though_nothing_more_happens(desk: Desk) -> None:
    a_task(desk.ledger, desk.number)
    desk.tell()
    desk.happens("something")
    desk.clock.pass_seconds(61)
    desk.tell(with_dump=False)

    desk.clock.pass_seconds(61)
    soon = exports.next_to_export(desk.ledger)
    desk.clock.pass_seconds(600)
    later = exports.next_to_export(desk.ledger)

    assert soon is None
    assert later is not None
    assert later.with_dump


def test_what_is_due_costs_the_daemon_the_same_however_much_happened(desk: Desk) -> None:
    desk.tell()
    jobs = []
    for number in (1, 200):
        for happened in range(number):
            desk.happens(f"{number} {happened}")
        desk.clock.pass_seconds(61)
        jobs.append(background_job.due(desk.ledger, _ANY))

    assert all(len(pickle.dumps(job)) < 1000 for job in jobs)


def test_the_dump_is_that_of_the_ledger(desk: Desk) -> None:
    desk.happens("one")

    desk.tell()

    assert (desk.folder / story.LEDGER_DUMP).read_bytes() == dumps.dump(desk.ledger, desk.night)


def test_papers_that_could_not_be_written_are_tried_again_after_a_while(desk: Desk) -> None:
    desk.happens("one")
    desk.tell()
    desk.happens("two")
    desk.clock.pass_seconds(61)
    job = background_job.due(desk.ledger, _ANY)
    assert job is not None

    background_job.record(desk.ledger, _ANY, job, Outcome(key=1, error="a full disk"))

    assert background_job.due(desk.ledger, _ANY) is None
    desk.clock.pass_seconds(61)
    assert background_job.due(desk.ledger, _ANY) is not None
