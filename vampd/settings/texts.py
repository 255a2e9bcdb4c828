"""How settings are read that are more than a number, a flag or a list: places, commands, mails.

Each takes what TOML holds and returns the value, or raises ValueError with the rest of a sentence
that begins with the key.
"""

from __future__ import annotations

import re

from vampd.errors import ConfigError
from vampd.remote.bandwidth import Window
from vampd.remote.location import Location

#: Any date will do where a rule holds for all of them.
ANY_NIGHT = "20000101"

#: What the subject and the text of a mail to the archive team may name, in braces.
MAIL_NAMES = frozenset(
    {
        "nights",
        "files",
        "size",
        "frame_ids",
        "first",
        "last",
        "manifest",
        "digest",
        "data_host",
        "list",
    }
)

#: What a word of a command in [hooks] may name, in braces.
HOOK_NAMES = frozenset({"night", "kind", "folder", "batch"})


def place(value: object) -> Location:
    """A folder of this machine, or host:/folder."""
    try:
        return Location.parse(value if isinstance(value, str) else "")
    except ConfigError:
        msg = f"must be an absolute folder or host:/folder, without '..', not {value!r}"
        raise ValueError(msg) from None


def host_and_port(value: object) -> str:
    """host:port."""
    match = re.fullmatch(r"[0-9A-Za-z.-]+:([0-9]{1,5})", value if isinstance(value, str) else "")
    if match is None or not 0 < int(match[1]) < 65536:
        msg = f"must be host:port, not {value!r}"
        raise ValueError(msg)
    return match[0]


def program_there(value: object) -> str:
    """vampd-remote, perhaps with its folder; or nothing."""
    text = value if isinstance(value, str) else "?"
    if not re.fullmatch(r"(?:[0-9A-Za-z/._+-]*/)?vampd-remote|", text):
        msg = f"must be vampd-remote, perhaps with its folder, or empty, not {value!r}"
        raise ValueError(msg)
    return text


def night_template(value: object) -> str:
    """A place with {night} in it."""
    if not isinstance(value, str) or value.count("{night}") < 1:
        msg = f"must contain {{night}}, which becomes the date, not {value!r}"
        raise ValueError(msg)
    if re.search(r"[{}]", value.replace("{night}", "")):
        msg = f"may have no braces but those of {{night}}, not {value!r}"
        raise ValueError(msg)
    place(value.replace("{night}", ANY_NIGHT))
    return value


def bandwidth_windows(value: object) -> tuple[Window, ...]:
    """Times of the day with what may be sent then, the first that holds counts."""
    windows = value if isinstance(value, list) else [""]
    try:
        return tuple(Window.parse(str(text)) for text in windows)
    except ValueError:
        msg = f'must be a list such as ["18:00-06:00 20000"], HST and KiB a second, not {value!r}'
        raise ValueError(msg) from None


def commands(value: object) -> tuple[tuple[str, ...], ...]:
    """Commands as lists of words, each with a program, and no braces but those that are known."""
    if isinstance(value, list) and all(isinstance(each, list) and each for each in value):
        return tuple(tuple(_command_word(word) for word in command) for command in value)
    msg = f"must be a list of commands, each a list of words, not {value!r}"
    raise ValueError(msg)


def _command_word(word: object) -> str:
    if not isinstance(word, str) or not word or not word.isprintable():
        msg = f"must hold printable words, not {word!r}"
        raise ValueError(msg)
    strange = set(re.findall(r"[{]([a-z_]+)[}]", word)) - HOOK_NAMES
    if strange:
        known = ", ".join(f"{{{name}}}" for name in sorted(HOOK_NAMES))
        msg = f"knows {known}, not {{{min(strange)}}}"
        raise ValueError(msg)
    return word


def mail_text(value: object) -> str:
    """A text in which each {name} will be replaced by what it stands for in a mail."""
    if not isinstance(value, str) or not value.strip():
        msg = f"must be a text, not {value!r}"
        raise ValueError(msg)
    strange = set(re.findall(r"[{]([^{}]*)[}]", value)) - MAIL_NAMES
    if strange or re.search(r"[{}]", re.sub(r"[{][^{}]*[}]", "", value)):
        known = ", ".join(f"{{{name}}}" for name in sorted(MAIL_NAMES))
        msg = f"may have no braces but those of {known}"
        raise ValueError(msg)
    return value


def mail_line(value: object) -> str:
    """One line in which each {name} will be replaced."""
    line = mail_text(value)
    if not line.isprintable():
        msg = f"must be one printable line, not {value!r}"
        raise ValueError(msg)
    return line
