"""Thirty nights in any order, some late, some skipped: numbers follow the dates, or it is said.

The dispatcher decides, the ledger keeps; nothing is built. The nights' folders are real, for a
number must be above all that they bear.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.issuers import Desk, desk
from vampd.ledger import nights as night_rows
from vampd.ledger.connection import ledger_path
from vampd.ledger.nights import get_night
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.schedule.dispatch import NightSnapshot, gate
from vampd.states import Kind, NightStatus, Stage, TaskState
from vampd.views.frame_id_audit import chronology, incomplete, numberings

DATES = [f"{date(2025, 11, 1) + timedelta(days=day):%Y%m%d}" for day in range(30)]


class Sky:
    """Nights that are sighted, finished, skipped or given up in any order."""

    def __init__(self, made: Desk) -> None:
        self.desk = made
        self.waited: set[str] = set()

    def sight(self, day: str) -> None:
        """Its folder appears, and cameras write."""
        self.desk.clock.pass_seconds(60)
        if self.row(day) is None:
            self.desk.night(day, [])
            self._status(day, NightStatus.COLLECTING)

    def finish(self, day: str) -> None:
        """It is over, and planned: its frame IDs are due."""
        self.sight(day)
        night = self.get(day)
        if night.status == NightStatus.COLLECTING:
            self.desk.plan(night, [f"{day}-{number}" for number in range(2)])
            self._status(day, NightStatus.READY)
        self.deal()

    def give_up(self, day: str) -> None:
        self.sight(day)
        if self.get(day).status == NightStatus.COLLECTING:
            self._status(day, NightStatus.EMPTY)
        self.deal()

    def skip(self, day: str) -> None:
        self.sight(day)
        self.desk.order("ids-skip", self.get(day), why="cannot wait")
        self.deal()

    def deal(self) -> None:
        """Whatever the dispatcher lets through gets its numbers, as often as anything does."""
        while True:
            facts = [
                self._facts(row)
                for row in fetch_all(Night, self.desk.ledger, "select * from night")
            ]
            ready = [night for night in facts if night.status is NightStatus.READY]
            stopped = {night.date: gate(night, facts) for night in ready}
            self.waited |= {day for day, why in stopped.items() if why is not None}
            free = [night for night in ready if stopped[night.date] is None]
            if not free:
                return
            random.Random(len(facts)).shuffle(free)
            self.desk.clock.pass_seconds(1)
            task = self.desk.attempt(self.get(free[0].date))
            assert task.state == TaskState.DONE, task.error
            self._status(free[0].date, NightStatus.SAFE)

    def row(self, day: str) -> Night | None:
        return fetch_one(Night, self.desk.ledger, "select * from night where date = ?", [day])

    def get(self, day: str) -> Night:
        return night_rows.find_night(self.desk.ledger, Kind.ARCHIVE, day)

    def _status(self, day: str, status: NightStatus) -> None:
        night = self.get(day)
        night_rows.set_status(self.desk.ledger, night, status, None)

    def _facts(self, row: Night) -> NightSnapshot:
        state = self.desk.task(row).state
        return NightSnapshot(
            number=row.id,
            kind=Kind(row.kind),
            date=row.date,
            status=NightStatus(row.status),
            hold=None,
            is_closed=row.status != NightStatus.COLLECTING,
            waits_for=None,
            pause=None,
            digests_missing=0,
            ids_skipped=get_night(self.desk.ledger, row.id).ids_skip_why is not None,
            counts={(Stage.FRAME_IDS, TaskState(state)): 1},
            troubles=(),
        )

    def judged(self) -> tuple[list[str], list[str]]:
        """What `vampd archive ids audit` finds: problems, and exceptions on record."""
        with reading(ledger_path(self.desk.folder / "state").parent) as ledger:
            every = numberings(ledger)
            problems, exceptions = chronology(ledger, every)
            return problems + [text for night in every for text in incomplete(night)], exceptions

    def out_of_order(self) -> set[str]:
        """Dates that have a number above one of a younger night."""
        spans = {
            row["date"]: (row["low"], row["high"])
            for row in self.desk.ledger.rows(
                "select date, min(number) as low, max(number) as high from frame_id"
                " join night on night.id = frame_id.night group by date"
            )
        }
        return {
            older
            for older, (_, high) in spans.items()
            for younger, (low, _) in spans.items()
            if older < younger and high > low
        }


@contextmanager
def sky(folder: Path) -> Iterator[Sky]:
    with desk(folder, "local") as made:
        yield Sky(made)


def told(exceptions: list[str]) -> set[str]:
    return {text.split()[1].rstrip(":") for text in exceptions}


def test_thirty_nights_that_are_all_there_get_their_numbers_in_order_of_their_dates(
    tmp_path: Path,
) -> None:
    order = random.Random(1).sample(DATES, k=len(DATES))
    with sky(tmp_path) as above:
        for day in DATES:
            above.sight(day)
        for day in order:
            above.finish(day)

        assert above.waited
        assert above.out_of_order() == set()
        assert above.judged() == ([], [])
        count = above.desk.ledger.value("select count(*) from frame_id where state = 'bound'")
        assert count == 2 * len(DATES)


def test_of_nights_that_come_late_each_is_listed_with_its_reason(tmp_path: Path) -> None:
    late = {DATES[3], DATES[17]}
    with sky(tmp_path) as above:
        for day in random.Random(2).sample([day for day in DATES if day not in late], k=28):
            above.sight(day)
        for day in [*(day for day in DATES if day not in late), *sorted(late)]:
            above.finish(day)

        problems, exceptions = above.judged()

        assert problems == []
        assert above.out_of_order() == told(exceptions) == late
        assert all("its folder came later" in text for text in exceptions)


def test_a_night_that_is_skipped_is_passed_and_listed_with_the_operators_words(
    tmp_path: Path,
) -> None:
    with sky(tmp_path) as above:
        for day in DATES[:5]:
            above.sight(day)
        for day in DATES[1:5]:
            above.finish(day)
        before = above.desk.ledger.value("select count(*) from frame_id")
        above.skip(DATES[0])
        after = above.desk.ledger.value("select count(*) from frame_id")
        above.finish(DATES[0])

        problems, exceptions = above.judged()

        assert (before, after) == (0, 8)
        assert problems == []
        assert told(exceptions) == {DATES[0]}
        assert all("it was skipped: cannot wait" in text for text in exceptions)


def test_numbers_out_of_order_without_a_reason_are_a_problem(tmp_path: Path) -> None:
    with sky(tmp_path) as above:
        above.sight(DATES[0])
        above.sight(DATES[1])
        above.desk.plan(above.get(DATES[1]), ["young"])
        above.desk.attempt(above.get(DATES[1]))  # past the gate
        above.finish(DATES[0])

        problems, exceptions = above.judged()

        assert exceptions == []
        assert len(problems) == 1
        assert f"archive {DATES[0]}" in problems[0]
        assert "nothing says why" in problems[0]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["sight", "finish", "give_up", "skip"]), st.integers(0, 7)),
    min_size=4,
    max_size=24,
)


@settings(max_examples=15, deadline=None)
@given(steps=_STEPS)
def test_whatever_happens_each_night_out_of_order_is_listed_and_no_other(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with sky(tmp_path_factory.mktemp("sky")) as above:
        for step, day in steps:
            getattr(above, step)(DATES[day])

        problems, exceptions = above.judged()

        assert problems == []
        assert told(exceptions) == above.out_of_order()
