"""A card may say anything: the plan is made, and every frame has its place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vampd.records import CardValue, RawCube
from vampd.science.cards import parse_card
from vampd.science.cubes import DECIDING_CARDS, CubeLimits, plan_night

_LIMITS = CubeLimits(max_seconds=10, max_gap_seconds=3, max_bytes=2_000_000_000)
_FIRST_US = 1_762_405_800_000_000

_CARDS: dict[str, CardValue] = {
    "EXTTRIG": True,
    "EXPTIME": 0.0049,
    "U_DETMOD": "FAST",
    "PRD-RNG2": 536,
    "U_FLCEN": True,
    "U_FLCST": "IN",
    "U_FLC": "NA",
    "U_TRIGJT": 500,
}

#: What stands behind the equals sign of a card.
_WORDS = (
    *("9223372036854775808", "-9223372036854775809", "1" * 60, "1E999", "-1E999", "1E-999"),
    *("1D308", "1E18", "1E12", "-0.0", "-1", "0", "NaN", "T", "F", "", "'       '", "'unended"),
    *("(1, 2)", "0x7F", "'a''b'"),
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(DECIDING_CARDS), st.sampled_from(_WORDS), max_size=3),
        min_size=4,
        max_size=4,
    )
)
def test_whatever_the_cards_say_the_night_is_planned(said: list[dict[str, str]]) -> None:
    intervals = 5000 + np.where(np.arange(40) % 2 == 0, 500, -500)
    cubes = []
    for number, words in enumerate(said):
        camera, later_us = number % 2 + 1, number // 2 * 400_000
        cards = _CARDS | {"DETECTOR": f"VCAM{camera} - OrcaQ"}
        cards |= dict(parse_card(f"{name:<8}= {word}".ljust(80)) for name, word in words.items())
        times = _FIRST_US + later_us + 7 * camera + np.cumsum(intervals)
        cubes.append(
            RawCube(
                raw_file=number + 1,
                path=f"cube {number}",
                camera=camera,
                width=12,
                height=8,
                cards=cards,
                acquired_us=times.astype(np.int64),
            )
        )

    plan = plan_night(cubes, _LIMITS)

    assert sum(output.frames for output in plan.outputs) == 4 * 40
