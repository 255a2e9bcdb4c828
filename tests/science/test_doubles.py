"""Cubes that are there twice, and cubes of one camera whose times overlap, against the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.campaigns.science import random_scenes
from tests.science.test_overlaps import run_of_the_crystal, set_back
from tests.support.made_night import (
    START_US,
    MadeNight,
    Scene,
    fates,
    frames_of,
    judge,
    make_night,
    planned_pairs,
)
from vampd.records import Plan, RawCube
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.doubles import Candidate, Doubles, find_doubles, to_be_compared
from vampd.science.times import name_time
from vampd.states import FlcState

PROPERTY = settings(derandomize=True, deadline=None, max_examples=15)
LIMITS = CubeLimits()
FLC: dict[str, Any] = {"jitter_us": 300.0, "header_jitter_us": 300}


def named(cube: RawCube, late_us: int = 100) -> RawCube:
    """*cube* under a name that is *late_us* after its first frame."""
    time = name_time(int(cube.acquired_us[0]) + late_us)
    return replace(cube, path=f"vcam{cube.camera}/vcam{cube.camera}_{time}000.fits")


def candidate(cube: RawCube, **more: Any) -> Candidate:
    return Candidate(**{"cube": cube, "sha256": f"file {cube.raw_file}", "modified_ns": 5, **more})


def copied(one: Candidate, raw_file: int, late_us: int = 36_000_000_000, **more: Any) -> Candidate:
    """The same file under another name."""
    return replace(one, cube=replace(named(one.cube, late_us), raw_file=raw_file, **more))


def candidates_of(night: MadeNight) -> list[Candidate]:
    return [candidate(named(cube)) for cube in night.cubes]


def planned(found: Doubles) -> Plan:
    return plan_night(found.cubes, LIMITS)


def numbers(found: Sequence[Any]) -> list[int]:
    return sorted(one.raw_file for one in found)


def times(first_us: int, frames: int, period_us: int = 5000) -> NDArray[np.int64]:
    return START_US + first_us + period_us * np.arange(frames, dtype=np.int64)


def lone(raw_file: int, first_us: int, frames: int, **more: Any) -> Candidate:
    """A cube of camera 1 from *first_us* on, a frame every 5 ms."""
    [made] = make_night([Scene(triggers=3, lost2=frozenset({0, 1, 2}))]).cubes
    cube = replace(made, raw_file=raw_file, acquired_us=times(first_us, frames), **more)
    return candidate(replace(named(cube), path=f"{named(cube).path}.{raw_file}"))


@PROPERTY
@given(st.integers(0, 10**6), st.data())
def test_copies_change_nothing_but_are_told(seed: int, data: st.DataObject) -> None:
    night = make_night(random_scenes(np.random.default_rng(seed)), seed)
    originals = candidates_of(night)
    drawn = data.draw(st.lists(st.sampled_from(originals), min_size=1, max_size=5))
    copies = [copied(one, 1000 + place) for place, one in enumerate(drawn)]
    mixed = data.draw(st.permutations([*originals, *copies]))

    found = find_doubles(mixed, {})
    plain = plan_night([one.cube for one in originals], LIMITS)

    assert planned(found).outputs == plain.outputs
    assert numbers(found.duplicates) == numbers([one.cube for one in copies])
    assert {one.used for one in found.duplicates} == {one.cube.path for one in drawn}
    assert (found.contradictions, found.overlaps) == ((), ())
    for one in found.duplicates:
        assert one.rejected.count == one.frames == len(night.trigger_of[_same(one.used, night)])
        assert one.rejected.reason == f"duplicate of {one.used}"


def _same(path: str, night: MadeNight) -> int:
    return next(cube.raw_file for cube in night.cubes if named(cube).path == path)


@PROPERTY
@given(st.integers(0, 10**6), st.booleans(), st.data())
def test_of_cubes_of_the_same_times_the_pixels_decide(
    seed: int, is_same: bool, data: st.DataObject
) -> None:
    night = make_night(random_scenes(np.random.default_rng(seed)), seed)
    originals = candidates_of(night)
    drawn = data.draw(st.sampled_from(originals))
    other = replace(copied(drawn, 1000), sha256="another file")
    mixed = data.draw(st.permutations([*originals, other]))
    pair = {drawn.cube.raw_file, 1000}

    assert {frozenset(each) for each in to_be_compared(mixed)} == {frozenset(pair)}
    pixels = {drawn.cube.raw_file: "a", 1000: "a" if is_same else "b"}
    found = find_doubles(mixed, pixels)

    if is_same:
        assert numbers(found.duplicates) == [1000]
        assert found.contradictions == ()
        return
    assert set(numbers(found.contradictions)) == pair
    left = [one.cube for one in originals if one is not drawn]
    assert planned(found).outputs == plan_night(left, LIMITS).outputs
    for one in found.contradictions:
        assert drawn.cube.path in one.reason
        assert other.cube.path in one.reason
        assert "other pixels" in one.reason


@PROPERTY
@given(st.integers(0, 10**6))
def test_cubes_that_follow_each_other_are_left_as_they_are(seed: int) -> None:
    night = make_night(random_scenes(np.random.default_rng(seed)), seed)

    found = find_doubles(candidates_of(night), {})

    assert (found.duplicates, found.contradictions, found.overlaps) == ((), (), ())
    assert all(cube.disputed is None and cube.stretch == 0 for cube in found.cubes)


@PROPERTY
@given(
    first=st.integers(0, 140),
    last=st.integers(20, 199),
    flc=st.booleans(),
    alone=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_only_what_lies_in_a_partial_overlap_is_neither_paired_nor_labelled(
    first: int, last: int, flc: bool, alone: bool, seed: int
) -> None:
    """Frames *first* to *last* of a run stand in two cubes, with other pixels."""
    first, last = min(first, last), max(first, last)
    lost2 = frozenset(range(200)) if alone else frozenset()
    scene = Scene(triggers=200, lost2=lost2, noise_us=5.0, **(FLC if flc else {}))
    night = make_night([scene], seed)
    whole = night.cubes[0]
    early = replace(whole, acquired_us=whole.acquired_us[: last + 1])
    late = replace(whole, raw_file=1000, acquired_us=whole.acquired_us[first:])
    is_inside = first == 0 or last == 199
    candidates = [candidate(named(cube)) for cube in (early, late, *night.cubes[1:])]

    found = find_doubles(candidates, {})
    plan = planned(found)

    if is_inside:
        assert numbers(found.contradictions) == [1, 1000]
        return
    overlapping = {(1, frame) for frame in range(first, last + 1)}
    overlapping |= {(1000, frame) for frame in range(last - first + 1)}
    [overlap] = found.overlaps
    assert overlap.frames == len(overlapping)
    assert set(fates(plan).values()) == {1}
    fate = {frame: output for output in plan.outputs for frame in frames_of(output)}
    assert all(not fate[frame].synchronised for frame in overlapping)
    assert all(fate[frame].flc_state in {"", "D"} for frame in overlapping)
    truth = replace(
        night,
        cubes=(early, late, *night.cubes[1:]),
        trigger_of={**night.trigger_of, **_parted(night.trigger_of[1], first, last)},
        state_of={**night.state_of, **_parted(night.state_of[1], first, last)},
    )
    verdict = judge(truth, plan)
    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)
    if not alone:
        assert len(planned_pairs(plan)) == 200 - (last - first + 1)
    if flc:
        # A frame may be left over at each end of a stretch, and its partner camera's beside it.
        dubious = sum(
            output.frames
            for output in plan.outputs
            if output.flc_state is FlcState.DUBIOUS and output.camera == 1
        )
        assert dubious <= len(overlapping) + 4 or min(first, 199 - last) < 6


def _parted(values: NDArray[np.int64], first: int, last: int) -> dict[int, NDArray[np.int64]]:
    return {1: values[: last + 1], 1000: values[first:]}


def test_with_the_crystal_an_overlap_of_50_ms_costs_only_the_frames_in_it() -> None:
    """The later cube's clock is wrong; the states of either can be told all the same."""
    night = make_night([Scene(triggers=800, lost2=frozenset(range(800)), lengths1=(400,), **FLC)])
    one, two = night.cubes
    shifted = replace(two, acquired_us=two.acquired_us - 50_000)

    found = find_doubles([candidate(named(one)), candidate(named(shifted))], {})
    plan = planned(found)

    frames = dict.fromkeys(FlcState, 0)
    for output in plan.outputs:
        frames[output.flc_state] += output.frames
    assert judge(replace(night, cubes=(one, shifted)), plan).wrong_labels == 0
    assert frames[FlcState.DUBIOUS] <= 2 * 26 + 4
    assert frames[FlcState.A] == frames[FlcState.B] > 370
    assert "48 frames" in found.overlaps[0].text or "50 frames" in found.overlaps[0].text


