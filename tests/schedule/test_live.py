"""A night that is worked on while it is written comes out as one that waited."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live_night import LiveScene
from vampd.ledger import live, outputs
from vampd.simulation.night import SimulatedNight, reference_night
from vampd.simulation.random_scenes import random_night
from vampd.states import Kind, OutputState


def _both(
    folder: Path, night: SimulatedNight, kind: Kind = Kind.ARCHIVE, more: str = ""
) -> tuple[dict[str, str], dict[str, str], int, int]:
    """What comes out live and waiting; how many outputs were planned, and safe, before the close."""
    waiting = LiveScene(folder / "waiting", night, live=False, kind=kind, more=more)
    with waiting.begun():
        waiting.play()
        assert not outputs.outputs_of(waiting.ledger, waiting.night["id"])
        waiting.close()
        slow = waiting.products()
    playing = LiveScene(folder / "live", night, live=True, kind=kind, more=more)
    with playing.begun():
        playing.play()
        rows = outputs.outputs_of(playing.ledger, playing.night["id"])
        verified = [row for row in rows if row["state"] == OutputState.VERIFIED]
        playing.close()
        row = live.row_of(playing.ledger, playing.night["id"])
        assert row is not None
        print(dict(row))
        return playing.products(), slow, len(rows), len(verified)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_reference_night_comes_out_the_same_live(tmp_path: Path, kind: Kind) -> None:
    fast, slow, planned, verified = _both(tmp_path, reference_night(), kind)

    assert fast == slow
    print(planned, verified)
    assert planned > 40
    assert verified > 40


@pytest.mark.parametrize("seed", range(3))
def test_random_nights_come_out_the_same_live(tmp_path: Path, seed: int) -> None:
    night = random_night(seed, count=6, most_triggers=200, with_faults=True)

    fast, slow, _, _ = _both(tmp_path, night)

    assert fast == slow
