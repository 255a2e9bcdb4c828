"""Text that the ledger, a log and a terminal can take, wherever it came from."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 20_000
_LONGEST_WORD = 200  #: one that is longer may be cut
_KEPT = "\n\t"


def plain_text(text: str, *, most: int = _MOST_CHARACTERS) -> str:
    r"""*text*, printable but for its line ends and tabs, and at most about *most* characters.

    Other control characters, and bytes that were no UTF-8, become escapes such as ``\x1b`` and
    ``\udcff``: SQLite refuses the latter, a NUL ends a text for most readers, and an ESC begins a
    command to the terminal. Of a longer text the middle is left out: what went wrong stands at an
    end.
    """
    if len(text) > most:
        first, last = _begin(text, most // 2), last_lines(text, most // 2)
        left = len(text) - len(first) - len(last)
        text = f"{first}\n[{left} characters left out]\n{last}"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _KEPT else _escaped(each) for each in text)


def last_lines(text: str, most: int) -> str:
    """The end of *text*, at most *most* characters, from the beginning of a line on.

    Of a very long line it is the end, from the beginning of a word on; a very long word is cut.
    """
    if len(text) <= most:
        return text
    before, end = text[len(text) - most - 1], text[len(text) - most :]
    for pattern, longest in ((r"\n", most // 2), (r"\s", _LONGEST_WORD)):
        if re.match(pattern, before):
            return end
        if match := re.search(pattern, end[:longest]):
            return end[match.end() :]
    return end


def first_line(text: str) -> str:
    """The first line of *text* that is not empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _begin(text: str, most: int) -> str:
    """The beginning of *text*, cut at the end of a word."""
    begin = text[:most]
    if text[most : most + 1].isspace():
        return begin
    return re.sub(rf"\s\S{{0,{_LONGEST_WORD}}}\Z", "", begin)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
