"""Text that the ledger, a log and a terminal can take, wherever it came from."""

from __future__ import annotations

_MOST_CHARACTERS = 20_000
_KEPT = "\n\t"


def plain_text(text: str, *, most: int = _MOST_CHARACTERS) -> str:
    r"""*text*, printable but for its line ends and tabs, and at most about *most* characters.

    Other control characters, and bytes that were no UTF-8, become escapes such as ``\x1b`` and
    ``\udcff``: SQLite refuses the latter, a NUL ends a text for most readers, and an ESC begins a
    command to the terminal. Of a longer text the middle is left out: what went wrong stands at an
    end.
    """
    if len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in _KEPT else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
