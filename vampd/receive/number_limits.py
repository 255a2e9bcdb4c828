"""What numbers that a step prints are expected to be: `sharpness >= 0.8`. Pure."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_LIMIT = re.compile(
    r"([A-Za-z_][A-Za-z0-9_.-]*) *(>=|<=|>|<) *(-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)"
)


class NumberLimit(Struct, frozen=True, kw_only=True):
    """A number that is outside of it is worth a word."""

    name: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.bound:g}"


def number_limit(text: str) -> NumberLimit:
    """A limit as it is written. ValueError: that is none."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        msg = f"{text!r} is no limit such as 'frames >= 100'"
        raise ValueError(msg)
    return NumberLimit(name=match[1], sign=match[2], bound=float(match[3]))


def outside(limits: Sequence[NumberLimit], numbers: str | None) -> Iterator[str]:
    """Which *limits* do not hold of *numbers*, a JSON object or nothing; a sentence's end each.

    What is not told, or is no number, is outside.
    """
    told: dict[str, object] = json.loads(numbers or "{}")
    for limit in limits:
        value = told.get(limit.name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            what = "nothing" if value is None else json.dumps(value)
            yield f"{limit.name} is {what}, expected {limit.sign} {limit.bound:g}"
        elif not _SIGNS[limit.sign](value, limit.bound):
            yield f"{limit.name} is {value:g}, expected {limit.sign} {limit.bound:g}"
