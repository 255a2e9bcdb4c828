"""Typed records in place of the ledger's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from vampd.ledger.connection import Row

T = TypeVar("T")


def record_of(cls: Callable[..., T], row: Row) -> T:
    """The dataclass *cls* made of *row*: each field of the column of its name.

    A field that is annotated with an enum, or with an enum or None, has the member with the
    column's value. IndexError: there is no such column. ValueError: no such member.
    """
    return cls(**{name: make(row[name]) for name, make in _columns(cls)})


@cache
def _columns(cls: Any) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(cls)
    return tuple((field.name, _maker(hints[field.name])) for field in fields(cls))


def _maker(hint: Any) -> Callable[[Any], Any]:
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return lambda value: None if value is None else kind(value)
    return lambda value: value
