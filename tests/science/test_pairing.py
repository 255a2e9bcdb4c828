"""Pairs: every common exposure, no other, and the same for swapped cameras."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vampd.science.pairing import choose, match, offset_hypotheses, shared_offset

PROPERTY = settings(derandomize=True, deadline=None, max_examples=150)
START_US = 1_762_405_800_000_000
FAST_US = 465
SLOW_US = 1163

Times = NDArray[np.int64]


def exposures(
    *,
    triggers: int,
    period_us: float,
    offset_us: int,
    noise_us: int,
    jitter_us: float = 0.0,
    lost: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset()),
    seed: int = 0,
) -> tuple[Times, Times, list[tuple[int, int]]]:
    """Times of both cameras, and the true pairs."""
    random = np.random.default_rng(seed)
    index = np.arange(triggers)
    fired = START_US + period_us * index - jitter_us / 2 * np.where(index % 2 == 0, 1, -1)
    seen = [[k for k in index.tolist() if k not in missing] for missing in lost]
    one, two = (
        np.rint(fired + shift + random.integers(-noise_us, noise_us + 1, triggers)).astype(
            np.int64
        )[kept]
        for shift, kept in zip((0, offset_us), seen, strict=True)
    )
    pairs = [(seen[0].index(k), seen[1].index(k)) for k in seen[0] if k in set(seen[1])]
    return one, two, pairs


def pair_frames(
    t1_us: Times, t2_us: Times, *, tolerance_us: int, shared_us: int | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of one run, as a night pairs each of its runs."""
    found = choose(offset_hypotheses(t1_us, t2_us, tolerance_us=tolerance_us), shared_us)
    if found is None:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    return match(t1_us, t2_us, hypothesis=found, tolerance_us=tolerance_us)


def paired(t1_us: Times, t2_us: Times, tolerance_us: int) -> list[tuple[int, int]]:
    one, two = pair_frames(t1_us, t2_us, tolerance_us=tolerance_us)
    return list(zip(one.tolist(), two.tolist(), strict=True))


lost_frames = st.frozensets(st.integers(0, 59), max_size=12)


@PROPERTY
@given(
    lost1=lost_frames,
    lost2=lost_frames,
    late=st.integers(0, 30),
    share=st.floats(-0.8, 0.8),
    seed=st.integers(0, 10**6),
)
def test_every_pulse_that_both_cameras_saw_is_paired_and_no_other(
    lost1: frozenset[int], lost2: frozenset[int], late: int, share: float, seed: int
) -> None:
    noise_us = 25
    one, two, truth = exposures(
        triggers=60,
        period_us=2000,
        offset_us=round(share * (FAST_US - 2 * noise_us)),
        noise_us=noise_us,
        jitter_us=30,
        lost=(lost1 | frozenset(range(late)), lost2),
        seed=seed,
    )

    assert paired(one, two, FAST_US) == truth


@PROPERTY
@given(
    lost1=st.frozensets(st.integers(10, 389), max_size=30),
    lost2=st.frozensets(st.integers(10, 389), max_size=30),
    stretch=st.floats(1.03, 2.0),
    sign=st.sampled_from([-1, 1]),
    jitter_us=st.sampled_from([100.0, 200.0, 500.0]),
    seed=st.integers(0, 10**6),
)
def test_pairs_are_right_where_neighbours_are_nearer_than_partners(
    lost1: frozenset[int],
    lost2: frozenset[int],
    stretch: float,
    sign: int,
    jitter_us: float,
    seed: int,
) -> None:
    one, two, truth = exposures(
        triggers=400,
        period_us=SLOW_US * stretch + jitter_us + 60,
        offset_us=sign * round(0.8 * SLOW_US - 60),
        noise_us=30,
        jitter_us=jitter_us,
        lost=(lost1, lost2),
        seed=seed,
    )

    assert paired(one, two, SLOW_US) == truth


@PROPERTY
@given(
    st.lists(st.integers(0, 3000), max_size=30, unique=True),
    st.lists(st.integers(0, 3000), max_size=30, unique=True),
    st.integers(1, 600),
)
def test_swapping_the_cameras_swaps_the_answer(
    first: list[int], second: list[int], tolerance_us: int
) -> None:
    t1_us, t2_us = np.array(sorted(first), dtype=np.int64), np.array(sorted(second), dtype=np.int64)

    straight = paired(t1_us, t2_us, tolerance_us)
    swapped = paired(t2_us, t1_us, tolerance_us)

    assert straight == [(one, two) for two, one in swapped]


@PROPERTY
@given(
    st.lists(st.integers(0, 3000), max_size=30, unique=True),
    st.lists(st.integers(0, 3000), max_size=30, unique=True),
    st.integers(0, 600),
)
def test_pairs_are_one_to_one_in_order_and_within_the_tolerance(
    first: list[int], second: list[int], tolerance_us: int
) -> None:
    t1_us, t2_us = np.array(sorted(first), dtype=np.int64), np.array(sorted(second), dtype=np.int64)

    one, two = pair_frames(t1_us, t2_us, tolerance_us=tolerance_us)

    assert np.all(np.diff(one) > 0)
    assert np.all(np.diff(two) > 0)
    assert np.all(np.abs(t1_us[one] - t2_us[two]) <= tolerance_us)


@pytest.mark.parametrize(("difference_us", "pairs"), [(465, 1), (466, 0), (-465, 1), (-466, 0)])
def test_the_tolerance_itself_is_within_the_tolerance(difference_us: int, pairs: int) -> None:
    t1_us, t2_us = np.array([START_US]), np.array([START_US + difference_us])

    assert len(pair_frames(t1_us, t2_us, tolerance_us=FAST_US)[0]) == pairs


def test_a_camera_without_frames_has_no_pairs() -> None:
    nothing = np.empty(0, dtype=np.int64)

    assert paired(nothing, np.array([START_US]), FAST_US) == []
    assert paired(nothing, nothing, FAST_US) == []


def test_runs_that_cannot_tell_alone_tell_together() -> None:
    # Without jitter each of them looks the same when shifted by a trigger; only the
    # true offset is common to both periods.
    runs = []
    for period_us in (600, 520):
        one, two, _ = exposures(
            triggers=200,
            period_us=period_us,
            offset_us=330,
            noise_us=5,
            lost=(frozenset({199}), frozenset({0})),
        )
        runs.append(offset_hypotheses(one, two, tolerance_us=FAST_US))

    assert [len(run) for run in runs] == [2, 2]
    assert abs((shared_offset(runs) or 0) - 330) < 5


def test_the_shared_offset_decides_for_a_single_frame() -> None:
    one, two = np.array([START_US]), np.array([START_US - 230])

    assert len(pair_frames(one, two, tolerance_us=FAST_US)[0]) == 1
    assert len(pair_frames(one, two, tolerance_us=FAST_US, shared_us=330)[0]) == 0


def test_a_frame_with_a_rival_is_not_paired() -> None:
    one, two, _ = exposures(triggers=60, period_us=2000, offset_us=119, noise_us=5)
    doubled = np.insert(one, 30, one[30] - 40)

    pairs = paired(doubled, two, FAST_US)

    assert len(pairs) == 59
    assert 30 not in [pair[1] for pair in pairs]
