"""States: right or dubious, never wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vampd.science.flc import DUBIOUS, STATE_A, STATE_B, NoiseOf, label_states
from vampd.science.intervals import Noise, difference_noise, interval_noise

PROPERTY = settings(derandomize=True, deadline=None, max_examples=150)
START_US = 1_762_405_800_000_000


def run(
    frames: int,
    *,
    period_us: float = 2000.0,
    jitter_us: float = 30.0,
    noise_us: float = 4.0,
    first_state: int = STATE_B,
    lost: frozenset[int] = frozenset(),
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times and true states; the frame before a long interval is B."""
    random = np.random.default_rng(seed)
    states = first_state * np.where(np.arange(frames) % 2 == 0, 1, -1)
    fired = START_US + period_us * np.arange(frames) - jitter_us / 2 * states
    times = np.rint(fired + random.normal(0, noise_us, frames)).astype(np.int64)
    kept = [k for k in range(frames) if k not in lost]
    return times[kept], states[kept]


def test_the_frame_before_the_long_interval_is_b() -> None:
    times = START_US + np.cumsum([0, 2030, 1970, 2030, 1970, 2030, 1970])

    labels = label_states(times, jitter_us=30)

    assert labels.states.tolist() == [STATE_B, STATE_A] * 3 + [STATE_B]
    assert labels.follows.tolist() == [False] + [True] * 6


@pytest.mark.parametrize("frames", [7, 22, 25, 26, 27, 400])
@pytest.mark.parametrize("first_state", [STATE_A, STATE_B])
def test_short_and_long_runs_have_one_sign(frames: int, first_state: int) -> None:
    times, truth = run(frames, noise_us=2.0, first_state=first_state)

    labels = label_states(times, jitter_us=30)

    assert np.array_equal(labels.states, truth)


def known(noise: Noise) -> NoiseOf:
    """A noise that is known of all frames."""
    return lambda _first, _last: noise


