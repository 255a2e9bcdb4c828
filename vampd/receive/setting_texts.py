"""How the receiver's settings are read that are more than a number or a flag.

Each takes what TOML holds and returns the value, or raises ValueError with the rest of a sentence
that begins with the key.
"""

from __future__ import annotations

import re
from pathlib import Path

from vampd.receive.number_limits import NumberLimit, number_limit

#: What a word of a step's command may name, in braces.
STEP_NAMES = ("night", "kind", "files", "target", "segment", "place", "folder")


def local_template(value: object) -> str:
    """An absolute folder of this machine with {night} in it."""
    if not isinstance(value, str) or not value.startswith("/") or "{night}" not in value:
        msg = f"must be an absolute folder with {{night}}, which becomes the date, not {value!r}"
        raise ValueError(msg)
    rest = value.replace("{night}", "")
    if re.search(r"[^\x20-\x7e]|[{}|]", rest) or ".." in Path(value).parts:
        msg = f"must be printable ASCII without '..', '|' and other braces, not {value!r}"
        raise ValueError(msg)
    return value.rstrip("/")


def local_template_or_nothing(value: object) -> str:
    """The same, or an empty text."""
    return "" if value == "" else local_template(value)


def step_command(value: object) -> tuple[str, ...]:
    """A program and its words, with no braces but those that are known; {files} is a whole word."""
    if not isinstance(value, list) or not value:
        msg = f"must be a program and its words, as a list, not {value!r}"
        raise ValueError(msg)
    for word in value:
        if not isinstance(word, str) or not word or not word.isprintable():
            msg = f"must hold printable words, not {word!r}"
            raise ValueError(msg)
        strange = set(re.findall(r"[{]([a-z_]+)[}]", word)) - set(STEP_NAMES)
        if strange:
            known = ", ".join(f"{{{name}}}" for name in STEP_NAMES)
            msg = f"knows {known}, not {{{min(strange)}}}"
            raise ValueError(msg)
        if "{files}" in word and word != "{files}":
            msg = f"must have {{files}} as a word of its own, which becomes many, not {word!r}"
            raise ValueError(msg)
    return tuple(value)


def exit_codes(value: object) -> tuple[int, ...]:
    """A list of exit statuses."""
    if isinstance(value, list) and all(type(each) is int and 0 < each < 256 for each in value):
        return tuple(value)
    msg = f"must be a list of exit statuses from 1 to 255, not {value!r}"
    raise ValueError(msg)


def number_limits(value: object) -> tuple[NumberLimit, ...]:
    """A list of what numbers that a step prints are expected to be."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        msg = f"must be a list such as ['frames >= 100'], not {value!r}"
        raise ValueError(msg)
    try:
        return tuple(number_limit(each) for each in value)
    except ValueError as error:
        msg = f"must be a list of limits: {error}"
        raise ValueError(msg) from None
