"""The orders that the full screen offers: a key each, what is asked for, what comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from vampd.allowed import Verdict, decide
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.verbs import TYPED, Verb


class Offer(Struct, frozen=True, kw_only=True):
    """One order. *given*: its arguments beside the night, as the command gives them.

    *asks*: the argument that a person is asked for, or "".
    """

    key: str
    order: str
    verb: Verb  #: its line of the table of `vampd.allowed`
    asks: str = ""
    question: str = ""
    is_needed: bool = False  #: what is asked for must be said
    given: Mapping[str, Any] = field(default_factory=dict)

    def typed(self, name: str) -> str:
        """The command that does the same for the night *name*."""
        return TYPED[self.verb].format_map({"name": name})


OFFERS: tuple[Offer, ...] = (
    Offer(key="r", order="retry", verb=Verb.RETRY, given={"from": None}),
    Offer(key="l", order="release", verb=Verb.RELEASE),
    Offer(
        key="h",
        order="hold",
        verb=Verb.HOLD,
        asks="why",
        question="The reason, for the ledger:",
        is_needed=True,
    ),
    Offer(
        key="a",
        order="ack",
        verb=Verb.ACK,
        asks="note",
        question="What the archive wrote, or where (may stay empty):",
        given={"force": False, "revoke": False, "why": None},
    ),
)


def verdicts(reader: Reader, night: Night) -> Mapping[str, Verdict]:
    """What comes of each order in this state of the night, by the one table."""
    # Late: what the orders need is not loaded before the first night is looked at.
    from vampd.orders.standing import standing_as_read

    standing = standing_as_read(reader, night)
    return {offer.order: decide(standing, offer.verb) for offer in OFFERS}
