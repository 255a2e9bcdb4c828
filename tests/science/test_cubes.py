"""The plan of a night: cuts, names, order, and where every frame goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.made_night import (
    START_US,
    MadeNight,
    Scene,
    fates,
    frames_of,
    judge,
    make_night,
    partners_of,
)
from vampd.errors import IntegrityError
from vampd.records import CardValue, Plan, PlannedOutput, RawCube
from vampd.science import cubes as cubes_module
from vampd.science.cubes import (
    DECIDING_CARDS,
    CubeLimits,
    can_synchronise,
    flc_applies,
    plan_night,
    tolerance_us,
)
from vampd.science.rules import CUTTING_CARDS
from vampd.states import FlcState

LIMITS = CubeLimits()
FLC: dict[str, Any] = {"jitter_us": 30.0, "header_jitter_us": 30}


def planned(*scenes: Scene, limits: CubeLimits = LIMITS) -> tuple[MadeNight, Plan]:
    night = make_night(list(scenes))
    return night, plan_night(night.cubes, limits)


def camera1(plan: Plan) -> list[PlannedOutput]:
    return [output for output in plan.outputs if output.camera == 1]


def with_cards(night: MadeNight, changed: dict[int, dict[str, CardValue]]) -> list[RawCube]:
    """The cubes, with other cards in the raw files that *changed* names."""
    return [
        replace(cube, cards={**cube.cards, **changed.get(cube.raw_file, {})})
        for cube in night.cubes
    ]


def assert_complete(cubes: Sequence[RawCube], plan: Plan) -> None:
    counted = fates(plan)
    expected = {(cube.raw_file, k) for cube in cubes for k in range(len(cube.acquired_us))}
    assert set(counted) == expected
    assert set(counted.values()) <= {1}


@pytest.mark.parametrize(
    ("rows", "mode", "expected"),
    [(536, "FAST", 465), (536, "slow", 1163), (1104, "FAST", 958), (536.0, "Fast", 465)],
)
def test_the_tolerance_is_the_readout_time(rows: float, mode: str, expected: int) -> None:
    cards: dict[str, CardValue] = {"PRD-RNG2": rows, "U_DETMOD": mode}

    assert tolerance_us(cards, cards) == expected


def test_the_smaller_tolerance_of_the_two_cameras_counts() -> None:
    assert (
        tolerance_us({"PRD-RNG2": 536, "U_DETMOD": "SLOW"}, {"PRD-RNG2": 536, "U_DETMOD": "FAST"})
        == 465
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"EXTTRIG": False}, False),
        ({"EXTTRIG": "T"}, False),
        ({"EXTTRIG": 1}, False),
        ({"EXTTRIG": None}, False),
        ({"PRD-RNG2": None}, False),
        ({"PRD-RNG2": "536"}, False),
        ({"PRD-RNG2": True}, False),
        ({"U_DETMOD": None}, False),
        ({"U_DETMOD": "  "}, False),
    ],
)
def test_what_a_cube_needs_to_have_partners(changed: dict[str, CardValue], expected: bool) -> None:
    cards: dict[str, CardValue] = {"EXTTRIG": True, "PRD-RNG2": 536, "U_DETMOD": "FAST"}

    assert can_synchronise(cards | changed) is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"U_FLC": ""}, True),
        ({"U_FLC": None}, True),
        ({"U_FLC": "A"}, False),
        ({"U_FLC": 1}, False),
        ({"U_FLCST": "OUT"}, False),
        ({"U_FLCEN": False}, False),
        ({"U_FLCEN": "T"}, False),
        ({"EXTTRIG": False}, False),
        ({"DETECTOR": "VCAM3 - OrcaQ"}, False),
    ],
)
def test_when_a_cube_is_deinterleaved(changed: dict[str, CardValue], expected: bool) -> None:
    cards: dict[str, CardValue] = {
        "DETECTOR": "VCAM1 - OrcaQ",
        "EXTTRIG": True,
        "U_FLCEN": True,
        "U_FLCST": "IN",
        "U_FLC": "NA",
    }

    assert flc_applies(cards | changed) is expected


def test_cubes_of_unequal_length_are_merged_into_one_output() -> None:
    night, plan = planned(Scene(triggers=600, lengths1=(200,), lengths2=(150,)))

    assert [output.frames for output in plan.outputs] == [600, 600]
    assert [output.camera for output in plan.outputs] == [1, 2]
    assert_complete(night.cubes, plan)
    assert judge(night, plan).missed_pairs == 0


def test_both_cameras_and_all_states_have_one_pair_of_times() -> None:
    night, plan = planned(Scene(triggers=600, **FLC))

    assert len({(output.first_us, output.last_us) for output in plan.outputs}) == 1
    first = night.cubes[0].acquired_us[0]
    other = next(cube for cube in night.cubes if cube.camera == 2).acquired_us[0]
    assert plan.outputs[0].first_us == (first + other) // 2


def test_states_are_split_evenly_and_named() -> None:
    _, plan = planned(Scene(triggers=600, **FLC))

    assert [output.name.rsplit(".", 2)[1:] for output in plan.outputs] == [
        ["cam1", "A"],
        ["cam1", "B"],
        ["cam2", "A"],
        ["cam2", "B"],
    ]
    assert [output.frames for output in plan.outputs] == [300] * 4
    assert {output.cube for output in plan.outputs} == {0}


def test_both_cameras_have_partners_at_the_same_places() -> None:
    _, plan = planned(Scene(triggers=300, lost2=frozenset({7, 50}), lengths2=(70,), **FLC))

    by_state = {(output.camera, output.flc_state): output for output in plan.outputs}
    for state in (FlcState.A, FlcState.B):
        one, two = by_state[1, state], by_state[2, state]
        assert list(frames_of(one)) == list(partners_of(two))
        assert list(frames_of(two)) == list(partners_of(one))


#: Every card whose change begins a new output, with a value that no made cube has.
CUTS: dict[str, CardValue] = {
    "EXPTIME": 0.0015,
    "RET-ANG1": 45.0,
    "FILTER01": "625-50",
    "FILTER02": "Halpha",
    "OBJECT": "Vega",
    "DATA-TYP": "FLAT",
    "PROP-ID": "o25199",
    "U_FLCEN": True,
    "U_FLCST": "OUT",
    "U_DETMOD": "Fast",
    "OBS-MOD": "IPOL_SLOW",
}


def test_the_cards_that_cut_are_those_of_the_rules_and_no_other() -> None:
    assert set(CUTS) == set(CUTTING_CARDS)


@pytest.mark.parametrize("camera", [1, 2])
@pytest.mark.parametrize("card", CUTS)
def test_a_change_of_any_cutting_card_in_either_camera_begins_a_new_output(
    card: str, camera: int
) -> None:
    night = make_night([Scene(triggers=400)])
    _, second = (cube.raw_file for cube in night.cubes if cube.camera == camera)

    plan = plan_night(with_cards(night, {second: {card: CUTS[card]}}), LIMITS)

    assert [output.frames for output in camera1(plan)] == [200, 200]
    assert all(output.synchronised for output in plan.outputs)
    assert any(report.text.startswith(card) for report in plan.reports)


@pytest.mark.parametrize("camera", [1, 2])
@pytest.mark.parametrize(("width", "height"), [(48, 24), (32, 30)])
def test_a_change_of_the_frames_size_in_either_camera_begins_a_new_output(
    width: int, height: int, camera: int
) -> None:
    night = make_night([Scene(triggers=400)])
    _, second = (cube.raw_file for cube in night.cubes if cube.camera == camera)
    cubes = [
        replace(cube, width=width, height=height) if cube.raw_file == second else cube
        for cube in night.cubes
    ]

    assert [output.frames for output in camera1(plan_night(cubes, LIMITS))] == [200, 200]


class _Asked(dict[str, CardValue]):
    """Cards that remember what they were asked for."""

    def __init__(self, cards: Mapping[str, CardValue], asked: set[str]) -> None:
        super().__init__(cards)
        self.asked = asked

    def get(self, card: str, default: Any = None) -> Any:
        self.asked.add(card)
        return super().get(card, default)

    def __getitem__(self, card: str) -> CardValue:
        self.asked.add(card)
        return super().__getitem__(card)


def test_a_plan_asks_for_every_card_that_is_read_and_for_no_other() -> None:
    night = make_night([Scene(triggers=400, **FLC), Scene(triggers=50)])
    asked: set[str] = set()
    cubes = [replace(cube, cards=_Asked(cube.cards, asked)) for cube in night.cubes]

    plan_night(cubes, LIMITS)

    assert asked == set(DECIDING_CARDS)


def test_cameras_that_disagree_are_paired_all_the_same() -> None:
    night = make_night([Scene(triggers=100)])
    second = next(cube.raw_file for cube in night.cubes if cube.camera == 2)

    plan = plan_night(with_cards(night, {second: {"OBJECT": "Vega"}}), LIMITS)

    assert [output.frames for output in plan.outputs] == [100, 100]
    assert len(plan.reports) == 1


def test_a_long_run_is_cut_at_ten_seconds() -> None:
    _, plan = planned(
        Scene(triggers=60, period_us=500_000.0, lengths1=(60,), lengths2=(60,), noise_us=0.0)
    )

    assert [output.frames for output in camera1(plan)] == [20, 20, 20]


@pytest.mark.parametrize(("period_us", "frames"), [(430_000.0, 24), (445_000.0, 24)])
def test_with_the_crystal_on_the_cut_moves_on_to_where_no_pair_is_parted(
    period_us: float, frames: int
) -> None:
    # Ten seconds end after 24 frames at 430 ms, and after 23 at 445 ms.
    _, plan = planned(
        Scene(triggers=30, period_us=period_us, lengths1=(30,), lengths2=(30,), **FLC)
    )

    assert sum(output.frames for output in camera1(plan) if output.cube == 0) == frames
    assert all(output.flc_state is not FlcState.DUBIOUS for output in plan.outputs)


def test_no_output_exceeds_the_bytes_and_no_pair_is_parted_by_them() -> None:
    limits = CubeLimits(max_bytes=32 * 24 * 2 * 25)

    _, plain = planned(Scene(triggers=100), limits=limits)
    _, states = planned(Scene(triggers=100, **FLC), limits=limits)

    assert [output.frames for output in camera1(plain)] == [25] * 4
    assert {output.frames for output in camera1(states)} == {12, 2}
    assert all(output.flc_state is not FlcState.DUBIOUS for output in states.outputs)


def test_a_pause_of_more_than_three_seconds_begins_a_new_output() -> None:
    short = Scene(triggers=50, pause_s=2.9)
    long = Scene(triggers=50, pause_s=3.1)

    _, plan = planned(short, long, short)

    assert [output.frames for output in camera1(plan)] == [100, 50]


def test_a_long_exposure_is_no_pause() -> None:
    scene = Scene(triggers=3, period_us=4_000_000.0)
    _, exposed = planned(replace(scene, cards={"EXPTIME": 3.9}))
    _, idle = planned(replace(scene, cards={"EXPTIME": 0.5}))

    assert [output.frames for output in camera1(exposed)] == [3]
    assert [output.frames for output in camera1(idle)] == [1, 1, 1]


def test_frames_without_partner_stay_with_their_raw_cube() -> None:
    night, plan = planned(Scene(triggers=400, lost2=frozenset(range(150, 250)), lengths1=(200,)))

    solo = [output for output in plan.outputs if not output.synchronised]
    assert [output.frames for output in solo] == [50, 50]
    assert all(output.name.startswith("vcam1_") for output in solo)
    assert_complete(night.cubes, plan)


def test_untriggered_cubes_are_solo_one_output_each() -> None:
    night, plan = planned(Scene(triggers=400, cards={"EXTTRIG": False}))

    assert [output.frames for output in plan.outputs] == [200] * 4
    assert not any(output.synchronised for output in plan.outputs)
    assert plan.reports == ()
    assert_complete(night.cubes, plan)


def test_solo_frames_are_deinterleaved_too() -> None:
    night, plan = planned(Scene(triggers=200, lost2=frozenset(range(200)), **FLC))

    assert [(o.frames, o.flc_state) for o in plan.outputs] == [
        (100, FlcState.A),
        (100, FlcState.B),
    ]
    assert judge(night, plan).wrong_labels == 0


def test_cubes_without_acquisition_times_are_solo_and_dubious() -> None:
    night = make_night([Scene(triggers=200, **FLC)])
    cubes = [replace(cube, has_acquisition=False) for cube in night.cubes]

    plan = plan_night(cubes, LIMITS)

    assert [(o.frames, o.flc_state, o.synchronised) for o in plan.outputs] == [
        (200, FlcState.DUBIOUS, False)
    ] * 2
    assert len(plan.reports) == 2
    assert_complete(cubes, plan)


def test_a_frame_left_over_is_dubious_in_both_cameras() -> None:
    _, plan = planned(Scene(triggers=7, jitter_us=300.0, header_jitter_us=300, noise_us=2.0))

    assert [(o.camera, o.flc_state, o.frames) for o in plan.outputs] == [
        (1, FlcState.A, 3),
        (1, FlcState.B, 3),
        (1, FlcState.DUBIOUS, 1),
        (2, FlcState.A, 3),
        (2, FlcState.B, 3),
        (2, FlcState.DUBIOUS, 1),
    ]


def test_rejected_frames_are_listed_with_their_reasons() -> None:
    night = make_night([Scene(triggers=100)])
    first = night.cubes[0]
    times_us = first.acquired_us.copy()
    times_us[[10, 12, 14, 30]] = 0
    damaged = replace(first, acquired_us=times_us, rejected={10: "torn", 12: "torn", 14: "torn"})

    plan = plan_night([damaged, *night.cubes[1:]], LIMITS)

    assert [(r.first, r.step, r.count, r.reason) for r in plan.rejected] == [
        (10, 2, 3, "torn"),
        (30, 1, 1, "no acquisition time"),
    ]
    assert_complete([damaged, *night.cubes[1:]], plan)


def test_a_cube_of_rejected_frames_alone_makes_no_output() -> None:
    cube = replace(make_night([Scene(triggers=3)]).cubes[0], acquired_us=np.zeros(3, np.int64))

    plan = plan_night([cube], LIMITS)

    assert plan.outputs == ()
    assert sum(rejected.count for rejected in plan.rejected) == 3


def test_names_come_from_the_first_frame_before_deinterleaving() -> None:
    _, plan = planned(Scene(triggers=40, noise_us=0.0, offset_us=100.0, **FLC))

    assert plan.outputs[0].first_us == START_US + 50 + 15
    assert {output.name.split(".cam")[0] for output in plan.outputs} == {"vsync_05:10:00.000065"}


def test_names_are_unique_and_the_later_one_moves_on() -> None:
    scene = Scene(triggers=5, cards={"EXTTRIG": False}, noise_us=0.0)
    night = make_night([scene])
    twin = replace(night.cubes[0], raw_file=77)

    plan = plan_night([*night.cubes, twin], LIMITS, taken_names=["vcam2_05:10:00.000119"])

    names = [output.name for output in plan.outputs]
    assert names == [
        "vcam1_05:10:00.000000",
        "vcam1_05:10:00.000001",
        "vcam2_05:10:00.000120",
    ]
    assert len(plan.reports) == 2


def test_outputs_are_in_the_order_of_their_frame_ids() -> None:
    night, plan = planned(
        Scene(triggers=50, lost1=frozenset({20}), lost2=frozenset({0, 1})),
        Scene(triggers=30, **FLC),
    )

    keys = [
        (o.first_us, not o.synchronised, o.camera, list("ABD").index(o.flc_state or "A"))
        for o in plan.outputs
    ]
    assert keys == sorted(keys)
    ordinals = [output.cube for output in plan.outputs]
    assert ordinals == sorted(ordinals)
    assert_complete(night.cubes, plan)


def test_of_outputs_that_begin_together_the_synchronised_come_first() -> None:
    night = make_night([Scene(triggers=20, noise_us=0.0, offset_us=100.0)])
    loner = replace(
        night.cubes[0],
        raw_file=77,
        cards={**night.cubes[0].cards, "EXTTRIG": False},
        acquired_us=night.cubes[0].acquired_us + 50,
    )

    plan = plan_night([loner, *night.cubes], LIMITS)

    assert [(o.synchronised, o.camera) for o in plan.outputs] == [(True, 1), (True, 2), (False, 1)]
    assert len({o.first_us for o in plan.outputs}) == 1


def test_the_larger_camera_decides_how_many_frames_fit() -> None:
    night = make_night([Scene(triggers=100)])
    cubes = [replace(cube, height=cube.height * cube.camera) for cube in night.cubes]

    plan = plan_night(cubes, CubeLimits(max_bytes=32 * 48 * 2 * 25))

    assert [output.frames for output in camera1(plan)] == [25] * 4


def test_the_order_of_the_files_does_not_matter() -> None:
    night, plan = planned(
        Scene(triggers=300, lost1=frozenset({3}), **FLC), Scene(triggers=40, period_us=9000.0)
    )

    assert plan_night(night.cubes[::-1], LIMITS).outputs == plan.outputs


def test_cubes_that_overlap_in_time_lose_no_frame() -> None:
    night = make_night([Scene(triggers=100, lengths1=(50,), lengths2=(100,))])
    shifted = replace(night.cubes[1], acquired_us=night.cubes[1].acquired_us - 50 * 2000 + 900)
    cubes = [night.cubes[0], shifted, *night.cubes[2:]]

    plan = plan_night(cubes, LIMITS)

    assert_complete(cubes, plan)


def test_the_header_is_that_of_the_cameras_first_raw_cube() -> None:
    night, plan = planned(Scene(triggers=600, lengths1=(200,), lengths2=(150,)))

    firsts = {
        camera: next(cube.raw_file for cube in night.cubes if cube.camera == camera)
        for camera in (1, 2)
    }
    assert {o.camera: o.header_file for o in plan.outputs} == firsts


def test_a_missing_jitter_is_estimated_and_said_so() -> None:
    night, plan = planned(Scene(triggers=300, jitter_us=100.0, header_jitter_us=None))

    assert judge(night, plan).dubious == 0
    assert any(
        "show J = 1" in report.text or "show J = 99" in report.text for report in plan.reports
    )


def test_an_empty_night_has_an_empty_plan() -> None:
    assert plan_night([], LIMITS) == Plan(outputs=(), rejected=(), reports=())


def test_a_frame_in_two_places_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    night = make_night([Scene(triggers=50)])
    monkeypatch.setattr(cubes_module, "_matched", lambda *_: {})

    with pytest.raises(IntegrityError, match="50 of 50 frames"):
        plan_night(night.cubes, LIMITS)


@pytest.mark.parametrize("flc", [{}, FLC], ids=["", "flc"])
def test_a_plan_without_one_cube_changes_no_more_than_it_must(flc: dict[str, Any]) -> None:
    """Seventy seconds without a pause: without a hint, all cuts behind the gap would move."""
    night = make_night([Scene(triggers=7000, period_us=10_000.0, lengths1=(150,), **flc)])
    before = plan_night(night.cubes, LIMITS)
    lost = sorted(cube.raw_file for cube in night.cubes if cube.camera == 1)[6]
    begins_us = sorted({output.first_us for output in before.outputs if output.synchronised})

    left = [cube for cube in night.cubes if cube.raw_file != lost]
    after = plan_night(left, LIMITS, begins_us=begins_us)
    without_hint = plan_night(left, LIMITS)

    def content(plan: Plan) -> set[tuple[Any, ...]]:
        return {
            (output.name, output.first_us, output.last_us, output.header_file, output.segments)
            for output in plan.outputs
        }

    touched = {
        output.cube
        for output in before.outputs
        for segment in output.segments
        if lost in {segment.raw_file, segment.partner_file}
    }
    others = [output for output in before.outputs if output.cube not in touched]
    kept = content(before) & content(after)
    assert len(touched) == 2  # it lay where one cube ended and the next began
    assert len(others) >= 10
    assert len(kept) == len(others)
    assert len(content(before) & content(without_hint)) < len(others)
    assert_complete(left, after)
