"""A frame ID is dealt once, stays with its content, and is never forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule.made import a_night, opened
from vampd.errors import IntegrityError, OperatorError
from vampd.ledger.connection import Ledger
from vampd.ledger.numbers import bind, frame_id_text

FIRST = 425_189


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


def test_the_first_numbers_begin_where_the_settings_say(ledger: Ledger) -> None:
    night = a_night(ledger)["id"]

    bound = bind(ledger, night, ["a", "b", "c"], first=FIRST)

    assert bound == {"a": FIRST, "b": FIRST + 1, "c": FIRST + 2}
    assert frame_id_text(bound["a"]) == "VMPA00425189"


def test_numbers_follow_the_highest_ever_dealt_even_if_first_is_lower(ledger: Ledger) -> None:
    bind(ledger, a_night(ledger)["id"], ["a", "b"], first=FIRST)

    other = bind(ledger, a_night(ledger, "20251107")["id"], ["a"], first=1)

    assert other == {"a": FIRST + 2}


def test_binding_twice_changes_nothing(ledger: Ledger) -> None:
    night = a_night(ledger)["id"]
    first = bind(ledger, night, ["a", "b"], first=FIRST)
    events = ledger.value("select count(*) from event")

    assert bind(ledger, night, ["a", "b"], first=FIRST) == first
    assert ledger.value("select count(*) from event") == events


def test_a_content_keeps_its_number_when_the_plan_changes_around_it(ledger: Ledger) -> None:
    night = a_night(ledger)["id"]
    bind(ledger, night, ["a", "b", "c"], first=FIRST)

    again = bind(ledger, night, ["new", "c", "a"], first=FIRST)

    assert again == {"a": FIRST, "c": FIRST + 2, "new": FIRST + 3}


def test_a_number_without_content_is_void_with_a_reason_and_is_not_dealt_again(
    ledger: Ledger,
) -> None:
    night = a_night(ledger)["id"]
    bind(ledger, night, ["a", "b"], first=FIRST)

    bind(ledger, night, ["a"], first=FIRST)
    again = bind(ledger, night, ["a", "b"], first=FIRST)

    void = ledger.row("select * from frame_id where state = 'void'")
    assert void is not None
    assert (void["number"], void["why"]) == (
        FIRST + 1,
        "its output is no longer part of the night",
    )
    assert again["b"] == FIRST + 2


def test_a_frame_id_cannot_be_deleted(ledger: Ledger) -> None:
    bind(ledger, a_night(ledger)["id"], ["a"], first=FIRST)

    with pytest.raises(sqlite3.IntegrityError, match="never forgotten"):
        ledger.execute("delete from frame_id")

    assert ledger.value("select count(*) from frame_id") == 1


def test_equal_contents_are_refused_and_cost_no_number(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError, match="2 outputs, 1 frame IDs"):
        bind(ledger, a_night(ledger)["id"], ["a", "a"], first=FIRST)

    assert ledger.value("select count(*) from frame_id") == 0


def test_numbers_that_run_out_are_refused_whole(ledger: Ledger) -> None:
    with pytest.raises(OperatorError, match="used up"):
        bind(ledger, a_night(ledger)["id"], ["a", "b"], first=99_999_999)

    assert ledger.value("select count(*) from frame_id") == 0


plans = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.sampled_from("abcdef"), unique=True)), max_size=8
)


@settings(max_examples=30, deadline=None)
@given(plans=plans)
def test_whatever_is_planned_no_number_is_ever_two_contents(
    plans: list[tuple[int, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    dealt: dict[int, tuple[int, str]] = {}
    with closing(opened(tmp_path_factory.mktemp("ledger"))) as ledger:
        ledger.execute("pragma synchronous = off")
        nights = {number: a_night(ledger, f"2025110{number}")["id"] for number in (1, 2, 3)}
        for number, contents in plans:
            highest = max(dealt, default=FIRST - 1)
            bound = bind(ledger, nights[number], contents, first=FIRST)

            assert set(bound) == set(contents)
            for content, frame_id in bound.items():
                assert dealt.setdefault(frame_id, (number, content)) == (number, content)
            new = [bound[content] for content in contents if bound[content] > highest]
            assert new == list(range(highest + 1, highest + 1 + len(new)))
