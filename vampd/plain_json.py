"""JSON that every reader takes (RFC 8259): it has no NaN and no infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def plain_json(value: object, *, indent: int | None = None) -> str:
    """*value* as JSON; a number that is none there, such as an infinite card's, becomes null.

    As browsers and pandas do it. Python's own `Infinity` is refused by nearly all other readers.
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
