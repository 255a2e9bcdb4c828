"""Typed records in place of the ledger's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache
from sqlite3 import Cursor
from typing import Any, Protocol, TypeVar, get_args, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from vampd.ledger.connection import Row

T = TypeVar("T")

Convert = Callable[[Any], Any]


class Source(Protocol):
    """What can be asked: the ledger, or a connection that only reads it."""

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = (), /) -> Cursor:
        """The rows of *sql*."""


class NoColumnError(IndexError):
    """The rows lack what a record has: a ledger of another version, or one that is being made."""


class Record(Struct, frozen=True, kw_only=True):
    """A row with a name and a type for each column."""


def fetch_all(
    cls: Callable[..., T],
    source: Source,
    sql: str,
    parameters: Sequence[Any] | dict[str, Any] = (),
) -> list[T]:
    """All rows of a query as records of *cls*; see `record_of`."""
    return list(fetch_each(cls, source, sql, parameters))


def fetch_one(
    cls: Callable[..., T],
    source: Source,
    sql: str,
    parameters: Sequence[Any] | dict[str, Any] = (),
) -> T | None:
    """The first row of a query as a record of *cls*, if there is one; see `record_of`."""
    row: Row | None = source.execute(sql, parameters).fetchone()
    return None if row is None else record_of(cls, row)


def fetch_each(
    cls: Callable[..., T],
    source: Source,
    sql: str,
    parameters: Sequence[Any] | dict[str, Any] = (),
) -> Iterator[T]:
    """The rows of a query one by one, where there may be many; see `record_of`."""
    cursor = source.execute(sql, parameters)
    make = _maker(cls, tuple(column[0] for column in cursor.description or ()))
    return map(make, cursor)


def record_of(cls: Callable[..., T], row: Row) -> T:
    """The record *cls* made of *row*: each field of the column of its name.

    A field that is annotated with an enum, or with enums or None, has the member with the column's
    value; one annotated with bool is one. NoColumnError: there is no such column. ValueError: no
    such member.
    """
    made: T = _maker(cls, tuple(row.keys()))(row)
    return made


@cache
def _maker(cls: Callable[..., T], columns: tuple[str, ...]) -> Callable[[Sequence[Any]], T]:
    """What makes a *cls* of the values of these columns."""
    hints = get_type_hints(cls)
    plain: list[tuple[str, int]] = []
    converted: list[tuple[str, int, Convert]] = []
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in columns:
            msg = f"{cls.__name__}.{field.name}: no such column; there are {', '.join(columns)}"
            raise NoColumnError(msg)
        place = columns.index(field.name)  # the first of its name, as a row's own
        if (convert := _converter(hints[field.name])) is None:
            plain.append((field.name, place))
        else:
            converted.append((field.name, place, convert))

    def make(values: Sequence[Any]) -> T:
        found = {name: values[place] for name, place in plain}
        for name, place, convert in converted:
            found[name] = convert(values[place])
        return cls(**found)

    return make


def _converter(hint: Any) -> Convert | None:
    kinds = (hint, *get_args(hint))
    if bool in kinds:
        return lambda value: None if value is None else bool(value)
    members: dict[Any, Any] = {None: None} if type(None) in kinds else {}
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Enum):
            for member in kind:
                members.setdefault(member.value, member)
    if members.keys() <= {None}:
        return None

    def member_of(value: Any) -> Any:
        if value not in members:
            msg = f"{value!r} is none of {', '.join(map(repr, members))}"
            raise ValueError(msg)
        return members[value]

    return member_of
