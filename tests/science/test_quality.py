"""A night's quality is counted against what its cubes could have given."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.made_night import MadeNight, Scene, make_night
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.quality import Quality, QualityLimits, measure, out_of_limits

LIMITS = QualityLimits(
    least_synchronised_percent=90,
    most_dubious_percent=5,
    most_drift_us=200,
    most_state_difference_percent=1,
)
_CUBES = CubeLimits(max_seconds=10, max_gap_seconds=3, max_bytes=2_000_000_000)


def quality_of(night: MadeNight) -> Quality:
    return measure(night.cubes, plan_night(night.cubes, _CUBES))


def outside(quality: Quality) -> list[str]:
    return [found.measure for found in out_of_limits(quality, LIMITS)]


def test_a_good_night_is_within_its_limits() -> None:
    quality = quality_of(make_night([Scene(triggers=400, jitter_us=500, header_jitter_us=500)]))

    assert quality.synchronised == 800
    assert quality.a == quality.b
    assert outside(quality) == []


def test_what_one_camera_takes_alone_could_not_have_a_partner() -> None:
    alone = Scene(triggers=100, lost2=frozenset(range(100)))

    quality = quality_of(make_night([Scene(triggers=200), alone]))

    assert (quality.expected, quality.synchronised) == (400, 400)
    assert outside(quality) == []


def test_frames_that_one_camera_lost_are_missed_by_the_other() -> None:
    lost = frozenset(range(1, 400, 3))

    quality = quality_of(make_night([Scene(triggers=400, lost2=lost)]))

    assert quality.synchronised == 2 * (400 - len(lost))
    assert outside(quality) == ["synchronised"]


@pytest.mark.parametrize(("bad", "expected"), [(40, []), (41, ["rejected"])])
def test_frames_that_are_in_no_output_are_counted_against_all(
    bad: int, expected: list[str]
) -> None:
    cubes = make_night([Scene(triggers=400)]).cubes
    first = next(cube for cube in cubes if cube.camera == 1)
    times_us = first.acquired_us.copy()
    times_us[:bad] = 0
    some = [replace(cube, acquired_us=times_us) if cube is first else cube for cube in cubes]
    plan = plan_night(some, _CUBES)
    elsewhere = replace(plan.rejected[0], raw_file=999, count=10_000)

    quality = measure(some, replace(plan, rejected=(*plan.rejected, elsewhere)))

    assert (quality.rejected, quality.frames) == (bad, sum(len(c.acquired_us) for c in cubes))
    assert [found for found in outside(quality) if found == "rejected"] == expected


def test_a_jitter_that_drowns_in_noise_makes_a_dubious_night() -> None:
    noisy = Scene(triggers=300, jitter_us=30, header_jitter_us=30, noise_us=25)

    quality = quality_of(make_night([noisy]))

    assert quality.with_flc == quality.a + quality.b + quality.dubious
    assert "dubious" in outside(quality)


def test_an_offset_that_moves_within_a_readout_mode_is_a_drift() -> None:
    night = make_night([Scene(triggers=200, offset_us=50), Scene(triggers=200, offset_us=330)])

    quality = quality_of(night)

    assert quality.drift_us == pytest.approx(280, abs=5)
    assert outside(quality) == ["drift"]


def test_readout_modes_have_offsets_of_their_own() -> None:
    slow = Scene(triggers=200, offset_us=600, slow=True, period_us=20_000)

    quality = quality_of(make_night([Scene(triggers=200, offset_us=50), slow]))

    assert quality.drift_us < 10


def test_unequal_numbers_of_states_are_told() -> None:
    quality = Quality(expected=0, synchronised=0, with_flc=300, a=200, b=100, dubious=0, drift_us=0)

    [found] = out_of_limits(quality, LIMITS)

    assert found.measure == "states"
    assert "200 A and 100 B" in found.text


def test_an_empty_plan_is_within_its_limits() -> None:
    assert outside(measure([], plan_night([], _CUBES))) == []
