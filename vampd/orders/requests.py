"""What a caller of the control socket asks, understood or refused. Pure: bytes in, a request out.

Any member of the socket's group may say anything. What an order is handed has the shape that
orders are written for, and every value in it can be stored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from msgspec import Struct

from vampd.errors import UsageError
from vampd.plain_text import plain_text

_NOTHING = type(None)

#: The arguments of all orders, and what each may be; `dry_run` and `date` are every order's.
ARGUMENTS: Mapping[str, tuple[type, ...]] = {
    "action": (str,),
    "anew": (str, _NOTHING),
    "clock": (str, _NOTHING),
    "date": (str, _NOTHING),
    "dry_run": (bool,),
    "files": (list,),
    "force": (bool,),
    "frame_ids": (dict,),
    "from": (str, _NOTHING),
    "ids": (str,),
    "kind": (str, _NOTHING),
    "marker": (str, _NOTHING),
    "night": (dict,),
    "nights": (list,),
    "note": (str, _NOTHING),
    "number": (int,),
    "path": (str,),
    "place": (str,),
    "prove": (bool,),
    "revoke": (bool,),
    "rows": (list,),
    "why": (str, _NOTHING),
}

_WORDS = {
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    _NOTHING: "null",
}
_FIELDS = frozenset({"order", "arguments"})
_MOST_DEPTH = 8  # the deepest order, of import-legacy, has four
_MOST_CHARACTERS = 10_000
_INTEGERS = range(-(1 << 63), 1 << 63)  # as SQLite holds them


class Request(Struct, frozen=True, kw_only=True):
    """An order, and what is told with it."""

    order: str
    arguments: dict[str, Any]


def understand(line: bytes) -> Request:
    """The request that *line* is. UsageError: it is none; the message says in what."""
    told = _parsed(line)
    if not isinstance(told, dict) or told.keys() != _FIELDS:
        _refuse(f'it must be {{"order": ..., "arguments": ...}}, not {_shown(told)}')
    order, arguments = told["order"], told["arguments"]
    if not isinstance(order, str):
        _refuse(f"its order must be a text, not {_shown(order)}")
    if not isinstance(arguments, dict):
        _refuse(f"its arguments must be an object, not {_shown(arguments)}")
    for name, value in arguments.items():
        _check_argument(name, value)
    _check(order, "order", 1)
    return Request(order=order, arguments=arguments)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_not_a_number)
    except RecursionError:
        _refuse(f"it is nested deeper than {_MOST_DEPTH} levels")
    except UnicodeDecodeError as error:
        _refuse(f"it is no UTF-8: {error.reason} at byte {error.start}")
    except ValueError as error:
        _refuse(f"it is no JSON: {error}")


def _check_argument(name: str, value: object) -> None:
    known = ARGUMENTS.get(name)
    if known is None:
        _refuse(f"{plain_text(name, most=80)!r} is no argument that this vampd knows")
    if type(value) not in known:
        expected = " or ".join(_WORDS[kind] for kind in known)
        _refuse(f"{name} must be {expected}, not {_shown(value)}")
    _check(value, name, 1)


def _check(value: object, name: str, depth: int) -> None:
    """UsageError: *value* holds something that cannot be stored."""
    if depth > _MOST_DEPTH:
        _refuse(f"{name} is nested deeper than {_MOST_DEPTH} levels")
    if isinstance(value, str):
        _check_text(value, name)
    elif isinstance(value, int) and value not in _INTEGERS:
        _refuse(f"{name} holds {_shown(value)}, which has more than 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        _refuse(f"{name} holds {value}")
    elif isinstance(value, list):
        for each in value:
            _check(each, name, depth + 1)
    elif isinstance(value, dict):
        for key, each in value.items():
            _check_text(key, name)
            _check(each, name, depth + 1)


def _check_text(text: str, name: str) -> None:
    if len(text) > _MOST_CHARACTERS:
        _refuse(f"{name} holds a text of {len(text)} characters, more than {_MOST_CHARACTERS}")
    try:
        text.encode()
        is_text = "\0" not in text
    except UnicodeEncodeError:  # half of a pair, as a name that is no UTF-8 becomes
        is_text = False
    if not is_text:
        _refuse(f"{name} holds {_shown(text)}, with characters that are no text")


def _not_a_number(word: str) -> NoReturn:
    msg = f"{word} is no number"
    raise ValueError(msg)


def _shown(value: object) -> str:
    return plain_text(ascii(value) if isinstance(value, str) else repr(value), most=80)


def _refuse(why: str) -> NoReturn:
    msg = f"the order is not understood: {why}"
    raise UsageError(msg)
