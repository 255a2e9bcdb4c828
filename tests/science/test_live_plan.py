"""A night planned as it comes in is planned as a whole night is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.campaigns.science import random_scenes
from tests.support.made_night import Scene, make_night
from vampd.records import PlannedOutput, RawCube
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.live import Place, advance, first_to_know, place_of, span_of
from vampd.science.rules import exposure_us
from vampd.science.watermark import CubeSpan, Patience, closed_stretches, watermark

LIMITS = CubeLimits()
PATIENCE = Patience(allowance_seconds=5, silence_seconds=60, gap_seconds=LIMITS.max_gap_seconds)
PROPERTY = settings(derandomize=True, deadline=None, max_examples=20)
_BUSY = {1: 0.0, 2: 0.0}
_SILENT = {1: 9e9, 2: 9e9}
_LATER_US = 10**17


def played(
    cubes: Sequence[RawCube], *, every: int = 0, remembered: int = 10_000
) -> list[PlannedOutput]:
    """All outputs, planned as the cubes come in: when a stretch closes, or at *every* so many."""
    done: list[PlannedOutput] = []
    closed = 0
    for number, (arrived, quiet) in enumerate(_arrivals(cubes)):
        spans = {cube.raw_file: span for cube in arrived if (span := span_of(cube)) is not None}
        mark = watermark(spans.values(), [], quiet, PATIENCE, now_us=_LATER_US)
        if mark.through_us is None:
            continue
        now = len(closed_stretches(spans.values(), mark.through_us, gap_seconds=3.0))
        if now > closed or (every and number % every == 0):
            done += _advanced(arrived, spans, mark.through_us, done, remembered)
            closed = now
    return done


def _arrivals(cubes: Sequence[RawCube]) -> Iterator[tuple[list[RawCube], dict[int, float]]]:
    ends = {cube.raw_file: span.last_us for cube in cubes if (span := span_of(cube)) is not None}
    order = sorted(cubes, key=lambda cube: (ends.get(cube.raw_file, 0), cube.raw_file))
    for number in range(1, len(order) + 1):
        yield order[:number], _BUSY
    yield order, _SILENT


def _advanced(
    arrived: Sequence[RawCube],
    spans: dict[int, CubeSpan],
    through_us: int,
    done: Sequence[PlannedOutput],
    remembered: int,
) -> Sequence[PlannedOutput]:
    after: Place | None = None
    begins_us = 0
    if done:
        last = done[-1]
        after = place_of(last.first_us, last.camera, synchronised=last.synchronised)
        begins_us = first_to_know(
            spans.values(), from_us=last.first_us, gap_seconds=3.0, cubes=remembered
        )
    chosen = [cube for cube in arrived if _begins(cube, spans) >= begins_us]
    taken = [output.name for output in done if output.first_us < begins_us]
    found = advance(chosen, LIMITS, through_us=through_us, after=after, taken_names=taken)
    return found.outputs


def _begins(cube: RawCube, spans: dict[int, CubeSpan]) -> int:
    return spans[cube.raw_file].first_us if cube.raw_file in spans else 0


def same(live: Sequence[PlannedOutput], whole: Sequence[PlannedOutput]) -> bool:
    """Whether the outputs are equal, in the same order; the numbers of cubes are the ledger's."""
    return [replace(one, cube=0) for one in live] == [replace(one, cube=0) for one in whole]


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

    found = advance(cubes, LIMITS, through_us=_LATER_US, after=after)

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