@PROPERTY
@given(
    lost=st.frozensets(st.integers(20, 179), max_size=60),
    jitter_us=st.sampled_from([20.0, 30.0, 100.0, 500.0]),
    period_us=st.floats(1000, 10_000),
    header=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_labels_are_right_across_missing_frames(
    lost: frozenset[int], jitter_us: float, period_us: float, header: bool, seed: int
) -> None:
    times, truth = run(
        200,
        jitter_us=jitter_us,
        period_us=period_us,
        noise_us=jitter_us / 7,
        lost=lost,
        seed=seed,
    )

    labels = label_states(times, jitter_us=round(jitter_us) if header else None)

    labelled = labels.states != DUBIOUS
    assert np.array_equal(labels.states[labelled], truth[labelled])
    if jitter_us <= period_us / 3:  # beyond, two short intervals look like a long one and its noise
        assert np.all(labelled[:20])
        assert np.count_nonzero(~labelled) <= len(lost)


@pytest.mark.parametrize("period_us", [1050.0, 1250.0])
def test_noise_that_makes_long_intervals_look_like_two_triggers_gives_no_wrong_label(
    period_us: float,
) -> None:
    for seed in range(40):
        lost = frozenset(np.random.default_rng(seed).choice(range(20, 180), 20).tolist())
        times, truth = run(
            200, jitter_us=500.0, period_us=period_us, noise_us=71.0, lost=lost, seed=seed
        )

        labels = label_states(times, jitter_us=500)

        labelled = labels.states != DUBIOUS
        assert np.array_equal(labels.states[labelled], truth[labelled])


@PROPERTY
@given(
    frames=st.integers(0, 60),
    jitter_us=st.floats(5, 500),
    noise_us=st.floats(0, 300),
    header_us=st.one_of(st.none(), st.integers(1, 600)),
    seed=st.integers(0, 10**6),
)
def test_no_label_is_ever_wrong_whatever_the_header_says(
    frames: int, jitter_us: float, noise_us: float, header_us: int | None, seed: int
) -> None:
    times, truth = run(frames, period_us=3000, jitter_us=jitter_us, noise_us=noise_us, seed=seed)
    order = np.argsort(times, kind="stable")

    labels = label_states(times[order], jitter_us=header_us)

    labelled = labels.states != DUBIOUS
    assert np.array_equal(labels.states[labelled], truth[order][labelled])


def test_a_jitter_below_the_noise_is_dubious() -> None:
    times, _ = run(1000, noise_us=30.0)

    labels = label_states(times, jitter_us=30)

    assert np.all(labels.states == DUBIOUS)


def test_without_alternation_all_is_dubious() -> None:
    times, _ = run(1000, jitter_us=0.0)

    labels = label_states(times, jitter_us=30)

    assert np.all(labels.states == DUBIOUS)
    assert labels.findings[0].contradicts_header


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_fewer_than_three_frames_are_dubious(frames: int) -> None:
    times, _ = run(frames, jitter_us=500.0)

    labels = label_states(times, jitter_us=500, prior=known(Noise(variance_us2=1.0, degrees=50)))

    assert labels.states.tolist() == [DUBIOUS] * frames


def test_three_frames_suffice_where_the_noise_is_known_from_elsewhere() -> None:
    times, truth = run(3, jitter_us=500.0)

    labels = label_states(times, jitter_us=500, prior=known(Noise(variance_us2=32.0, degrees=50)))

    assert np.array_equal(labels.states, truth)


def test_a_header_that_lies_is_overruled_and_reported() -> None:
    times, truth = run(200, jitter_us=200.0)

    labels = label_states(times, jitter_us=30)

    assert np.array_equal(labels.states, truth)
    assert labels.findings[0].contradicts_header
    assert abs(labels.findings[0].jitter_us - 200) < 3


@pytest.mark.parametrize("gap", [250, 251])
def test_both_sides_of_a_long_gap_are_right(gap: int) -> None:
    times, truth = run(800, lost=frozenset(range(300, 300 + gap)))

    labels = label_states(times, jitter_us=30)

    assert np.array_equal(labels.states, truth)
    assert not labels.follows[300]


@pytest.mark.parametrize("shift_us", [-1990, -900, -60, 60, 900, 1990])
def test_a_glitch_in_one_time_mislabels_nothing(shift_us: int) -> None:
    times, truth = run(200)
    times[100] += shift_us
    # A time that overtakes its neighbour never comes so far: its row is out of order.
    kept = np.ones(200, dtype=np.bool_)
    kept[100] = times[99] < times[100] < times[101]

    labels = label_states(times[kept], jitter_us=30)

    wrong = (labels.states != DUBIOUS) & (labels.states != truth[kept])
    assert not np.any(wrong)
    assert np.count_nonzero(labels.states == DUBIOUS) <= 4


def test_a_slip_of_the_phase_is_cut_out() -> None:
    before, truth_before = run(200, first_state=STATE_B)
    after, truth_after = run(150, first_state=STATE_A)
    times = np.concatenate((before, after + (before[-1] - START_US) + 1970))
    truth = np.concatenate((truth_before, truth_after))

    labels = label_states(times, jitter_us=30)

    labelled = labels.states != DUBIOUS
    assert np.array_equal(labels.states[labelled], truth[labelled])
    assert np.count_nonzero(~labelled) < 40


def test_noise_that_blurs_the_count_costs_no_label() -> None:
    times, truth = run(2000, period_us=1500.0, jitter_us=500.0, noise_us=50.0)

    labels = label_states(times, jitter_us=500)

    assert np.array_equal(labels.states, truth)


def test_three_frames_of_a_faster_run_are_dubious() -> None:
    # Triggers 0, 1 and 4 of T = 600, J = 300 look like T = 1200, J = 300.
    times = START_US + np.array([0, 900, 2400])
    prior = known(Noise(variance_us2=30.0, degrees=50))

    alone = label_states(times, jitter_us=300, prior=prior)
    beside = label_states(times, jitter_us=300, prior=prior, closest_us=lambda _first, _last: 297)

    assert np.all(alone.states != DUBIOUS)
    assert np.all(beside.states == DUBIOUS)


def test_a_period_that_changes_in_mid_run_is_noticed() -> None:
    before, truth_before = run(300, period_us=2000.0)
    after, truth_after = run(300, period_us=2600.0)
    times = np.concatenate((before, after + (before[-1] - START_US) + 2600))

    labels = label_states(times, jitter_us=30)

    labelled = labels.states != DUBIOUS
    truth = np.concatenate((truth_before, truth_after))
    assert np.array_equal(labels.states[labelled], truth[labelled])
    assert np.count_nonzero(~labelled) < 20


def test_the_noise_of_intervals_is_measured_with_and_without_jitter() -> None:
    for jitter_us in (0.0, 300.0):
        times, _ = run(3000, jitter_us=jitter_us, noise_us=10.0)

        noise = interval_noise(times)

        assert noise is not None
        assert abs(noise.variance_us2 - 200) < 20


def test_the_difference_of_the_cameras_shows_the_noise_of_their_means() -> None:
    random = np.random.default_rng(3)
    t1_us, t2_us = np.rint(random.normal(0, 10, (2, 5000))).astype(np.int64)

    noise = difference_noise(t2_us - t1_us)

    assert noise is not None
    assert abs(noise.variance_us2 - 100) < 10


def test_three_frames_alone_do_not_show_their_noise() -> None:
    times = START_US + np.array([0, 2031, 4001])

    labels = label_states(times, jitter_us=30)

    assert np.all(labels.states == DUBIOUS)


@pytest.mark.parametrize("frames", [8, 11, 20])
def test_every_third_frame_lost_is_not_taken_for_a_jitter_of_a_third(frames: int) -> None:
    for seed in range(20):
        times, truth = run(
            frames,
            period_us=1761.0,
            jitter_us=100.0,
            noise_us=14.0,
            lost=frozenset(range(2, frames, 3)),
            seed=seed,
        )

        labels = label_states(times, jitter_us=None)

        labelled = labels.states != DUBIOUS
        assert np.array_equal(labels.states[labelled], truth[labelled])