@pytest.mark.parametrize(
    "better",
    [
        pytest.param(lambda one: copied(one, 2, late_us=500), id="named after its first frame"),
        pytest.param(lambda one: copied(one, 2, late_us=-37_000_000), id="by a clock in TAI"),
    ],
)
def test_the_cube_whose_name_agrees_best_with_its_times_is_used(
    better: Callable[[Candidate], Candidate],
) -> None:
    glitched = copied(lone(1, 0, 20), 1, late_us=-18_000_000_000)  # the first by name
    right = better(glitched)

    found = find_doubles([glitched, right], {})

    assert [cube.raw_file for cube in found.cubes] == [2]
    assert numbers(found.duplicates) == [1]


def test_of_equal_names_the_older_file_is_used_and_then_the_first_by_name() -> None:
    one = copied(lone(1, 0, 20), 1, late_us=3_000_000)
    older = replace(copied(one, 2, late_us=-3_000_000), modified_ns=4)
    as_old = replace(older, modified_ns=5)

    assert [cube.raw_file for cube in find_doubles([one, older], {}).cubes] == [2]
    assert [cube.raw_file for cube in find_doubles([one, as_old], {}).cubes] == [2]


def test_the_copy_with_most_times_is_used_for_a_torn_timing_file_costs_a_frame() -> None:
    whole = copied(lone(1, 0, 20), 1)
    torn_us = whole.cube.acquired_us.copy()
    torn_us[-1] = 0
    torn = copied(whole, 2, late_us=0, acquired_us=torn_us, rejected={19: "torn last line"})

    found = find_doubles([torn, whole], {})

    assert [cube.raw_file for cube in found.cubes] == [1]
    assert numbers(found.duplicates) == [2]


