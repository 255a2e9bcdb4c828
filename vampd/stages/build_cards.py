"""The cards of an output: those of its first raw cube that every reader takes, and our own."""

from __future__ import annotations

from msgspec import Struct

from vampd.io.conformity import Readable
from vampd.io.fits import reserved_cards
from vampd.io.header import RawHeader
from vampd.records import CardReport
from vampd.science.card_text import keyword_of
from vampd.science.cards import output_cards
from vampd.science.times import CubeTimes
from vampd.states import FlcState


class CardArguments(Struct, frozen=True, kw_only=True):
    """What our own cards say: see `output_cards`."""

    frames: int
    times: CubeTimes
    synchronised: bool
    flc_state: FlcState
    frame_id: str | None


_ODD_END = CardReport(
    keyword="END", what="END: followed by other bytes than blanks, which no output has", card="END"
)


def image_cards(
    header: RawHeader, arguments: CardArguments, readable: Readable
) -> tuple[list[str], list[CardReport]]:
    """The final cards of an output's image, and what was not kept as the raw *header* has it.

    Whatever is left out or altered here lies in the
    night's sidecar as it was.
    """
    cards, reports = output_cards(
        header.cards,
        altered=header.altered,
        frames=arguments.frames,
        times=arguments.times,
        synchronised=arguments.synchronised,
        flc_state=arguments.flc_state,
        frame_id=arguments.frame_id,
    )
    if header.ends_oddly:
        reports.append(_ODD_END)
    taken = reserved_cards(cards)
    reports += [_left_out(card, "a compressed cube has its own") for card in taken]
    kept, refused = readable.cards([card for card in cards if card not in taken])
    return kept, reports + [_left_out(card, why) for card, why in refused]


def _left_out(card: str, why: str) -> CardReport:
    keyword = keyword_of(card)
    what = f"{keyword or 'a card'}: left out of the outputs: {why}"
    return CardReport(keyword=keyword, what=what, card=card.strip())
