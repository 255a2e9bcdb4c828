"""What may give its space back, decided from facts alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.background.reclaim.rules import Moment, Retention, SpaceFacts, fit, refusals, why_stale
from vampd.states import Kind, NightStatus, Space
from vampd.time_units import DAY_US

KEEP = Retention(outputs_us=DAY_US, raw_us=30 * DAY_US, trash_us=DAY_US)
NOW = Moment(now_us=1_000 * DAY_US, passed_us=500 * DAY_US)


def ago(days: float) -> Moment:
    time_us = round(days * DAY_US)
    return Moment(now_us=NOW.now_us - time_us, passed_us=NOW.passed_us - time_us)


GOOD = SpaceFacts(
    kind=Kind.ARCHIVE,
    space=Space.RAW,
    final=False,
    status=NightStatus.SAFE,
    hold=None,
    kept=None,
    is_acknowledged=True,
    late=0,
    undecided=0,
    unfinished=0,
    on_their_way=0,
    safe_since=ago(30),
    trashed=None,
    verified=ago(0),
    unverified=0,
    unproved=(),
    files=106,
    size_bytes=10**12,
)


def test_a_night_of_which_all_holds_may_go() -> None:
    assert refusals(GOOD, NOW, KEEP) == ()
    assert why_stale(GOOD, NOW) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": NightStatus.HELD}, "it is held, not safe"),
        ({"status": NightStatus.RUNNING}, "it is running, not safe"),
        ({"status": NightStatus.RECLAIMED}, "it is reclaimed, not safe"),
        ({"hold": "look"}, "it is held: look"),
        ({"kept": "a supernova"}, "it is kept: a supernova"),
        ({"is_acknowledged": False}, "the archive has not acknowledged it"),
        ({"late": 2}, "2 late files are not processed"),
        ({"undecided": 6}, "6 quarantined files are undecided"),
        ({"unfinished": 1}, "1 units of work are not done"),
        ({"on_their_way": 3}, "3 files are on their way into or out of the trash"),
        ({"safe_since": None}, "it was not seen to be safe yet, of 30.0 days"),
        ({"safe_since": ago(29.9)}, "safe for 29.9 of 30.0 days"),
        ({"unproved": ("a cube: 3 frames are nowhere",)}, "a cube: 3 frames are nowhere"),
        ({"files": 0}, "there is nothing to give back"),
    ],
)
def test_each_fact_that_speaks_against_it_is_said(change: dict[str, Any], said: str) -> None:
    assert refusals(replace(GOOD, **change), NOW, KEEP) == (said,)


@pytest.mark.parametrize("final", [False, True])
def test_outputs_stay_until_all_is_proved(*, final: bool) -> None:
    facts = replace(GOOD, space=Space.OUTPUTS, final=final, unproved=("2 are not proved",))

    assert refusals(facts, NOW, KEEP) == ("2 are not proved",)


def test_all_that_speaks_against_it_is_said_at_once() -> None:
    facts = replace(GOOD, hold="look", late=1, undecided=1, is_acknowledged=False)

    assert len(refusals(facts, NOW, KEEP)) == 4


def test_a_date_that_jumps_ahead_makes_nothing_older() -> None:
    jumped = Moment(now_us=NOW.now_us + 400 * DAY_US, passed_us=NOW.passed_us)
    facts = replace(GOOD, safe_since=ago(2))

    assert refusals(facts, jumped, KEEP) == (
        "safe by the host's date, but seen so for 2.0 of 30.0 days",
    )


def test_a_date_that_falls_back_makes_nothing_fresher() -> None:
    back = Moment(now_us=NOW.now_us - 10 * DAY_US, passed_us=NOW.passed_us)

    assert why_stale(GOOD, back) == "its far copies were verified 10.0 days ago"


@pytest.mark.parametrize(
    ("verified", "fresh"), [(ago(0.99), True), (ago(1.01), False), (None, False)]
)
def test_a_verification_counts_for_a_day(verified: Moment | None, fresh: bool) -> None:
    assert (why_stale(replace(GOOD, verified=verified), NOW) is None) == fresh


def test_one_unverified_file_makes_the_verification_void() -> None:
    assert "1 files are not verified" in (why_stale(replace(GOOD, unverified=1), NOW) or "")


def test_engineering_nights_need_no_acknowledgement() -> None:
    facts = replace(GOOD, kind=Kind.ENGINEERING, is_acknowledged=False)

    assert refusals(facts, NOW, KEEP) == ()


def test_outputs_go_after_a_day_whatever_is_quarantined() -> None:
    facts = replace(GOOD, space=Space.OUTPUTS, safe_since=ago(1), undecided=4)

    assert refusals(facts, NOW, KEEP) == ()
    assert refusals(replace(facts, status=NightStatus.RECLAIMED), NOW, KEEP) == ()
    assert refusals(replace(facts, safe_since=ago(0.9)), NOW, KEEP) != ()


def test_the_way_out_of_the_trash_asks_everything_again_and_a_day_more() -> None:
    facts = replace(GOOD, final=True, trashed=ago(1))

    assert refusals(facts, NOW, KEEP) == ()
    assert refusals(replace(facts, trashed=ago(0.9)), NOW, KEEP) == (
        "in the trash for 0.9 of 1.0 days",
    )
    assert refusals(replace(facts, kept="no"), NOW, KEEP) == ("it is kept: no",)


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=100), max_size=12),
    most=st.integers(min_value=1, max_value=150),
    nights=st.integers(min_value=1, max_value=5),
)
def test_a_run_never_takes_more_than_it_may(sizes: list[int], most: int, nights: int) -> None:
    answers = fit(sizes, max_bytes=most, max_nights=nights)

    going = [size for size, answer in zip(sizes, answers, strict=True) if answer is None]
    assert sum(going) <= most
    assert len(going) <= nights
    assert answers[:1] in ([], [None]) or sizes[0] > most


def test_what_does_not_go_in_this_run_says_why() -> None:
    answers = fit([3 * 10**12, 8 * 10**12, 10**12, 10**12], max_bytes=5e12, max_nights=2)

    assert answers == [
        None,
        "8000.0 GB, and a run takes 5000.0 at most",
        None,
        "a run takes 2 nights at most: it goes with a later one",
    ]
