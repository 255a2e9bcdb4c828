"""The whole corpus."""

from __future__ import annotations

from collections.abc import Iterator

from tests.poison import card_cases, header_cases, thing_cases, timing_cases
from tests.poison.case import Case, Taken


def cases() -> list[Case]:
    """All cases, in an order that stays."""
    found = [
        *_good(),
        *card_cases.shape_cards(),
        *card_cases.value_cards(),
        *card_cases.odd_cards(),
        *header_cases.headers(),
        *header_cases.sizes(),
        *timing_cases.rows(),
        *timing_cases.row_values(),
        *timing_cases.clocks(),
        *thing_cases.things(),
        *thing_cases.names(),
    ]
    assert len({case.name for case in found}) == len(found)
    return found


def _good() -> Iterator[Case]:
    for number in range(6):
        yield Case(name=f"good {number}", make=lambda place: place.write(), expected=Taken())
