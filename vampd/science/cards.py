"""Header cards: read the raw ones, write the output's."""

from __future__ import annotations

from collections.abc import Sequence

from vampd.records import CardValue
from vampd.science.times import CubeTimes
from vampd.states import FlcState


def parse_card(card: str) -> tuple[str, CardValue]:
    """Keyword and value of one 80-character card."""
    raise NotImplementedError


def output_cards(
    raw_cards: Sequence[str],
    *,
    frames: int,
    times: CubeTimes,
    synchronised: bool,
    flc_state: FlcState,
    frame_id: str | None,
) -> tuple[list[str], list[str]]:
    """The image's final cards, in the raw order, and what was left as it was."""
    raise NotImplementedError
