"""What a header card may look like: the FITS standard 4.0, section 4, and nothing else.

Cards are texts of 80 printable characters. A card that the standard does not know is read by one
program and refused, or read otherwise, by the next; so none of them gets into an output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

CARD_LENGTH = 80
VALUE_START = 10  #: after "KEYWORD = "

#: Keywords of cards that have no value, whatever follows.
COMMENTARY = frozenset({"", "COMMENT", "HISTORY", "HIERARCH", "CONTINUE", "END"})

_REAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?"
_STRING = r"'(?:[^']|'')*'"
_VALUE = rf"(?:{_STRING}|[TF]|{_REAL}|\( *{_REAL} *, *{_REAL} *\))?"
_FIELD = rf" *{_VALUE} *(?:/.*)?"

_KEYWORD = re.compile(r"[A-Z0-9_-]+ *")
_VALUE_FIELD = re.compile(_FIELD)
_CONTINUATION = re.compile(rf"CONTINUE   *({_STRING}) *(?:/.*)?")
_LONG_NAME = re.compile(rf"HIERARCH +[!-<>-~]+(?: +[!-<>-~]+)* *={_FIELD}")
_STRING_FIELD = re.compile(rf"(?:[^=]*= )? *({_STRING})")
# What C prints for a small number.
_SMALL_EXPONENT = re.compile(r"\A( *[+-]?(?:\d+\.?\d*|\.\d+))([ed])(?=[+-]?\d+ *(?:/|\Z))")

NO_KEYWORD = "FITS has no such keyword (1 to 8 of A to Z, 0 to 9, - and _)"
NO_VALUE = "FITS knows no such value"
NO_INDICATOR = 'it has no value, for "= " is not in columns 9 and 10'
NO_START = "it continues no text"


def keyword_of(card: str) -> str:
    """The keyword, without the blanks behind it."""
    return card[:8].rstrip()


def refusal(card: str) -> str | None:
    """Why the standard has no such card; None: it has. Of `long_strings` the first card decides."""
    keyword = keyword_of(card)
    if keyword == "CONTINUE":
        return NO_START
    if keyword == "HIERARCH":  # a convention
        return None if _LONG_NAME.fullmatch(card) else NO_VALUE
    if keyword in COMMENTARY:
        return None
    if not _KEYWORD.fullmatch(card[:8]):
        return NO_KEYWORD
    # Without "= " there, all behind it is a comment to the standard (section 4.1.2.2) and to
    # CFITSIO, but astropy warns of it each time; mostly a value was meant.
    if card[8:VALUE_START] != "= ":
        return NO_INDICATOR
    return None if _VALUE_FIELD.fullmatch(card[VALUE_START:]) else NO_VALUE


def mended(card: str) -> str:
    """The card with its exponent in capitals, as the standard wants it; else as it is."""
    if keyword_of(card) in COMMENTARY or card[8:VALUE_START] != "= ":
        return card
    field = _SMALL_EXPONENT.sub(lambda found: found[1] + found[2].upper(), card[VALUE_START:])
    return card[:VALUE_START] + field


def long_strings(cards: Sequence[str]) -> list[list[int]]:
    """The places of the cards, in groups: one card, and those that continue its text.

    A text goes on where it ends in "&" and the next card is CONTINUE with a text of its own
    (section 4.2.1.2).
    """
    groups: list[list[int]] = []
    goes_on = False
    for place, card in enumerate(cards):
        continuation = _CONTINUATION.fullmatch(card)
        if goes_on and continuation:
            groups[-1].append(place)
            text = continuation[1]
        else:
            groups.append([place])
            text = _text(card)
        goes_on = text[1:-1].rstrip().endswith("&")
    return groups


def _text(card: str) -> str:
    """The string of a card, with its quotes; empty where it has none."""
    if keyword_of(card) in COMMENTARY - {"HIERARCH"}:
        return ""
    found = _STRING_FIELD.match(card)
    return found[1] if found else ""