def test_a_copy_timed_by_the_logger_gives_way_to_the_one_timed_by_the_camera() -> None:
    one = lone(1, 0, 20)
    logged = copied(one, 2, late_us=0, acquired_us=one.cube.acquired_us + 61, has_acquisition=False)

    found = find_doubles([logged, one], {})

    assert [cube.raw_file for cube in found.cubes] == [1]
    assert numbers(found.duplicates) == [2]


def test_the_same_file_beside_other_times_is_not_used_at_all() -> None:
    one = lone(1, 0, 20)
    elsewhere = copied(one, 2, acquired_us=one.cube.acquired_us + 7_000_000)

    found = find_doubles([one, elsewhere], {})

    assert numbers(found.contradictions) == [1, 2]
    assert found.cubes == ()
    for text in (one.cube.path, elsewhere.cube.path, "05:10:00.000000", "05:10:07.000000"):
        assert text in found.contradictions[0].reason


def test_the_same_file_in_the_other_camera_is_no_copy_of_it() -> None:
    one = lone(1, 0, 20)
    other = replace(copied(one, 2), cube=replace(one.cube, raw_file=2, camera=2))

    found = find_doubles([one, other], {})

    assert [cube.raw_file for cube in found.cubes] == [1, 2]


def test_a_late_copy_of_what_was_delivered_makes_no_output_whatever_its_name() -> None:
    delivered = replace(copied(lone(1, 0, 20), 1), is_earlier=True)
    late = copied(delivered, 2, late_us=0)

    found = find_doubles([replace(late, is_earlier=False), delivered], {})

    assert found.cubes == ()
    assert numbers(found.duplicates) == [2]


def test_a_late_cube_that_contradicts_what_was_delivered_is_the_one_that_goes() -> None:
    delivered = replace(lone(1, 0, 20), is_earlier=True)
    late = lone(2, 25_000, 5)

    found = find_doubles([delivered, late], {})

    assert numbers(found.contradictions) == [2]


def test_a_late_cube_that_overlaps_what_was_delivered_has_frames_that_are_not_told() -> None:
    delivered = replace(lone(1, 0, 20), is_earlier=True)
    late = lone(2, 90_000, 20)

    found = find_doubles([delivered, late], {})

    [cube] = found.cubes
    assert cube.disputed is not None
    assert np.flatnonzero(cube.disputed).tolist() == [0, 1]
    assert found.overlaps[0].raw_file == 2


def test_what_was_delivered_is_not_judged_again() -> None:
    delivered = [replace(lone(number, 50_000 * number, 20), is_earlier=True) for number in (1, 2)]

    found = find_doubles([*delivered, lone(3, 900_000, 20)], {})

    assert (found.contradictions, found.overlaps) == ((), ())
    assert [cube.raw_file for cube in found.cubes] == [3]


