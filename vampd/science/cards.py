"""Header cards: read the raw ones, write the outputs'.

The rules of a card's text are those of the FITS standard 4.0, section 4; the printf
format of each keyword is the observatory's dictionary (`dictionary.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from vampd.records import CardReport, CardValue
from vampd.science import card_text
from vampd.science.card_text import CARD_LENGTH, COMMENTARY, VALUE_START, keyword_of
from vampd.science.dictionary import BOOLEAN, FORMATS
from vampd.science.times import CubeTimes
from vampd.states import FlcState

_NUMBER_END = 30  # fixed-format values end here, columns counted from 1
_STALE = frozenset({"CHECKSUM", "DATASUM"})  # of the raw cube, all frames and all
_STRUCTURE = re.compile(r"SIMPLE|BITPIX|NAXIS\d*|BSCALE|BZERO")
_FIXED = re.compile(r"SIMPLE|BITPIX|NAXIS[12]")  # in fixed format: section 4.2
_NO_AXIS = re.compile(r"NAXIS(?![123]\Z)\d+")
# What says how the file is to be read: of two such cards each reader takes another.
_ONCE = re.compile(
    r"SIMPLE|BITPIX|NAXIS\d?|BSCALE|BZERO|BLANK|EXTEND|EXTNAME|EXTVER|EXTLEVEL|INHERIT"
    r"|PCOUNT|GCOUNT|GROUPS|BLOCKED"
)
# The value, or type of value, that such cards must have.
_DEMANDED: Mapping[str, object] = {
    "EXTEND": bool,
    "INHERIT": bool,
    "BLOCKED": bool,
    "EXTNAME": str,
    "EXTVER": int,
    "EXTLEVEL": int,
    "BLANK": int,
    "PCOUNT": 0,
    "GCOUNT": 1,
    "GROUPS": False,
}
_ANYTHING = object()
_STRING = re.compile(r"'((?:[^']|'')*)'")
_INTEGER = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")


class _Malformed:
    """Stands for a value field that the FITS standard does not know."""


def parse_card(card: str) -> tuple[str, CardValue]:
    """Keyword and value of a card of 80 characters.

    The value is None where the card has none, or one that the standard does not know
    (an unquoted word, NaN). Strings lose their trailing blanks. D exponents are read.
    """
    keyword, field, _ = _split(card)
    value = None if field is None else _value(field)
    return keyword, None if isinstance(value, _Malformed) else value


def value_text(card: str) -> tuple[str, str]:
    """Keyword and value of a card of 80 characters as it is written, a string without its quotes.

    Empty where the card has none: how many decimals a number has is lost in its value.
    """
    keyword, field, _ = _split(card)
    quoted = _STRING.fullmatch(field or "")
    return keyword, quoted[1].replace("''", "'").rstrip() if quoted else field or ""


def output_cards(
    raw_cards: Sequence[str],
    *,
    frames: int,
    times: CubeTimes,
    synchronised: bool,
    flc_state: FlcState,
    frame_id: str | None,
    altered: AbstractSet[int] = frozenset(),
) -> tuple[list[str], list[CardReport]]:
    """The final cards of an output's image, without END, and what was not kept as it was.

    *raw_cards* are those of its first raw cube, in printable ASCII; of those at the places
    *altered* some bytes were others. Their order, and the comments that fit, are kept. NAXIS is 3
    even for one *frames*. Our own cards are set where they stand, else appended; of cards that
    occur twice the first one counts. FRAMEID and EXP-ID are touched only where a *frame_id* is
    given. Every card is one of the FITS standard: a raw one that is not is left out, together with
    what continues its text.
    """
    ours = _our_values(frames, times, synchronised, flc_state, frame_id)
    missing = dict(ours)
    cards: list[str] = []
    reports: list[CardReport] = []
    seen: set[str] = set()
    for places in card_text.long_strings(raw_cards):
        group = [raw_cards[place] for place in places]
        keyword, _, comment = _split(group[0])
        if keyword in missing:
            cards.append(_card(keyword, missing.pop(keyword), comment))
        elif keyword in ours or (keyword in seen and _ONCE.fullmatch(keyword)):
            is_told = _ONCE.fullmatch(keyword) is not None
            reports += [_left_out(group[0], "it was given before")] if is_told else []
        elif keyword not in _STALE and keyword != "END":
            kept, more = _kept(group, is_altered=not altered.isdisjoint(places))
            cards += kept
            reports += more
        seen.add(keyword)
        if keyword == "NAXIS2" and _keyword_at(raw_cards, places[-1] + 1) != "NAXIS3":
            cards += [_card("NAXIS3", missing.pop("NAXIS3"), "")] if "NAXIS3" in missing else []
    cards += [_card(keyword, text, "") for keyword, text in missing.items()]
    return cards, reports


def _our_values(
    frames: int,
    times: CubeTimes,
    synchronised: bool,  # noqa: FBT001 - one caller, which names it
    flc_state: FlcState,
    frame_id: str | None,
) -> dict[str, str]:
    """The value texts of the cards that are ours, in the order in which they are appended."""
    values = {
        "NAXIS": "3",
        "NAXIS3": str(frames),
        "U_SYNC": "T" if synchronised else "F",
        "U_FLC": _quoted(flc_state.value or "NA"),
        "DATE-OBS": _quoted(times.date_obs),
        "UT-STR": _quoted(times.ut_str),
        "UT-END": _quoted(times.ut_end),
        "UT": _quoted(times.ut),
        "HST-STR": _quoted(times.hst_str),
        "HST-END": _quoted(times.hst_end),
        "HST": _quoted(times.hst),
        "MJD-STR": times.mjd_str,
        "MJD-END": times.mjd_end,
        "MJD": times.mjd,
    }
    if frame_id is not None:
        values["FRAMEID"] = _quoted(frame_id)
        values["EXP-ID"] = _quoted(f"{frame_id[:3]}E{frame_id[4:]}")
    return values


def _keyword_at(cards: Sequence[str], place: int) -> str:
    return keyword_of(cards[place]) if place < len(cards) else ""


def _kept(group: Sequence[str], *, is_altered: bool) -> tuple[list[str], list[CardReport]]:
    """A raw card and what continues it, as an output has them; and what is to be told of them."""
    raw = group[0]
    card = card_text.mended(raw)
    why = card_text.refusal(card) or _misfit(card)
    if why is not None:
        return [], [_left_out(raw, why)]
    reports = []
    if is_altered:
        what = ": bytes that FITS forbids are blanks or ? in the outputs"
        reports.append(_told(raw, what))
    formatted, complaint = _formatted(card, continued=len(group) > 1)
    if complaint:
        reports.append(_told(raw, complaint))
    elif formatted == card != raw:
        reports.append(_told(raw, ": its exponent is written as FITS wants it, with a capital"))
    return [formatted, *group[1:]], reports


def _told(raw: str, what: str) -> CardReport:
    keyword = keyword_of(raw)
    return CardReport(keyword=keyword, what=(keyword or "a card") + what, card=raw.strip())


def _left_out(raw: str, why: str) -> CardReport:
    return _told(raw, f": left out of the outputs: {why}")


def _misfit(card: str) -> str | None:
    """Why a card that the standard knows cannot stand in the header of a cube like ours."""
    keyword, value = parse_card(card)
    if _NO_AXIS.fullmatch(keyword):
        return "a cube has three axes"
    demanded = _DEMANDED.get(keyword, _ANYTHING)
    # By type too: True would equal 1.
    is_it = type(value) is demanded or (type(value), value) == (type(demanded), demanded)
    return None if is_it or demanded is _ANYTHING else "readers would take the cube for another"


def _formatted(card: str, *, continued: bool) -> tuple[str, str]:
    """The card in its dictionary format, and a complaint where it stays as it is."""
    keyword, field, comment = _split(card)
    printf = FORMATS.get(keyword)
    if _FIXED.fullmatch(keyword) and field is not None:
        fixed = f"{keyword:<8}= {field:>20}"
        return (card if card.startswith(fixed) else _card(keyword, field, comment)), ""
    if printf is None or field is None or _STRUCTURE.fullmatch(keyword):
        return card, ""
    value = _value(field)
    if printf.endswith("s"):
        text = _string_text(printf, value, continued=continued)
    elif printf == BOOLEAN:
        text = "" if isinstance(value, bool) else None
    else:
        text = _number_text(printf, value)
    if text is None:
        return card, f" does not suit {printf}; left as it is"
    return (_card(keyword, text, comment) if text else card), ""


def _string_text(printf: str, value: CardValue | _Malformed, *, continued: bool) -> str | None:
    """A string card's new value; empty where it keeps its own, None where it is no string."""
    if not isinstance(value, str):
        return None
    _, point, precision = printf[:-1].partition(".")
    if not point or len(value) <= int(precision):
        return ""
    # The rest of a continued string would dangle behind a cut one.
    return None if continued else _quoted(value[: int(precision)])


