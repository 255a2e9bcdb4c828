"""How the values of SQLite travel as lines of JSON: to the daemon's readers, and back."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

_BLOB = "blob"
_FLOAT = "float"


def line(message: Mapping[str, Any]) -> bytes:
    """One message. Its values are `packed`, where they came from a table."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


Values: TypeAlias = Sequence[Any] | dict[str, Any]
"""A row, or a statement's parameters, by place or by name."""


def packed(values: Values) -> Any:
    """*values* as JSON holds them."""
    if isinstance(values, dict):
        return {name: _packed(value) for name, value in values.items()}
    return [_packed(value) for value in values]


def unpacked(values: Any) -> Any:
    """What `packed` was given. ValueError, KeyError, TypeError: it made no such thing."""
    if isinstance(values, dict):
        return {name: _unpacked(value) for name, value in values.items()}
    return [_unpacked(value) for value in values]


def _packed(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BLOB: base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}
    return value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if _BLOB in value:
        return base64.b64decode(value[_BLOB], validate=True)
    return float(value[_FLOAT])
