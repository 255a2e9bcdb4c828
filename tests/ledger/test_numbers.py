"""A frame ID is dealt once, stays with its content, and is never forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_ledger import a_night, opened, reread
from vampd.errors import IntegrityError, OperatorError
from vampd.ledger import counter, frame_ids
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_number, frame_id_text
from vampd.ledger.records import Night

FIRST = 425_189


def deal(
    ledger: Ledger, night: Night, contents: list[str], *, first: int = FIRST
) -> dict[str, int]:
    """What the stage does with vampd's own counter."""
    with ledger.transaction():
        wanting = frame_ids.unnumbered(ledger, night, contents)
        counter.reserve_following(ledger, night, len(wanting), first)
        return frame_ids.bind(ledger, night, contents)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


def test_the_first_numbers_begin_where_the_settings_say(ledger: Ledger) -> None:
    night = a_night(ledger)

    bound = deal(ledger, night, ["a", "b", "c"])

    assert bound == {"a": FIRST, "b": FIRST + 1, "c": FIRST + 2}
    assert frame_id_text(bound["a"]) == "VMPA00425189"


def test_numbers_follow_the_highest_ever_dealt_even_if_first_is_lower(ledger: Ledger) -> None:
    deal(ledger, a_night(ledger), ["a", "b"])

    other = deal(ledger, a_night(ledger, "20251107"), ["a"], first=1)

    assert other == {"a": FIRST + 2}


def test_binding_twice_changes_nothing(ledger: Ledger) -> None:
    night = a_night(ledger)
    first = deal(ledger, night, ["a", "b"])
    events = ledger.value("select count(*) from event")

    assert deal(ledger, night, ["a", "b"]) == first
    assert ledger.value("select count(*) from event") == events


def test_a_content_keeps_its_number_when_the_plan_changes_around_it(ledger: Ledger) -> None:
    night = a_night(ledger)
    deal(ledger, night, ["a", "b", "c"])

    again = deal(ledger, night, ["new", "c", "a"])

    assert again == {"a": FIRST, "c": FIRST + 2, "new": FIRST + 3}


def test_a_number_without_content_is_void_with_a_reason_and_is_not_dealt_again(
    ledger: Ledger,
) -> None:
    night = a_night(ledger)
    deal(ledger, night, ["a", "b"])

    deal(ledger, night, ["a"])
    again = deal(ledger, night, ["a", "b"])

    void = ledger.row("select * from frame_id where state = 'void'")
    assert void is not None
    assert (void["number"], void["why"]) == (
        FIRST + 1,
        "its output is no longer part of the night",
    )
    assert again["b"] == FIRST + 2


def test_a_part_of_a_night_voids_no_number_of_the_rest(ledger: Ledger) -> None:
    night = a_night(ledger)
    dealt = deal(ledger, night, ["a", "b"])

    part = frame_ids.bind(ledger, night, ["b"], is_part=True)

    assert part == dealt
    assert frame_ids.bind(ledger, night, ["b"]) == {"b": FIRST + 1}


def test_a_frame_id_cannot_be_deleted(ledger: Ledger) -> None:
    deal(ledger, a_night(ledger), ["a"])

    with pytest.raises(sqlite3.IntegrityError, match="never forgotten"):
        ledger.execute("delete from frame_id")

    assert ledger.value("select count(*) from frame_id") == 1


def test_equal_contents_are_refused_and_cost_no_number(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError, match="2 outputs, 1 frame IDs"):
        deal(ledger, a_night(ledger), ["a", "a"])

    assert ledger.value("select count(*) from frame_id") == 0


def test_numbers_that_run_out_are_refused_whole(ledger: Ledger) -> None:
    with pytest.raises(OperatorError, match="used up"):
        deal(ledger, a_night(ledger), ["a", "b"], first=99_999_999)

    assert ledger.value("select count(*) from frame_id") == 0


def test_no_number_of_nine_digits_is_reserved_whoever_deals_it(ledger: Ledger) -> None:
    with pytest.raises(OperatorError, match="100000000 has more than eight digits"):
        frame_ids.reserve(ledger, a_night(ledger), [99_999_999, 100_000_000], "dealt by others")

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
        nights = {number: a_night(ledger, f"2025110{number}") for number in (1, 2, 3)}
        for number, contents in plans:
            highest = max(dealt, default=FIRST - 1)
            bound = deal(ledger, nights[number], contents)

            assert set(bound) == set(contents)
            for content, frame_id in bound.items():
                assert dealt.setdefault(frame_id, (number, content)) == (number, content)
            new = [bound[content] for content in contents if bound[content] > highest]
            assert new == list(range(highest + 1, highest + 1 + len(new)))


def test_a_number_on_the_disk_is_never_dealt_again(ledger: Ledger) -> None:
    ledger.insert(
        "number_seen",
        folder="/data/20251001",
        stamp="[]",
        highest=FIRST + 50,
        place="/data/20251001/vgen2/VMPA00425239.fits.fz",
        runs=json.dumps([[FIRST + 50, FIRST + 50, "/data/20251001/vgen2/VMPA00425239.fits.fz"]]),
        looked_us=1,
    )

    bound = deal(ledger, a_night(ledger), ["a"])

    assert bound == {"a": FIRST + 51}
    said = ledger.value("select why from event where subject = 'frame_id' and became = 'reserved'")
    assert "VMPA00425239.fits.fz" in said


def test_numbers_that_were_dealt_and_are_not_needed_are_void_with_a_reason(ledger: Ledger) -> None:
    night = a_night(ledger)
    frame_ids.reserve(ledger, night, [FIRST, FIRST + 1, FIRST + 2], "dealt")

    bound = frame_ids.bind(ledger, night, ["b", "a"])

    assert bound == {"b": FIRST, "a": FIRST + 1}
    row = ledger.row("select * from frame_id where number = ?", [FIRST + 2])
    assert row is not None
    assert (row["state"], row["why"]) == ("void", "dealt, but no output needs it any more")


def test_a_number_that_was_dealt_before_cannot_be_reserved(ledger: Ledger) -> None:
    frame_ids.reserve(ledger, a_night(ledger), [FIRST], "dealt")

    with pytest.raises(sqlite3.IntegrityError):
        frame_ids.reserve(ledger, a_night(ledger, "20251107"), [FIRST - 1, FIRST], "dealt")

    assert ledger.value("select count(*) from frame_id") == 1


def test_a_second_batch_has_numbers_of_its_own_and_leaves_the_first_alone(ledger: Ledger) -> None:
    night = a_night(ledger)
    first = deal(ledger, night, ["a", "b"])
    ledger.update("night", night.id, batch=2)

    second = deal(ledger, reread(ledger, night), ["late"])

    assert second == {"late": FIRST + 2}
    assert frame_ids.bound_of(ledger, night) == first


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("VMPA00425189", 425189),
        ("425189", 425189),
        ("00425189", 425189),
        ("VMPA425189", None),
        ("VMPA004251899", None),
        ("VMPE00425189", None),
        ("425189 ", None),
        ("0", None),
        ("", None),
    ],
)
def test_a_frame_id_is_read_to_the_letter(text: str, number: int | None) -> None:
    assert frame_id_number(text) == number
