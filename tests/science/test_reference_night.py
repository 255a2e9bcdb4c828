"""The reference night, where it lies beside the checkout: every frame against its truth."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.made_night import frames_of, partners_of
from vampd.records import CardValue, Plan, RawCube
from vampd.science.cards import parse_card
from vampd.science.cubes import DECIDING_CARDS, CubeLimits, plan_night
from vampd.science.timing import output_timing, parse_timing
from vampd.states import FlcState

_BESIDE = Path(__file__).parents[3] / "shared" / "nights" / "reference"
ROOT = Path(os.environ.get("VAMPD_REFERENCE_NIGHT", _BESIDE))
NIGHT = ROOT if ROOT.name.isdigit() else ROOT / "20251106"
TRUTH = NIGHT.with_name(f"{NIGHT.name}.truth.json")

pytestmark = pytest.mark.skipif(not TRUTH.exists(), reason="no reference night here")


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(TRUTH.read_text())
    return told


@pytest.fixture(scope="module")
def cubes() -> list[RawCube]:
    """The night's good cubes, read with a few lines."""
    found: list[RawCube] = []
    for path in sorted(NIGHT.glob("vcam?/*.fits")):
        timing_path = path.with_suffix(".txt")
        cards = header(path)
        if not timing_path.exists() or not cards.get("EXPTIME"):
            continue
        timing = parse_timing(timing_path.read_bytes())
        if len(timing.rows) != cards.get("NAXIS3", 1):
            continue
        width, height = cards["NAXIS1"], cards["NAXIS2"]
        assert isinstance(width, int)
        assert isinstance(height, int)
        found.append(
            RawCube(
                raw_file=len(found),
                path=str(path.relative_to(NIGHT)),
                camera=int(path.parent.name[-1]),
                width=width,
                height=height,
                cards={card: cards[card] for card in DECIDING_CARDS if card in cards},
                acquired_us=timing.acquired_us,
            )
        )
    return found


@pytest.fixture(scope="module")
def plan(cubes: list[RawCube]) -> Plan:
    return plan_night(cubes, CubeLimits())


def header(path: Path) -> dict[str, CardValue]:
    text = path.read_bytes()[: 2880 * 20].decode("latin-1")
    cards: dict[str, CardValue] = {}
    for start in range(0, len(text), 80):
        card = text[start : start + 80]
        if card.startswith("END "):
            break
        keyword, value = parse_card(card)
        cards.setdefault(keyword, value)
    return cards


def test_all_times_are_read_as_they_were(cubes: list[RawCube], truth: dict[str, Any]) -> None:
    times = {entry["path"]: entry["t_us"] for entry in truth["files"]}

    assert all(np.array_equal(cube.acquired_us, times[cube.path]) for cube in cubes)


def test_timing_files_are_written_as_the_logger_does() -> None:
    for path in sorted(NIGHT.glob("vcam?/*.txt")):
        content = path.read_bytes()
        timing = parse_timing(content)

        written = output_timing(timing.rows, timing.acquired_us, timing.comments)

        # Column 3 is the logger's float, off by a nanosecond here and there.
        without = [line[:22] + line[39:] for line in content.split(b"\n")]
        assert [line[:22] + line[39:] for line in written.split(b"\n")] == without


def test_every_pair_and_every_label_is_the_true_one(
    cubes: list[RawCube], plan: Plan, truth: dict[str, Any]
) -> None:
    exposure = {
        (cube.raw_file, place): (entry["scene"], number)
        for cube in cubes
        for entry in truth["files"]
        if entry["path"] == cube.path
        for place, number in enumerate(entry["frames"])
    }
    state = {scene["scene"]: scene["state"] for scene in truth["scenes"]}
    paired = set()
    for output in plan.outputs:
        own = [exposure[frame] for frame in frames_of(output)]
        if output.synchronised:
            assert own == [exposure[frame] for frame in partners_of(output)]
            paired |= set(own)
        if output.flc_state in {FlcState.A, FlcState.B}:
            expected = -1 if output.flc_state is FlcState.A else 1
            assert {state[scene][number] for scene, number in own} == {expected}
    seen: dict[int, set[tuple[int, int]]] = {1: set(), 2: set()}
    for cube in cubes:
        if cube.cards["EXTTRIG"] is True:
            frames = range(len(cube.acquired_us))
            seen[cube.camera] |= {exposure[cube.raw_file, frame] for frame in frames}
    assert paired == seen[1] & seen[2]


def test_the_scenes_become_what_they_should(plan: Plan) -> None:
    made = {
        (output.name[:11], output.camera, str(output.flc_state)): output.frames
        for output in plan.outputs
        if output.synchronised and output.camera == 1
    }

    assert made["vsync_05:10", 1, ""] == 300
    assert made["vsync_05:18", 1, "A"] == made["vsync_05:18", 1, "B"] == 11
    assert made["vsync_05:22", 1, "A"] == made["vsync_05:22", 1, "B"] == 200
    assert sum(1 for o in plan.outputs if o.name.startswith("vsync_05:11")) == 16
    assert [o.frames for o in plan.outputs if not o.synchronised][:4] == [20] * 4
    assert len(plan.outputs) == 73
