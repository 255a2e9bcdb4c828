"""How a TOML table becomes a frozen Struct, with all that is wrong with it said at once.

An annotation says how its field's value is read, e.g. `Annotated[float, number(above=0)] = 1.0`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

Metadata: TypeAlias = Mapping[str, Any]
Section = TypeVar("Section", bound=Struct)

# No time, count or size needs more, and float() of an integer of 400 digits would overflow.
_MOST = 10**15

# A control would end a line of a list or of a message; a column of the manifest ends at '|'.
_BAD_IN_PATH = re.compile(r"[^\x20-\x7e]|\|")

# Any other key stands in quotes, in TOML and in our messages.
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def by(read: Callable[[object], object]) -> Metadata:
    """Metadata of a field that *read* reads.

    It returns the value, or raises ValueError with the rest of a sentence that begins with the key.
    """
    return {"read": read}


def table(section: type[Struct]) -> Metadata:
    """Metadata of a field that holds the Struct *section*."""
    return {"section": section}


def tables(section: type[Struct]) -> Metadata:
    """Metadata of a field that holds a tuple of *section*, from `[[...]]`."""
    return {"sections": section}


def number(*, at_least: float | None = None, above: float | None = None) -> Metadata:
    """Metadata of a number, whole or not, with one bound or both; it becomes a float."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse("a number", value)
        if at_least is not None and not at_least <= value <= _MOST:
            _refuse(f"{at_least:g} or more", value)
        if above is not None and not above < value <= _MOST:
            _refuse(f"more than {above:g}", value)
        return float(value)

    return by(read)


def whole(*, at_least: int, at_most: int = _MOST) -> Metadata:
    """Metadata of a whole number from *at_least* to *at_most*, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            _refuse("a whole number", value)
        if not at_least <= value <= at_most:
            _refuse(f"between {at_least} and {at_most}", value)
        return value

    return by(read)


def choice(*choices: str) -> Metadata:
    """Metadata of one of *choices*; it becomes that very object, so that an enum stays one."""

    def read(value: object) -> str:
        for known in choices:
            if value == known:
                return known
        _refuse(" or ".join(_shown(str(known)) for known in choices), value)

    return by(read)


def flag() -> Metadata:
    """Metadata of true or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            _refuse("true or false", value)
        return value

    return by(read)


def text(pattern: str = ".*", what: str = "one printable line") -> Metadata:
    """Metadata of one printable line, all of it like *pattern*; *what* that is, in words."""

    def read(value: object) -> str:
        if (
            not isinstance(value, str)
            or not value.isprintable()
            or re.fullmatch(pattern, value) is None
        ):
            _refuse(what, value)
        return value

    return by(read)


def words(pattern: str = ".*", what: str = "printable strings") -> Metadata:
    """Metadata of a list of strings, each like *pattern* (*what*); it becomes a tuple."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            _refuse("a list of strings", value)
        for word in value:
            if (
                not isinstance(word, str)
                or not word.isprintable()
                or re.fullmatch(pattern, word) is None
            ):
                _refuse(f"a list of {what}", value)
        return tuple(value)

    return by(read)


def words_of(*choices: str) -> Metadata:
    """Metadata of a list of some of *choices*; it becomes a tuple."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or any(word not in choices for word in value):
            _refuse(f"a list of some of {', '.join(map(_shown, choices))}", value)
        return tuple(value)

    return by(read)


def absolute_path() -> Metadata:
    """Metadata of an absolute path of this machine, in printable ASCII."""

    def read(value: object) -> Path:
        if not isinstance(value, str) or not value.startswith("/"):
            _refuse("an absolute path", value)
        if ".." in Path(value).parts or _BAD_IN_PATH.search(value):
            _refuse("a path of printable ASCII without '..' and '|'", value)
        return Path("/" + value.lstrip("/"))

    return by(read)


def read_section(
    section: type[Section], values: object, where: str, problems: list[str]
) -> Section | None:
    """Make a *section* of the TOML table *values*, which stands at *where* in the file.

    Appends to *problems* whatever is wrong, each with its key. A value that is wrong is left at its
    default; None is returned where there is no default.
    """
    if not isinstance(values, dict):
        problems.append(f"{where} must be a table, not {_shown(values)}")
        return None
    known = {field.name: field for field in fields(section)}
    problems += [
        f"{_dotted(where, key)} is not a setting{_nearest(key, known)}"
        for key in values
        if key not in known
    ]
    given = {}
    for name, field in known.items():
        at = _dotted(where, name)
        if name in values:
            value = _read(_metadata(field), values[name], at, problems)
            if value is not None:
                given[name] = value
        elif field.default is NODEFAULT:
            problems.append(f"{at} is missing")
    complete = all(name in given or known[name].default is not NODEFAULT for name in known)
    return section(**given) if complete else None


def keys_of(section: type[Struct], where: str = "") -> Iterator[str]:
    """Every key that a file may set, dotted; a list of tables looks like one table."""
    for field in fields(section):
        at = _dotted(where, field.name)
        metadata = _metadata(field)
        inner = metadata.get("section") or metadata.get("sections")
        if inner is None:
            yield at
        else:
            yield from keys_of(inner, at)


def _metadata(field: FieldInfo) -> Metadata:
    found: Metadata = field.type.__metadata__[0]
    return found


def _read(metadata: Metadata, value: object, at: str, problems: list[str]) -> object:
    if "section" in metadata:
        return read_section(metadata["section"], value, at, problems)
    if "sections" in metadata:
        return _read_sections(metadata["sections"], value, at, problems)
    try:
        read: Callable[[object], object] = metadata["read"]
        return read(value)
    except ValueError as error:
        problems.append(f"{at} {error}")
        return None


def _read_sections(
    section: type[Struct], values: object, at: str, problems: list[str]
) -> tuple[object, ...] | None:
    if not isinstance(values, list):
        problems.append(f"{at} must be a list of tables: write [[{at}]]")
        return None
    read = [
        read_section(section, entry, f"{at}[{number}]", problems)
        for number, entry in enumerate(values, start=1)
    ]
    return tuple(entry for entry in read if entry is not None)


def _dotted(where: str, key: str) -> str:
    shown = key if _BARE_KEY.fullmatch(key) else json.dumps(key)
    return f"{where}.{shown}" if where else shown


def _nearest(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _refuse(wanted: str, value: object) -> NoReturn:
    msg = f"must be {wanted}, not {_shown(value)}"
    raise ValueError(msg)


def _shown(value: object) -> str:
    """Say *value* as TOML writes it, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
