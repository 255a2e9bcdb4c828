"""A night planned as it comes in is planned as a whole night is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.campaigns.science import random_scenes
from tests.support.live_plan import LATER_US, LIMITS, played, same
from tests.support.made_night import Scene, make_night
from vampd.science.cubes import plan_night
from vampd.science.live import advance, first_to_know, place_of, span_of
from vampd.science.rules import exposure_us

PROPERTY = settings(derandomize=True, deadline=None, max_examples=20)


def _uneven_scenes(seed: int) -> list[Scene]:
    """Runs, most of them short, whose noise differs, so that each is judged with that of others."""
    random = np.random.default_rng(seed)
    scenes = [Scene(triggers=20, period_us=9_000.0)]  # tells the offset
    for number in range(int(random.integers(4, 9))):
        triggers = int(random.choice([1, 3, 4, 5, 6, 8, 12, 20, 60]))
        jitter_us = float(random.choice([20.0, 30.0, 100.0, 300.0]))
        lost = [
            frozenset(np.flatnonzero(random.random(triggers) < share).tolist())
            for share in random.choice([0.0, 0.0, 0.1], size=2)
        ]
        alone = int(random.choice([0, 0, 0, 1, 2]))  # the only camera that ran; 0: both did
        scenes.append(
            Scene(
                triggers=triggers,
                period_us=float(random.choice([1_000.0, 2_500.0, 9_000.0, 300_000.0])),
                jitter_us=jitter_us,
                header_jitter_us=int(jitter_us) if random.random() < 0.8 else None,
                noise_us=float(random.choice([1.0, 4.0, 12.0, 25.0, 50.0])),
                lost1=frozenset(range(triggers)) if alone == 2 else lost[0],
                lost2=frozenset(range(triggers)) if alone == 1 else lost[1],
                lengths1=(int(random.choice([1, 8, 30]) if triggers < 10 else 30),),
                lengths2=(int(random.choice([1, 8, 30]) if triggers < 10 else 20),),
                pause_s=float(random.choice([0.1, 2.0, 3.5, 12.0, 40.0])),
                cards={"RET-ANG1": float(random.choice([0, number]))},
            )
        )
    return scenes


def _long_scenes(seed: int) -> list[Scene]:
    """Runs of minutes in which the cameras hardly pause: what is decided is decided within one."""
    random = np.random.default_rng(seed)
    scenes = []
    for number in range(3):
        triggers = int(random.integers(1_000, 5_000))
        lost = [
            frozenset(np.flatnonzero(random.random(triggers) < share).tolist())
            for share in random.choice([0.0, 0.01, 0.05], size=2)
        ]
        scenes.append(
            Scene(
                triggers=triggers,
                period_us=float(random.choice([2_000.0, 9_000.0])),
                jitter_us=float(random.choice([0.0, 300.0])),
                header_jitter_us=300,
                lost1=lost[0],
                lost2=lost[1],
                lengths1=(int(random.integers(50, 900)),),
                lengths2=(int(random.integers(50, 900)),),
                pause_s=float(random.choice([0.0, 2.0, 4.0, 30.0])),
                cards={"RET-ANG1": float(number)},
            )
        )
    return scenes


@PROPERTY
@given(st.integers(0, 10**6))
def test_a_night_planned_stretch_by_stretch_has_the_outputs_of_the_whole(seed: int) -> None:
    cubes = make_night(random_scenes(np.random.default_rng(seed), taught=True), seed).cubes

    assert same(played(cubes), plan_night(cubes, LIMITS).outputs)


@settings(PROPERTY, max_examples=6)
@example(5)  # these differed while the noise was pooled over the night
@example(7)
@example(26)
@example(33)
@given(st.integers(0, 10**6))
def test_so_has_one_of_short_runs_of_uneven_noise_however_often_it_is_planned(seed: int) -> None:
    cubes = make_night(_uneven_scenes(seed), seed).cubes

    assert same(played(cubes, every=1), plan_night(cubes, LIMITS).outputs)


@settings(PROPERTY, max_examples=3)
@given(st.integers(0, 10**6))
def test_so_has_one_in_which_the_cameras_do_not_pause(seed: int) -> None:
    cubes = make_night(_long_scenes(seed), seed).cubes

    assert same(played(cubes, every=7), plan_night(cubes, LIMITS).outputs)


def test_an_output_that_may_still_grow_is_not_taken() -> None:
    cubes = make_night([Scene(triggers=1_000), Scene(triggers=1_000)]).cubes
    whole = plan_night(cubes, LIMITS).outputs
    end_us = whole[1].last_us + 3_000_000 + exposure_us(cubes[0].cards)

    early = advance(cubes, LIMITS, through_us=end_us, after=None)
    late = advance(cubes, LIMITS, through_us=end_us + 1, after=None)

    assert (len(early.outputs), early.waiting) == (0, 4)
    assert (len(late.outputs), late.waiting) == (2, 2)


def test_what_was_taken_is_not_taken_again() -> None:
    cubes = make_night([Scene(triggers=100), Scene(triggers=100)]).cubes
    first, second = plan_night(cubes, LIMITS).outputs[::2]
    after = place_of(first.first_us, 2, synchronised=True)

    found = advance(cubes, LIMITS, through_us=LATER_US, after=after)

    assert [output.first_us for output in found.outputs] == [second.first_us] * 2


@pytest.mark.parametrize("cubes", [1, 100])
def test_the_cubes_that_must_be_known_begin_where_nothing_is_merged(cubes: int) -> None:
    night = make_night([Scene(triggers=400)] * 3).cubes
    spans = [span for cube in night if (span := span_of(cube)) is not None]
    begins = sorted({span.first_us for span in spans})
    last = max(begins)

    found = first_to_know(spans, from_us=last, gap_seconds=3.0, cubes=cubes)

    heads = [
        first
        for first, before in zip(begins, [0, *begins], strict=False)
        if first - before > 10_000_000
    ]
    assert found == (heads[-2] if cubes == 1 else heads[0])
