"""Where the counter stands: what others bear moves it within bounds, and is never dealt."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_ledger import a_night, opened
from vampd.errors import OperatorError
from vampd.io.number_runs import MOST_OF_A_NIGHT
from vampd.ledger import counter, frame_ids, legacy
from vampd.ledger.connection import Ledger
from vampd.ledger.counter import A_CROWD, Claim, Known, Seen, crowd, following, judge
from vampd.ledger.frame_ids import LAST, frame_id_text

FIRST = 425_189


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


def claim(first: int, last: int | None = None, source: str = "20251001") -> Claim:
    return Claim(first=first, last=last or first, place=f"/data/{source}/x", source=source)


def seen(
    ledger: Ledger, *runs: tuple[int, int], source: str = "night", folder: str = "/data/20251001"
) -> None:
    """The disk, or a far end, bears these."""
    ledger.insert(
        "number_seen",
        folder=folder,
        stamp="[]",
        highest=max(last for _, last in runs),
        place=f"{folder}/vgen2/x",
        source=source,
        runs=json.dumps([[first, last, f"{folder}/vgen2/x"] for first, last in runs]),
        looked_us=1,
    )


def dealt(ledger: Ledger, count: int, *, first: int | None = FIRST) -> list[int]:
    night = a_night(ledger)
    counter.reserve_following(ledger, night, count, first)
    return frame_ids.reserved_of(ledger, night)


claims = st.lists(
    st.builds(
        lambda first, size, source: claim(first, min(first + size, LAST), source),
        st.one_of(st.integers(1, LAST), st.integers(FIRST - 50, FIRST + 3 * MOST_OF_A_NIGHT)),
        st.integers(0, 300),
        st.sampled_from(["20251001", "20251002", "20251003"]),
    ),
    max_size=12,
)


@given(found=claims)
def test_no_source_moves_the_counter_by_more_than_a_night_has(found: list[Claim]) -> None:
    base = Seen(number=FIRST - 1, place="base")

    top, strange = judge(base, found)

    sources = {each.source for each in found}
    assert base.number <= top.number <= base.number + MOST_OF_A_NIGHT * len(sources)
    assert set(strange) <= {each for each in found if each.last > base.number}


@given(found=claims, order=st.randoms())
def test_the_order_in_which_folders_are_read_decides_nothing(
    found: list[Claim], order: object
) -> None:
    base = Seen(number=FIRST - 1, place="base")
    mixed = list(found)
    order.shuffle(mixed)  # type: ignore[attr-defined]

    assert judge(base, mixed)[0].number == judge(base, found)[0].number


@given(found=claims, count=st.integers(0, 200))
def test_what_is_borne_is_never_dealt_and_nothing_else_is_left_out(
    found: list[Claim], count: int
) -> None:
    top = Seen(number=FIRST - 1, place="base")
    known = Known(top=top, is_own=True, claims=tuple(found), strange=())

    numbers_ = following(known, count)

    borne = {n for each in found for n in range(each.first, each.last + 1)}
    free = (n for n in range(FIRST, LAST * 2) if n not in borne)
    assert numbers_ == [next(free) for _ in range(count)]


@pytest.mark.parametrize("number", [99_999_999, 50_000_000, FIRST + MOST_OF_A_NIGHT + 5])
def test_one_file_does_not_use_the_frame_ids_up(ledger: Ledger, number: int) -> None:
    seen(ledger, (number, number))

    assert dealt(ledger, 2) == [FIRST, FIRST + 1]
    strange = counter.known(ledger.connection, FIRST).strange
    assert [(each.first, each.last) for each in strange] == [(number, number)]
    assert "/data/20251001/vgen2/x" in str(strange[0])


def test_a_number_that_is_borne_far_above_is_left_out_when_its_turn_comes(ledger: Ledger) -> None:
    seen(ledger, (FIRST + 1, FIRST + 1), (FIRST + 3, FIRST + 4))
    counter.say(ledger, "dismissed", FIRST + 1, FIRST + 4, "a test of the cameras")

    assert dealt(ledger, 4) == [FIRST, FIRST + 2, FIRST + 5, FIRST + 6]


def test_an_operator_who_knows_that_it_was_used_moves_the_counter(ledger: Ledger) -> None:
    seen(ledger, (50_000_000, 50_000_000))

    counter.say(ledger, "used", 50_000_000, 50_000_000, "the observatory says so")

    assert dealt(ledger, 1) == [50_000_001]
    assert counter.known(ledger.connection, FIRST).strange == ()


def test_what_an_operator_dismissed_is_not_told_again_and_not_dealt(ledger: Ledger) -> None:
    seen(ledger, (FIRST + 10, FIRST + 10), (50_000_000, 50_000_000))

    counter.say(ledger, "dismissed", FIRST + 10, FIRST + 10, "my own test")
    counter.say(ledger, "dismissed", 50_000_000, 50_000_000, "my own test")

    assert counter.known(ledger.connection, FIRST).strange == ()
    assert dealt(ledger, 12) == [*range(FIRST, FIRST + 10), FIRST + 11, FIRST + 12]


def test_nights_on_the_disk_that_follow_each_other_are_a_floor(ledger: Ledger) -> None:
    seen(ledger, (FIRST, FIRST + 700), folder="/data/20251001")
    seen(ledger, (FIRST + 90_000, FIRST + 90_900), folder="/data/20251002")
    seen(ledger, (FIRST + 180_000, FIRST + 180_500), folder="far:/data/20251003", source="far")

    assert dealt(ledger, 1) == [FIRST + 180_501]


def test_the_mark_of_a_root_is_a_floor_however_high(ledger: Ledger) -> None:
    seen(ledger, (8_000_000, 8_000_000), source="mark", folder="/data/.vampd-frame-ids")

    assert dealt(ledger, 1) == [8_000_001]


def test_numbers_of_the_earlier_pipeline_are_used_and_move_the_counter_as_names_do(
    ledger: Ledger,
) -> None:
    night = a_night(ledger, "20250101")
    named = {FIRST + 5: "vgen2/VMPA00425194.fits.fz", 99_999_999: "vgen2/VMPA99999999.fits.fz"}
    legacy.use_frame_ids(ledger, night.id, named)

    assert dealt(ledger, 2) == [FIRST + 6, FIRST + 7]
    (strange,) = counter.known(ledger.connection, FIRST).strange
    assert strange.first == 99_999_999


def test_settings_that_most_files_contradict_deal_nothing(ledger: Ledger) -> None:
    seen(ledger, (422_000, 422_000 + A_CROWD - 1))

    with pytest.raises(OperatorError, match=r"set frame_ids\.first above VMPA00422099") as raised:
        dealt(ledger, 1, first=1)
    counter.say(ledger, "dismissed", 422_000, 422_099, "copies of a test")
    after = dealt(ledger, 1, first=1)

    assert "vampd archive ids dismiss VMPA00422000..VMPA00422099 --why TEXT" in str(raised.value)
    assert after == [1]


def test_once_numbers_were_dealt_a_crowd_of_strange_ones_is_told_and_stops_nothing(
    ledger: Ledger,
) -> None:
    dealt(ledger, 1)
    seen(ledger, (50_000_000, 50_000_999))

    other = a_night(ledger, "20251107")
    counter.reserve_following(ledger, other, 1, FIRST)

    assert frame_ids.reserved_of(ledger, other) == [FIRST + 1]
    assert len(counter.known(ledger.connection, FIRST).strange) == 1


def test_where_nights_were_delivered_and_no_number_is_seen_nothing_is_dealt(ledger: Ledger) -> None:
    ledger.insert("number_look", place="far:/data/YYYYMMDD", looked_us=1, nights=3)

    with pytest.raises(OperatorError, match="vampd archive ids used NUMBER --why TEXT"):
        dealt(ledger, 1)
    counter.say(ledger, "used", 500_000, 500_000, "the archive's list")

    assert dealt(ledger, 1) == [500_001]


def test_numbers_that_run_out_name_what_used_the_last(ledger: Ledger) -> None:
    counter.say(ledger, "used", 99_999_998, 99_999_998, "so it is")

    with pytest.raises(OperatorError, match="used up: 2 are needed above VMPA99999998"):
        dealt(ledger, 2)
    assert dealt(ledger, 1) == [LAST]


def test_what_was_said_of_numbers_stays_and_is_an_event(ledger: Ledger) -> None:
    ledger.actor = "uid 7"
    counter.say(ledger, "used", FIRST, FIRST + 3, "so it is")

    event = ledger.row("select * from event order by id desc")
    assert event is not None
    assert (event["subject"], event["became"], event["actor"]) == ("number_word", "used", "uid 7")
    assert event["about"] == f"{frame_id_text(FIRST)}..{frame_id_text(FIRST + 3)}"
    with pytest.raises(Exception, match="never forgotten"):
        ledger.execute("delete from number_word")


sizes = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 60)), min_size=1, max_size=6)


@settings(deadline=None)
@given(groups=sizes)
def test_a_crowd_is_the_largest_group_that_stands_together(groups: list[tuple[int, int]]) -> None:
    found: dict[int, list[Claim]] = defaultdict(list)
    for place, (runs, length) in enumerate(groups):
        for run in range(runs):
            first = 1 + place * 3 * MOST_OF_A_NIGHT + run * 100
            found[place].append(claim(first, first + length - 1, f"2025{place}{run}"))

    together = crowd([each for group in found.values() for each in group])

    largest = max(runs * length for runs, length in groups)
    assert sum(each.count for each in together) == (largest if largest >= A_CROWD else 0)
