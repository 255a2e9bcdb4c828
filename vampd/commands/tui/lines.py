"""Lines of the full screen before they are painted: pieces of text, each with what it is. Pure.

No markup and no escapes: what came from a header or from another program stays text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

from vampd.commands.screen import COMMAND, paragraph
from vampd.plain_text import plain_text
from vampd.states import NightStatus, TaskState


class Tone(StrEnum):
    """What a piece is, which decides how it is painted."""

    PLAIN = ""
    TITLE = "title"
    COMMAND = "command"  #: to be typed
    FAINT = "faint"
    GOOD = "good"
    RUNS = "runs"
    WARN = "warn"
    HELD = "held"
    BAD = "bad"


Piece: TypeAlias = tuple[str, Tone]
Line: TypeAlias = Sequence[Piece]

OF_STATUS: Mapping[str, Tone] = {
    NightStatus.RUNNING: Tone.RUNS,
    NightStatus.WAITING: Tone.WARN,
    NightStatus.FAILED: Tone.BAD,
    NightStatus.HELD: Tone.HELD,
    NightStatus.SAFE: Tone.GOOD,
}
OF_TASK: Mapping[str, Tone] = {
    TaskState.RUNNING: Tone.RUNS,
    TaskState.DONE: Tone.GOOD,
    TaskState.FAILED: Tone.BAD,
    TaskState.PENDING: Tone.FAINT,
}


def line(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one piece."""
    return [(flat(text), tone)]


def wrapped(label: str, text: str, width: int, tone: Tone = Tone.PLAIN) -> Iterator[Line]:
    """*text* behind *label* within *width*; commands stand out, and are not broken."""
    for each in paragraph(label, plain_text(text), max(width, len(label) + 10)).split("\n"):
        yield list(_pieces(each, tone))


def flat(text: str) -> str:
    """*text* on one line, and printable."""
    return " ".join(plain_text(text).split("\n")).expandtabs(1)


def _pieces(text: str, tone: Tone) -> Iterator[Piece]:
    end = 0
    for match in COMMAND.finditer(text):
        yield text[end : match.start()], tone
        yield match[0], Tone.COMMAND
        end = match.end()
    yield text[end:], tone
