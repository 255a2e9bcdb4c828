"""Cubes of one camera that overlap in time: no state where they do, the right ones beside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.made_night import MadeNight, Scene, fates, frames_of, judge, make_night
from vampd.records import Plan
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.flc import DUBIOUS, label_states
from vampd.science.overlaps import seams
from vampd.science.timeline import Marks, Timeline
from vampd.science.timing import SET_BACK, parse_timing
from vampd.states import FlcState

PROPERTY = settings(derandomize=True, deadline=None, max_examples=25)
LIMITS = CubeLimits()


def run_of_the_crystal(
    jitter_us: float = 100.0, *, header: bool = True, **changes: object
) -> Scene:
    values = {
        "triggers": 600,
        "jitter_us": jitter_us,
        "header_jitter_us": round(jitter_us) if header else None,
        "noise_us": min(jitter_us / 8, 15.0),
    }
    return Scene(**values | changes)  # type: ignore[arg-type]


def set_back(
    night: MadeNight, back_us: int, *, from_cube: int, cameras: tuple[int, ...]
) -> MadeNight:
    """The clock of the *cameras* is set back before their cube number *from_cube*, from 0."""
    late = {
        cube.raw_file
        for camera in cameras
        for cube in [one for one in night.cubes if one.camera == camera][from_cube:]
    }
    return replace(
        night,
        cubes=tuple(
            replace(cube, acquired_us=cube.acquired_us - back_us) if cube.raw_file in late else cube
            for cube in night.cubes
        ),
    )


def of_camera(night: MadeNight, camera: int) -> MadeNight:
    cubes = tuple(cube for cube in night.cubes if cube.camera == camera)
    return replace(
        night,
        cubes=cubes,
        trigger_of={cube.raw_file: night.trigger_of[cube.raw_file] for cube in cubes},
    )


def overlapping(night: MadeNight) -> set[tuple[int, int]]:
    """Frames between whose neighbours in time is one of another cube of the camera."""
    found = set()
    for cube in night.cubes:
        others = [one for one in night.cubes if one.camera == cube.camera and one is not cube]
        for frame, time_us in enumerate(cube.acquired_us.tolist()):
            if any(one.acquired_us[0] <= time_us <= one.acquired_us[-1] for one in others):
                found.add((cube.raw_file, frame))
    return found


def undetermined(plan: Plan) -> set[tuple[int, int]]:
    return {
        frame
        for output in plan.outputs
        if output.flc_state is FlcState.DUBIOUS
        for frame in frames_of(output)
    }


@PROPERTY
@given(
    back_us=st.integers(10_000, 150_000),
    jitter_us=st.sampled_from([30.0, 100.0, 500.0]),
    header=st.booleans(),
    from_cube=st.integers(1, 2),
    cameras=st.sampled_from([(1,), (1, 2)]),
    first_state=st.sampled_from([-1, 1]),
    seed=st.integers(0, 10**6),
)
def test_both_sides_of_an_overlap_have_their_states_and_only_the_overlap_has_none(
    back_us: int,
    jitter_us: float,
    header: bool,
    from_cube: int,
    cameras: tuple[int, ...],
    first_state: int,
    seed: int,
) -> None:
    night = make_night(
        [run_of_the_crystal(jitter_us, header=header, first_state=first_state)], seed
    )
    if cameras == (1,):
        night = of_camera(night, 1)
    night = set_back(night, back_us, from_cube=from_cube, cameras=cameras)

    plan = plan_night(night.cubes, LIMITS)

    verdict = judge(night, plan)
    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)
    # A frame without a state of its own is left over on either side, and so is its partner.
    beside = undetermined(plan) - overlapping(night)
    assert len(beside) <= 4 * len(cameras)
    assert set(fates(plan).values()) == {1}
    assert any("overlap in time" in report.text for report in plan.reports)


@PROPERTY
@given(
    back_us=st.integers(0, 700_000),
    jitter_us=st.sampled_from([30.0, 100.0, 500.0]),
    periods_us=st.tuples(
        st.sampled_from([1200.0, 2000.0, 9000.0]), st.sampled_from([1500.0, 4000.0])
    ),
    lost=st.frozensets(st.integers(0, 239), max_size=60),
    cameras=st.sampled_from([(1,), (1, 2)]),
    seed=st.integers(0, 10**6),
)
def test_no_label_is_wrong_however_cubes_overlap(
    back_us: int,
    jitter_us: float,
    periods_us: tuple[float, float],
    lost: frozenset[int],
    cameras: tuple[int, ...],
    seed: int,
) -> None:
    scenes = [
        run_of_the_crystal(
            jitter_us,
            triggers=240,
            period_us=max(period_us, 3 * jitter_us),
            lost1=lost,
            pause_s=0.0,
            lengths1=(120, 60),
            lengths2=(90, 200),
        )
        for period_us in periods_us
    ]
    night = make_night(scenes, seed)
    if cameras == (1,):
        night = of_camera(night, 1)
    night = set_back(night, back_us, from_cube=2, cameras=cameras)

    plan = plan_night(night.cubes, LIMITS)

    assert judge(night, plan).wrong_labels == 0
    assert set(fates(plan).values()) == {1}


@pytest.mark.parametrize("back_us", [49_000, 49_321, 50_000, 51_000])
def test_mingled_cubes_are_not_taken_for_one_of_twice_the_rate(back_us: int) -> None:
    night = make_night([run_of_the_crystal(30.0, triggers=800, noise_us=3.0)], 1)

    plan = plan_night(set_back(night, back_us, from_cube=2, cameras=(1, 2)).cubes, LIMITS)

    assert judge(night, plan).wrong_labels == 0


def test_a_cube_within_another_leaves_the_rest_of_that_its_states() -> None:
    night = of_camera(make_night([run_of_the_crystal(triggers=800, lengths1=(600, 100))], 5), 1)
    longest, inner, last = night.cubes
    inner = replace(inner, acquired_us=inner.acquired_us - 600_337)
    night = replace(night, cubes=(longest, inner, last))

    plan = plan_night(night.cubes, LIMITS)

    assert judge(night, plan).wrong_labels == 0
    beside = undetermined(plan) - overlapping(night)
    assert len(beside) <= 4
    assert len(undetermined(plan)) <= 204


def test_overlapping_cubes_whose_cards_differ_are_judged_without_them() -> None:
    night = of_camera(make_night([run_of_the_crystal(triggers=800, lengths1=(400,))], 5), 1)
    first, second = night.cubes
    second = replace(
        second,
        acquired_us=second.acquired_us - 50_000,
        cards={**second.cards, "U_TRIGJT": 500},
    )
    night = replace(night, cubes=(first, second))

    plan = plan_night(night.cubes, LIMITS)

    assert judge(night, plan).wrong_labels == 0
    assert len(undetermined(plan)) <= 54


def test_a_time_far_too_late_costs_its_own_frame_and_no_later_cube() -> None:
    night = of_camera(make_night([run_of_the_crystal()], 5), 1)
    cubes = list(night.cubes)
    times_us = cubes[0].acquired_us.copy()
    times_us[-1] += 1_000_777
    cubes[0] = replace(cubes[0], acquired_us=times_us)

    plan = plan_night(cubes, LIMITS)

    assert judge(night, plan).wrong_labels == 0
    assert len(undetermined(plan)) <= 4


def test_a_run_is_parted_where_told_and_each_part_proves_its_own() -> None:
    scene = run_of_the_crystal(triggers=40)
    times_us = make_night([scene], 3).cubes[0].acquired_us

    whole = label_states(times_us, jitter_us=100)
    parted = label_states(times_us, jitter_us=100, parted_at=np.array([20, 21, 22]))

    assert np.all(whole.states != DUBIOUS)
    assert np.flatnonzero(parted.states == DUBIOUS).tolist() == [20, 21]
    assert not parted.follows[[20, 21, 22]].any()
    assert parted.follows[23:].all()


def test_there_is_no_seam_between_cubes_that_follow_each_other() -> None:
    cubes = of_camera(make_night([run_of_the_crystal(lengths1=(300, 1))], 3), 1).cubes

    assert len(seams(Timeline(cubes))) == 0


@PROPERTY
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9), st.data())
def test_chosen_frames_before_a_position_are_counted(
    chosen: list[bool], stride: int, data: st.DataObject
) -> None:
    class FewMarks(Marks):
        _STRIDE = stride

    positions = data.draw(st.lists(st.integers(0, len(chosen)), max_size=5).map(sorted))

    marks = FewMarks(np.array(chosen, dtype=np.bool_))

    found = marks.before(np.array(positions, dtype=np.intp))
    assert found.tolist() == [sum(chosen[:position]) for position in positions]


def out_of_turn(
    before: int,
    gap: int,
    ahead: int,
    behind: int,
    back_periods: float,
    seed: int,
    *,
    after: int = 100,
    jitter_us: float = 100.0,
) -> MadeNight:
    """Cubes of *before*, *ahead*, *behind* and *after* frames at 2 ms, each in its own time.

    The clock is set back before the third, which lies in the *gap* before the second then.
    """
    first = before + gap + ahead
    lost = {*range(before, before + gap), *range(first + behind, first + behind + ahead + gap + 2)}
    scene = run_of_the_crystal(
        jitter_us,
        triggers=first + behind + ahead + gap + 2 + after,
        lost1=frozenset(lost),
        lost2=frozenset(lost),
        lengths1=(before, ahead, behind, after),
        lengths2=(before, ahead, behind, after),
    )
    night = make_night([scene], seed)
    return set_back(night, round(2_000 * back_periods), from_cube=2, cameras=(1, 2))


@PROPERTY
@given(
    before=st.integers(2, 60),
    ahead=st.integers(1, 6),
    behind=st.integers(1, 6),
    room=st.integers(4, 30),
    place=st.floats(0, 1),
    askew=st.sampled_from([0.0, 0.01, 0.3]),
    cameras=st.sampled_from([(1,), (1, 2)]),
    seed=st.integers(0, 10**6),
)
def test_cubes_that_a_clock_set_back_put_out_of_turn_get_no_wrong_label(
    before: int,
    ahead: int,
    behind: int,
    room: int,
    place: float,
    askew: float,
    cameras: tuple[int, ...],
    seed: int,
) -> None:
    back = ahead + behind + 1 + round(place * (room - 2)) + askew
    night = out_of_turn(before, behind + room, ahead, behind, back, seed)
    if cameras == (1,):
        night = of_camera(night, 1)
    times_us = [cube.acquired_us for cube in night.cubes]
    assert times_us[0][-1] < times_us[2][0] <= times_us[2][-1] < times_us[1][0]
    edges = [before, before + behind, before + behind + ahead]
    assert seams(Timeline(of_camera(night, 1).cubes)).tolist() == edges

    plan = plan_night(night.cubes, LIMITS)

    verdict = judge(night, plan)
    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)
    assert verdict.dubious <= len(cameras) * (before % 2 + 4 + ahead + behind + 4)
    assert set(fates(plan).values()) == {1}


@pytest.mark.parametrize(
    ("cubes", "back_periods", "jitter_us", "seed"),
    [
        ((19, 2, 2, 5), 9.01, 30.0, 67_595),
        ((19, 2, 2, 1), 11.01, 30.0, 512_431),
        ((9, 2, 3, 5), 13.05, 100.0, 356_809),
    ],
)
def test_a_short_cube_out_of_turn_whose_intervals_alternate_gets_no_wrong_label(
    cubes: tuple[int, int, int, int], back_periods: float, jitter_us: float, seed: int
) -> None:
    before, ahead, behind, after = cubes
    gap = 22 if behind == 3 else 11
    night = out_of_turn(
        before, gap, ahead, behind, back_periods, seed, after=after, jitter_us=jitter_us
    )
    night = of_camera(night, 1)

    assert judge(night, plan_night(night.cubes, LIMITS)).wrong_labels == 0


def test_a_cube_has_no_room_for_the_frames_that_were_counted_before_it() -> None:
    night = of_camera(out_of_turn(60, 30, 3, 3, 20.0, 1), 1)
    first, _, late, last = night.cubes

    # The cube ahead was lost: nothing but the count tells that the clock was set back.
    assert list(seams(Timeline([first, late]))) == [60]
    assert list(seams(Timeline([first, late, last]), begun_anew=False)) == [60]


def test_a_stream_begun_anew_costs_no_more_than_the_frames_beside() -> None:
    night = make_night([run_of_the_crystal()], 3)
    cubes = [
        replace(cube, counts=(cube.counts[0] - 400, cube.counts[1] - 400))
        if cube.counts is not None and cube.counts[0] >= 400
        else cube
        for cube in night.cubes
    ]

    plan = plan_night(cubes, LIMITS)

    assert list(seams(Timeline(of_camera(replace(night, cubes=tuple(cubes)), 1).cubes))) == [400]
    verdict = judge(night, plan)
    assert (verdict.wrong_pairs, verdict.missed_pairs, verdict.wrong_labels) == (0, 0, 0)
    assert verdict.dubious <= 4


def test_cubes_without_counts_are_taken_in_the_order_of_their_times() -> None:
    cubes = of_camera(out_of_turn(60, 30, 3, 3, 15.0, 1), 1).cubes

    assert len(seams(Timeline([replace(cube, counts=None) for cube in cubes]))) == 0


def set_back_within(
    scene: Scene, trigger: int, back_us: int, seed: int
) -> tuple[MadeNight, dict[int, int]]:
    """The clock of both cameras is set back before *trigger*, wherever their cubes begin.

    Cubes are as their timing files are read. Returns also how many frames are rejected of each.
    """
    night = make_night([scene], seed)
    cubes, rejected = [], {}
    for cube in night.cubes:
        triggers = night.trigger_of[cube.raw_file]
        times_us = cube.acquired_us - np.where(triggers >= trigger, back_us, 0)
        rows = "".join(
            f"{k} {k} 0.0 {(t + 70) / 1e6:.6f} {t / 1e6:.6f} {n} 0\n"
            for k, (t, n) in enumerate(zip(times_us.tolist(), triggers.tolist(), strict=True))
        )
        timing = parse_timing(rows.encode())
        cubes.append(replace(cube, acquired_us=timing.acquired_us, rejected=timing.rejected))
        rejected[cube.raw_file] = len(timing.rejected)
    return replace(night, cubes=tuple(cubes)), rejected


@PROPERTY
@given(
    trigger=st.integers(1, 599),
    back_us=st.integers(2_100, 150_000),
    jitter_us=st.sampled_from([30.0, 100.0, 500.0]),
    lost=st.frozensets(st.integers(0, 599), max_size=40),
    lengths=st.tuples(st.integers(40, 300), st.integers(40, 300)),
    seed=st.integers(0, 10**6),
)
def test_a_clock_set_back_within_a_cube_makes_no_pair_and_no_label_wrong(
    trigger: int,
    back_us: int,
    jitter_us: float,
    lost: frozenset[int],
    lengths: tuple[int, int],
    seed: int,
) -> None:
    scene = run_of_the_crystal(
        jitter_us, lost1=lost, lengths1=(lengths[0],), lengths2=(lengths[1],)
    )
    night, _ = set_back_within(scene, trigger, back_us, seed)

    plan = plan_night(night.cubes, LIMITS)

    verdict = judge(night, plan)
    assert (verdict.wrong_pairs, verdict.wrong_labels) == (0, 0)
    assert set(fates(plan).values()) == {1}
    # What is neither rejected nor among frames of the other clock has its state.
    assert verdict.dubious <= 4 * back_us / 2_000 + 4 * len(lost) + 16


def test_only_times_that_are_there_twice_are_rejected_when_the_clock_is_set_back() -> None:
    scene = run_of_the_crystal(lengths1=(600,), lengths2=(600,))

    night, rejected = set_back_within(scene, 301, 50_000, 4)

    assert all(50 <= frames <= 56 for frames in rejected.values())
    assert {why for cube in night.cubes for why in cube.rejected.values()} == {SET_BACK}
    first = min(night.cubes[0].rejected)
    assert abs(first + rejected[1] / 2 - 301) <= 1


def test_one_time_that_is_off_is_not_a_clock_set_back() -> None:
    times_us = make_night([run_of_the_crystal()], 4).cubes[0].acquired_us
    rows = [[t + 70, t] for t in times_us.tolist()]
    rows[50][1] -= 9_000

    text = "".join(
        f"{k} {k} 0.0 {logged / 1e6:.6f} {t / 1e6:.6f} {k} 0\n"
        for k, (logged, t) in enumerate(rows)
    )

    assert parse_timing(text.encode()).rejected == {50: "out of order"}


def test_a_few_rows_ahead_cost_no_later_ones() -> None:
    times_us = make_night([run_of_the_crystal()], 4).cubes[0].acquired_us
    ahead_us = np.where(np.isin(np.arange(200), (60, 61, 62)), 3_000_000_000, 0)

    text = "".join(
        f"{k} {k} 0.0 {(t + 70) / 1e6:.6f} {t / 1e6:.6f} {k} 0\n"
        for k, t in enumerate((times_us + ahead_us).tolist())
    )

    assert sorted(parse_timing(text.encode()).rejected) == [60, 61, 62]
