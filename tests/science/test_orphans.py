"""Timing files whose cubes were renamed are found again by camera, rows and time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.legacy.orphans import Span, match_orphans

_BEGIN_US = 1_762_405_800_000_000


@st.composite
def _nights(draw: st.DrawFn) -> list[Span]:
    """Cubes of both cameras, one after the other; the cameras' own begin at nearly one time."""
    cubes = []
    begin_us = _BEGIN_US
    for _ in range(draw(st.integers(1, 8))):
        rows = draw(st.integers(1, 60))
        period_us = draw(st.integers(2_000, 100_000))
        last_us = begin_us + (rows - 1) * period_us
        cubes += [
            Span(camera=camera, rows=rows, first_us=begin_us + shift, last_us=last_us + shift)
            for camera, shift in ((1, 0), (2, draw(st.integers(-900, 900))))
        ]
        begin_us = last_us + period_us
    return cubes


@given(_nights(), st.randoms(use_true_random=False))
def test_each_cube_gets_its_own(cubes: list[Span], random: object) -> None:
    """The timing files bear the pairs' times, and lie there in any order."""
    orphans = [
        replace(cube, first_us=cube.first_us + 400, last_us=cube.last_us + 400) for cube in cubes
    ]
    order = list(range(len(cubes)))
    random.shuffle(order)  # type: ignore[attr-defined]

    found = match_orphans(cubes, [orphans[place] for place in order])

    assert {place: order[number] for place, number in found.items()} == dict(
        enumerate(range(len(cubes)))
    )


@given(_nights(), st.data())
def test_none_is_given_to_a_cube_of_another_camera_length_or_time(
    cubes: list[Span], data: st.DataObject
) -> None:
    cube = data.draw(st.sampled_from(cubes))
    assert cube.camera is not None
    away = data.draw(st.integers(150_000, 30_000_000) | st.integers(-30_000_000, -150_000))
    wrong = [
        replace(cube, camera=3 - cube.camera),
        replace(cube, rows=cube.rows + 1),
        replace(cube, first_us=cube.first_us + away, last_us=cube.last_us + away),
        replace(cube, last_us=cube.last_us + (cube.last_us - cube.first_us) + 2_000),
    ]

    assert match_orphans([cube], wrong) == {}


def test_a_header_in_atomic_time_is_no_hindrance() -> None:
    cube = Span(camera=1, rows=60, first_us=_BEGIN_US + 37_000_000, last_us=_BEGIN_US + 37_295_000)
    orphan = replace(cube, first_us=_BEGIN_US + 90, last_us=_BEGIN_US + 295_090)

    assert match_orphans([cube], [orphan]) == {0: 0}


def test_without_a_camera_in_its_name_a_file_may_be_either_s() -> None:
    cube = Span(camera=2, rows=3, first_us=_BEGIN_US, last_us=_BEGIN_US + 2_000)

    assert match_orphans([cube], [replace(cube, camera=None)]) == {0: 0}
