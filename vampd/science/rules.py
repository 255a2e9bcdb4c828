"""What the header cards of a raw cube decide.

A card may be missing, blank (None) or of the wrong type; every rule says what then.
"""

from __future__ import annotations

from collections.abc import Mapping

from vampd.records import CardValue

#: What tells whether, and within which tolerance, a cube can be paired.
PAIRING_CARDS: tuple[str, ...] = ("EXTTRIG", "U_DETMOD", "PRD-RNG2")

#: What tells whether a cube is to be deinterleaved, and by how much its intervals alternate.
FLC_CARDS: tuple[str, ...] = ("DETECTOR", "EXTTRIG", "U_FLCEN", "U_FLCST", "U_FLC", "U_TRIGJT")

#: A change of one of these, in either camera, begins a new output cube.
CUTTING_CARDS: tuple[str, ...] = (
    "EXPTIME",
    "RET-ANG1",
    "FILTER01",
    "FILTER02",
    "OBJECT",
    "DATA-TYP",
    "PROP-ID",
    "U_FLCEN",
    "U_FLCST",
    "U_DETMOD",
    "OBS-MOD",
)

#: The cards that, all equal, make consecutive cubes one run of the trigger.
RUN_CARDS: tuple[str, ...] = ("EXPTIME", "U_TRIGJT", "U_DETMOD", "PRD-RNG2")

#: What somebody sets before a sequence; the half-wave plate turns while it goes on.
SETTING_CARDS: tuple[str, ...] = tuple(card for card in CUTTING_CARDS if card != "RET-ANG1")

#: The cards that a plan needs; nothing else of a header decides anything. They follow from the
#: uses above, so that none can be used without being read. Reports come in this order.
DECIDING_CARDS: tuple[str, ...] = tuple(
    dict.fromkeys(("DETECTOR", *PAIRING_CARDS, "EXPTIME", *FLC_CARDS, *RUN_CARDS, *CUTTING_CARDS))
)

#: What each camera says of itself alone; on all others the two should agree.
_OWN_CARDS = frozenset({"DETECTOR", "U_FLC"})

#: The cards on which the two cameras should agree.
SHARED_CARDS: tuple[str, ...] = tuple(card for card in DECIDING_CARDS if card not in _OWN_CARDS)

_DETECTORS = frozenset({"VCAM1 - OrcaQ", "VCAM2 - OrcaQ"})
# The detector's readout time is 0.868 us a row, 2.5 times that in its slow mode; in
# units of 0.1 ns, so that the tolerance is exact.
_ROW_TENTH_NS = 8_680
_SLOW_ROW_TENTH_NS = 21_700
_TENTH_NS_PER_US = 10_000

# Far above any row count, exposure or jitter; as seconds, its microseconds have 60 bits.
_MOST_MEANT = 1e12


def tolerance_us(cards1: Mapping[str, CardValue], cards2: Mapping[str, CardValue]) -> int:
    """How far apart the two cameras may time one exposure, whole microseconds.

    0.868 us x PRD-RNG2, 2.5 times that in SLOW mode: the smaller of the two cameras'.
    Both must be able to synchronise.
    """
    return min(readout_us(cards1), readout_us(cards2))


def readout_us(cards: Mapping[str, CardValue]) -> int:
    """Readout time of one camera, whole microseconds; 0 where its cards do not say it."""
    rows, mode = _number(cards.get("PRD-RNG2")), cards.get("U_DETMOD")
    if rows is None or rows <= 0 or not isinstance(mode, str) or not mode.strip():
        return 0
    slow = mode.strip().upper() == "SLOW"
    return int(rows * (_SLOW_ROW_TENTH_NS if slow else _ROW_TENTH_NS)) // _TENTH_NS_PER_US


def can_synchronise(cards: Mapping[str, CardValue]) -> bool:
    """Whether a cube may have partners: fired by the trigger, with a known readout time."""
    return cards.get("EXTTRIG") is True and readout_us(cards) > 0


def flc_applies(cards: Mapping[str, CardValue]) -> bool:
    """Whether a cube is to be deinterleaved: one of our cameras, trigger and crystal in use."""
    return (
        _text(cards.get("DETECTOR")) in _DETECTORS
        and cards.get("EXTTRIG") is True
        and cards.get("U_FLCEN") is True
        and _text(cards.get("U_FLCST")) == "IN"
        and _text(cards.get("U_FLC")) in {"", "NA"}
    )


def header_jitter_us(cards: Mapping[str, CardValue]) -> int | None:
    """The trigger's jitter J according to the header, or None where it does not say."""
    jitter = _number(cards.get("U_TRIGJT"))
    return None if jitter is None or jitter < 1 else round(jitter)


def exposure_us(cards: Mapping[str, CardValue]) -> int:
    """EXPTIME in whole microseconds; 0 where it is no positive number."""
    seconds = _number(cards.get("EXPTIME"))
    return 0 if seconds is None or seconds <= 0 else round(seconds * 1_000_000)


def card_complaints(cards: Mapping[str, CardValue]) -> list[str]:
    """What keeps a cube from being paired or told apart as it should be."""
    complaints = []
    if not isinstance(cards.get("EXTTRIG"), bool):
        complaints.append(f"EXTTRIG is {_shown(cards.get('EXTTRIG'))}, not T or F: not paired")
    elif cards["EXTTRIG"] and readout_us(cards) <= 0:
        complaints += [
            f"{card} is {_shown(cards.get(card))}: no tolerance, not paired"
            for card, wrong in (
                ("PRD-RNG2", not (_number(cards.get("PRD-RNG2")) or 0) > 0),
                ("U_DETMOD", not _text(cards.get("U_DETMOD"))),
            )
            if wrong
        ]
    if flc_applies(cards) and header_jitter_us(cards) is None:
        shown = _shown(cards.get("U_TRIGJT"))
        complaints.append(f"U_TRIGJT is {shown}: the jitter is estimated from the intervals")
    return complaints


def _number(value: CardValue) -> float | None:
    """A number that can be meant, or None; T and F are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_MOST_MEANT <= value <= _MOST_MEANT else None


def _text(value: CardValue) -> str | None:
    """A text without its blanks; empty for a missing card, None for another type."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else None


def _shown(value: CardValue) -> str:
    return "missing" if value is None else repr(value)
