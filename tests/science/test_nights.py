"""Whole random nights against their truth; `python -m tests.campaigns.science` runs more."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.campaigns.science import planned, random_scenes
from tests.support.logger_night import judged
from tests.support.made_night import fates, judge, make_night, planned_pairs
from vampd.science.cubes import CubeLimits, plan_night
from vampd.states import FlcState

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
LIMITS = CubeLimits()


@PROPERTY
@given(st.integers(0, 10**6).filter(lambda seed: seed % 3 != 2))
def test_no_pair_is_wrong_none_is_missed_and_no_label_is_wrong(seed: int) -> None:
    _, _, verdict = planned(seed)

    assert (verdict.wrong_pairs, verdict.missed_pairs, verdict.wrong_labels) == (0, 0, 0)


@PROPERTY
@given(st.integers(0, 10**6).map(lambda seed: seed * 3 + 2))
def test_single_times_that_are_off_make_nothing_wrong(seed: int) -> None:
    _, _, verdict = planned(seed)

    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)


@settings(PROPERTY, max_examples=12)
@given(st.integers(0, 10**6))
def test_a_failing_logger_makes_no_time_pair_or_label_wrong_and_loses_no_frame(seed: int) -> None:
    _, outcome, _, _ = judged(seed, count=3, most_triggers=120)

    assert outcome.wrong() == {}


def test_short_cubes_that_a_clock_set_back_put_out_of_turn_get_no_wrong_label() -> None:
    _, outcome, _, _ = judged(30_183)

    assert outcome.wrong() == {}


def test_a_short_run_just_beside_one_of_another_mode_is_paired_by_its_own_offset() -> None:
    scenes, _, verdict = planned(5_939)

    assert len({scene.slow for scene in scenes}) == 2
    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)


@settings(PROPERTY, max_examples=20)
@example(105, 0.1)
@example(229, 0.5)
@example(249, 2.0)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 2.0]))
def test_runs_of_two_modes_that_follow_each_other_at_once_are_paired_apart(
    seed: int, pause_s: float
) -> None:
    random = np.random.default_rng(seed)
    scenes = [replace(scene, pause_s=pause_s) for scene in random_scenes(random)]
    night = make_night(scenes, seed)

    verdict = judge(night, plan_night(night.cubes, LIMITS))

    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)


@PROPERTY
@given(st.integers(0, 10**6))
def test_every_frame_is_in_exactly_one_place(seed: int) -> None:
    random = np.random.default_rng(seed)
    night = make_night(random_scenes(random), seed)

    counted = fates(plan_night(night.cubes, LIMITS))

    assert set(counted.values()) <= {1}
    assert len(counted) == sum(len(cube.acquired_us) for cube in night.cubes)


@PROPERTY
@given(st.integers(0, 10**6))
def test_swapping_the_cameras_swaps_the_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    night = make_night(random_scenes(random), seed)
    swapped = [replace(cube, camera=3 - cube.camera) for cube in night.cubes]

    straight = planned_pairs(plan_night(night.cubes, LIMITS))
    crossed = planned_pairs(plan_night(swapped, LIMITS))

    assert straight == {(one, two) for two, one in crossed}


@PROPERTY
@given(st.integers(0, 10**6))
def test_states_come_in_pairs_and_the_cameras_agree(seed: int) -> None:
    random = np.random.default_rng(seed)
    night = make_night(random_scenes(random), seed)

    plan = plan_night(night.cubes, LIMITS)

    frames = {(o.cube, o.camera, o.flc_state): o.frames for o in plan.outputs}
    for (cube, camera, state), count in frames.items():
        if state is FlcState.A:
            assert frames[cube, camera, FlcState.B] == count
    for output in plan.outputs:
        if output.synchronised:
            assert frames[output.cube, 3 - output.camera, output.flc_state] == output.frames