def test_pixels_that_cannot_be_compared_count_as_others() -> None:
    delivered = replace(lone(1, 0, 20), is_earlier=True)
    late = replace(copied(delivered, 2), is_earlier=False, sha256="another header")

    found = find_doubles([delivered, late], {2: "a"})

    assert numbers(found.contradictions) == [2]
    assert "cannot be compared" in found.contradictions[0].reason


def test_a_cube_within_another_leaves_neither_to_be_believed() -> None:
    one, inside, after = lone(1, 0, 100), lone(2, 102_000, 10), lone(3, 500_000, 10)

    found = find_doubles([one, inside, after], {})

    assert [cube.raw_file for cube in found.cubes] == [3]
    assert numbers(found.contradictions) == [1, 2]


def test_what_lies_among_frames_of_a_cube_within_another_is_doubtful_in_either_camera() -> None:
    """A clock was set back within the third one; the first two are gone, and it is among them."""
    outer, inner = lone(1, 0, 50), lone(2, 101_000, 10)
    begun_again = lone(3, 202_000, 60)
    partner = lone(4, 150_000, 60)
    partner = replace(partner, cube=replace(partner.cube, camera=2))

    found = find_doubles([outer, inner, begun_again, partner], {})

    assert numbers(found.contradictions) == [1, 2]
    assert numbers(found.cubes) == [3, 4]
    for cube in found.cubes:
        since_us, until_us = begun_again.cube.acquired_us[0], outer.cube.acquired_us[-1]
        among = (cube.acquired_us >= since_us) & (cube.acquired_us <= until_us)
        assert among.any()
        assert cube.disputed is not None
        assert np.all(cube.disputed[among])


def test_one_odd_time_far_from_all_others_condemns_no_cube() -> None:
    one, two = lone(1, 0, 50), lone(2, 1_000_000, 50)
    odd_us = one.cube.acquired_us.copy()
    odd_us[-1] += 2_000_000
    far = replace(one, cube=replace(one.cube, acquired_us=odd_us))
    single = lone(3, 1_012_000, 1)

    found = find_doubles([far, two, single], {})

    assert found.contradictions == ()
    marked = {
        cube.raw_file: np.flatnonzero(cube.disputed).tolist()
        for cube in found.cubes
        if cube.disputed is not None
    }
    assert marked == {2: [], 3: [0]}


def test_overlaps_of_three_cubes_are_all_told_and_lose_no_frame() -> None:
    cubes = [lone(1, 0, 50), lone(2, 200_000, 40), lone(3, 350_000, 50)]

    found = find_doubles(cubes, {})

    assert len(found.overlaps) == 2
    assert [cube.stretch for cube in found.cubes] == [0, 1, 2]
    assert len(fates(planned(found))) == 140


def test_times_of_the_logger_may_overlap_for_nothing_is_made_of_them() -> None:
    one = lone(1, 0, 50, has_acquisition=False)

    found = find_doubles([one, lone(2, 200_000, 50)], {})

    assert (found.contradictions, found.overlaps) == ((), ())
    assert len(found.cubes) == 2


def test_copies_none_of_whose_frames_has_a_time_are_one_cube() -> None:
    rejected = dict.fromkeys(range(5), "not a number")
    one = lone(1, 0, 5)
    blind = replace(
        one, cube=replace(one.cube, acquired_us=np.zeros(5, dtype=np.int64), rejected=rejected)
    )
    copy = replace(blind, cube=replace(blind.cube, raw_file=2, path=f"{blind.cube.path}.2"))

    found = find_doubles([blind, copy], {})

    assert [cube.raw_file for cube in found.cubes] == [1]
    assert numbers(found.duplicates) == [2]


@PROPERTY
@given(
    back_us=st.integers(1, 350_000),
    cameras=st.sampled_from([(1,), (2,), (1, 2)]),
    seed=st.integers(0, 10**6),
)
def test_a_clock_that_was_set_back_makes_no_wrong_label(
    back_us: int, cameras: tuple[int, ...], seed: int
) -> None:
    night = set_back(
        make_night([run_of_the_crystal()], seed), back_us, from_cube=1, cameras=cameras
    )

    found = find_doubles(candidates_of(night), {})

    assert judge(replace(night, cubes=found.cubes), planned(found)).wrong_labels == 0