def _number_text(printf: str, value: CardValue | _Malformed) -> str | None:
    """What printf gives for a number; None where *value* is none, or the text is too long."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        if printf.endswith("d"):
            text = (printf % _whole(value)).strip()
        else:
            text = (printf % _finite(value)).strip()
    except (ValueError, OverflowError):
        return None
    return text if len(text) <= CARD_LENGTH - VALUE_START else None


def _whole(value: float) -> int:
    if not isinstance(value, int) and _finite(value) != math.floor(value):
        msg = f"{value} is not a whole number"
        raise ValueError(msg)
    return int(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        msg = f"{value} is not finite"
        raise ValueError(msg)
    return float(value)


def _split(card: str) -> tuple[str, str | None, str]:
    """Keyword, value field and comment of a card; the field is None where it has none."""
    keyword = card[:8].rstrip()
    if keyword in COMMENTARY or card[8:10] != "= ":
        return keyword, None, ""
    rest = card[VALUE_START:CARD_LENGTH]
    quoted = _STRING.match(rest.lstrip())
    if quoted:
        start = len(rest) - len(rest.lstrip()) + quoted.end()
        field, rest = rest[:start], rest[start:]
        middle, _, comment = rest.partition("/")
        return keyword, (field + middle).strip(), comment.strip()
    field, _, comment = rest.partition("/")
    return keyword, field.strip(), comment.strip()


def _value(field: str) -> CardValue | _Malformed:
    """The value of a value field that was stripped of its blanks."""
    if field == "":
        return None
    if field in {"T", "F"}:
        return field == "T"
    quoted = _STRING.fullmatch(field)
    if quoted:
        return quoted[1].replace("''", "'").rstrip()
    if _INTEGER.fullmatch(field):
        return int(field)
    if _REAL.fullmatch(field):
        return float(field.upper().replace("D", "E"))
    return _Malformed()


def _quoted(value: str) -> str:
    """A string value; the standard wants eight characters at least between the quotes."""
    return "'" + value.replace("'", "''").ljust(8) + "'"


def _card(keyword: str, text: str, comment: str) -> str:
    """One card: numbers and booleans right-justified to column 30, strings from column 11."""
    width = _NUMBER_END - VALUE_START
    value = text.ljust(width) if text.startswith("'") else text.rjust(width)
    card = f"{keyword:<8}= {value}"
    if comment and len(card) + len(" / ") < CARD_LENGTH:
        card = f"{card} / {comment}"[:CARD_LENGTH].rstrip()
    return card.ljust(CARD_LENGTH)
