"""What one piece of work meets is its own trouble; only a broken ledger is everybody's."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, a_night, opened, reread
from vampd.causes import Cause
from vampd.errors import IntegrityError
from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger, Row, is_broken
from vampd.ledger.nights import hold, hold_for_trouble
from vampd.ledger.records import Night
from vampd.states import ErrorClass, HoldCode


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    with closing(opened(tmp_path, clock)) as ledger:
        yield ledger


@pytest.fixture
def barrier(ledger: Ledger) -> Barrier:
    return Barrier(ledger)


def troubles(ledger: Ledger) -> list[Row]:
    return ledger.rows("select * from trouble order by work")


def blunder() -> None:
    [].pop()


def fill(ledger: Ledger) -> None:
    for number in range(10_000):
        ledger.insert("trouble", work=f"{number} {'x' * 500}", words="", since_us=0, last_us=0)


def store_too_much(ledger: Ledger) -> None:
    ledger.insert("trouble", work="x", words="y", since_us=1 << 63, last_us=0)


def test_what_went_wrong_is_undone_and_named(ledger: Ledger, barrier: Barrier) -> None:
    night = a_night(ledger)

    def half_done() -> None:
        with ledger.transaction():
            hold(ledger, night.id, Cause(HoldCode.RESTORED))
            store_too_much(ledger)

    trouble = barrier.attempt("a half", half_done)

    assert trouble is not None
    assert trouble.error_class is ErrorClass.DETERMINISTIC
    assert trouble.words.startswith("OverflowError: trouble.since_us = 9223372036854775808: more")
    assert reread(ledger, night).hold is None


def test_a_part_of_a_transaction_is_undone_alone(ledger: Ledger, barrier: Barrier) -> None:
    night, other = a_night(ledger), a_night(ledger, "20251107")

    def change(row: Night, then: Callable[[], object]) -> None:
        hold(ledger, row.id, Cause(HoldCode.ORDER, {"why": "changed"}))
        then()

    with ledger.transaction():
        barrier.attempt("good", lambda: change(night, lambda: None))
        barrier.attempt("bad", lambda: change(other, blunder))

    assert reread(ledger, night).hold == "changed"
    assert reread(ledger, other).hold is None


@pytest.mark.parametrize(
    "sql",
    [
        "insert into night (kind) values ('lunar')",
        "select sum(a) from (select 9223372036854775807 as a union select 1)",
        "select json_extract('{', '$.a')",
        "select cast(x'ff41' as text)",
        "insert into trouble values (1, 2, 'three', 4)",
    ],
)
def test_a_value_that_the_ledger_cannot_take_does_not_pass(
    ledger: Ledger, barrier: Barrier, sql: str
) -> None:
    assert barrier.attempt("it", lambda: ledger.rows(sql)) is not None


def test_a_ledger_that_is_full_passes_and_nothing_is_left_open(
    ledger: Ledger, barrier: Barrier
) -> None:
    ledger.execute(f"pragma max_page_count = {ledger.value('pragma page_count')}")

    def fill_whole() -> None:
        with ledger.transaction():
            fill(ledger)

    with pytest.raises(sqlite3.OperationalError, match="full"):
        barrier.attempt("filling", fill_whole)

    assert not ledger.connection.in_transaction
    assert troubles(ledger) == []


def test_a_ledger_that_is_full_passes_out_of_a_part_too(ledger: Ledger, barrier: Barrier) -> None:
    ledger.execute(f"pragma max_page_count = {ledger.value('pragma page_count')}")

    with pytest.raises(sqlite3.OperationalError, match="full"), ledger.transaction():
        barrier.attempt("filling", lambda: fill(ledger))

    assert not ledger.connection.in_transaction


def test_a_damaged_ledger_passes(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)

    with (
        closing(sqlite3.connect(tmp_path / "damaged")) as damaged,
        pytest.raises(sqlite3.DatabaseError) as told,
    ):
        damaged.execute("select * from sqlite_schema")

    assert is_broken(told.value)


def test_a_wish_to_end_passes(barrier: Barrier) -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        barrier.attempt("it", leave)


def test_the_traceback_is_logged_once_and_the_words_each_time(
    barrier: Barrier, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        barrier.attempt("the work", blunder)

    told = [record for record in caplog.records if "the work: IndexError" in record.getMessage()]
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]
    assert len(told) == 1
    assert caplog.records[1].levelno == logging.WARNING


def test_what_goes_wrong_again_and_again_rests_ever_longer_and_is_done_once_it_can_be(
    ledger: Ledger, barrier: Barrier, clock: FakeClock
) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(clock.now_us())
        if len(tries) < 4:
            blunder()

    for _second in range(60):
        barrier.regularly("the work", work)
        if len(tries) == 3:
            assert troubles(ledger)[0]["words"].startswith("IndexError: pop from")
        clock.pass_seconds(1)

    waits = [(after - before) // 1_000_000 for before, after in pairwise(tries)]
    assert waits[:3] == [5, 10, 20]
    assert set(waits[3:]) == {1}
    assert troubles(ledger) == []
    assert not barrier.resting


def test_a_night_is_held_for_what_goes_wrong_twice_and_it_is_told_in_one_place(
    ledger: Ledger, barrier: Barrier, clock: FakeClock
) -> None:
    night = a_night(ledger)

    def give_up(words: str) -> bool:
        return hold_for_trouble(ledger, night.id, words)

    barrier.regularly("its work", blunder, give_up)
    first = reread(ledger, night).hold, len(troubles(ledger))
    clock.pass_seconds(6)
    barrier.regularly("its work", blunder, give_up)

    assert first == (None, 1)
    assert str(reread(ledger, night).hold).startswith(
        "vampd cannot go on with it: IndexError: pop from empty list"
    )
    assert troubles(ledger) == []


def test_a_disk_that_stumbles_holds_no_night(
    ledger: Ledger, barrier: Barrier, clock: FakeClock
) -> None:
    night = a_night(ledger)

    def stumble() -> None:
        msg = "Input/output error"
        raise OSError(5, msg)

    for _ in range(5):
        barrier.regularly("its work", stumble, lambda words: hold_for_trouble(ledger, 1, words))
        clock.pass_seconds(600)

    assert reread(ledger, night).hold is None
    assert len(troubles(ledger)) == 1


def test_a_night_at_rest_is_not_held_and_its_trouble_stands_for_itself(
    ledger: Ledger, barrier: Barrier, clock: FakeClock
) -> None:
    night = a_night(ledger)
    ledger.update("night", night.id, status="safe")

    for _ in range(3):
        barrier.regularly("its work", blunder, lambda words: hold_for_trouble(ledger, 1, words))
        clock.pass_seconds(600)

    assert reread(ledger, night).hold is None
    assert [row["work"] for row in troubles(ledger)] == ["its work"]


def test_an_error_with_a_name_keeps_its_class_and_its_words(barrier: Barrier) -> None:
    def refuse() -> None:
        msg = "3 frames in two places"
        raise IntegrityError(msg)

    trouble = barrier.attempt("it", refuse)

    assert trouble is not None
    assert (trouble.words, trouble.error_class) == ("3 frames in two places", ErrorClass.INTEGRITY)
