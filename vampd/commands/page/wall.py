"""The wall of a night: pictures of its newest cubes, both cameras side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from vampd.commands.page.paging import Asked, Paging, paging
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import FlcState
from vampd.views.exposures import Settings, settings
from vampd.views.quick_looks import LookedAt, of_cubes

#: On the night's own page, and on the pages that have nothing else.
_FEW, _MANY = 6, 24


class Tile(Struct, frozen=True, kw_only=True):
    """One picture of an output."""

    look: LookedAt
    what: str  #: one of `vampd.views.quick_looks.PICTURES`


class Card(Struct, frozen=True, kw_only=True):
    """One cube: the tiles of each camera, in the order of their states, the difference last."""

    first_us: int
    settings: Settings
    cameras: dict[int, list[Tile]]


def wall_context(
    ledger: Reader, night: Night, asked: Asked, *, is_whole: bool = False
) -> dict[str, Any]:
    """The cards of a page of the wall, those taken last first, and its paging."""
    size = _MANY if is_whole else _FEW
    _, total = of_cubes(ledger, night.id, count=0)
    page: Paging = paging(asked, size=size, total=total)
    groups, _ = of_cubes(ledger, night.id, count=size, offset=page.first)
    return {"cards": [card(group) for group in groups], "paging": page}


def card(looks: Sequence[LookedAt]) -> Card:
    """One cube's looks as a card."""
    cameras: dict[int, list[Tile]] = {}
    for look in looks:
        cameras.setdefault(look.camera, []).append(Tile(look=look, what="mean"))
    for look in looks:
        if has_difference(look, looks):
            cameras[look.camera].append(Tile(look=look, what="a-b"))
    return Card(
        first_us=min(look.first_us for look in looks),
        settings=settings(looks[0].cards),
        cameras=dict(sorted(cameras.items())),
    )


def has_difference(look: LookedAt, looks: Sequence[LookedAt]) -> bool:
    """Whether A minus B was made of *look*: it is of state A, and its B is among *looks*."""
    return look.flc_state is FlcState.A and any(
        other.flc_state is FlcState.B
        and (other.camera, other.synchronised) == (look.camera, look.synchronised)
        for other in looks
    )
