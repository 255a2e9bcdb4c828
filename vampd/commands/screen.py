"""How the commands speak: times, sizes, colours where they can be seen, and JSON."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from vampd import value_words
from vampd.causes import Cause
from vampd.plain_json import plain_json
from vampd.states import NightStatus, TaskState
from vampd.time_units import HST

#: Text is broken so as to fit the narrowest terminal in use.
WIDTH = 80

#: Wider lines are hard to follow with the eye.
_WIDEST = 160

#: A command of ours with a date, an option or what stands for a value; prose has none of these.
COMMAND = re.compile(
    r"\bvampd [a-z][a-z-]*(?: [a-z][a-z-]*){0,2}"
    r"(?: (?:\d{8}(?:\.\.\d{8})?|--[a-z-]+(?: (?:archive|engineering|sync))?|-y"
    r"|[A-Z]+(?:\.\.[A-Z]+)?\b))+"
    r"|\bvampd admin doctor\b|\bsystemctl [a-z]+ vampd\b"
)
_GLUE = "\0"

#: Told off the screen as well.
time_text = value_words.time_text
count_text = value_words.count_text

_COLOURS: Mapping[str, str] = {
    TaskState.RUNNING: "cyan",
    TaskState.DONE: "green",
    NightStatus.WAITING: "yellow",
    NightStatus.FAILED: "red",
    NightStatus.HELD: "magenta",
    NightStatus.SAFE: "green",
    "ok": "green",
    "warn": "yellow",
    "bad": "red",
}

_GLYPHS: Mapping[str, tuple[str, str]] = {
    NightStatus.WAITING: ("◔", "wait"),
    NightStatus.HELD: ("■", "HELD"),
    TaskState.PENDING: ("·", "-"),
    TaskState.RUNNING: ("●", "run"),
    TaskState.DONE: ("✓", "done"),
    TaskState.FAILED: ("✗", "FAIL"),
}


class Screen(Struct, frozen=True, kw_only=True):
    """What the place that standard output goes to can show."""

    colours: bool
    glyphs: bool
    width: int = WIDTH
    height: int = 0  #: lines that are seen at once; 0: as many as there are

    @classmethod
    def of_stdout(cls) -> Screen:
        """Plain ASCII unless a person looks; https://no-color.org is obeyed."""
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        unicode = (getattr(sys.stdout, "encoding", "") or "").lower().startswith("utf")
        return cls(
            colours=terminal and not os.environ.get("NO_COLOR"),
            glyphs=terminal and unicode,
            width=_width(terminal=terminal),
            height=shutil.get_terminal_size((WIDTH, 24)).lines if terminal else 0,
        )

    def word(self, word: str, width: int = 0, text: str | None = None) -> str:
        """*text*, or *word* itself, in the colour of *word*, filled up to *width*."""
        filled = f"{word if text is None else text:<{width}}"
        colour = _COLOURS.get(word)
        return click.style(filled, fg=colour) if self.colours and colour else filled

    def glyph(self, state: TaskState, width: int) -> str:
        """A sign for *state*, or a short word where signs cannot be shown."""
        return self.word(state, width, self.sign(state))

    def sign(self, word: str) -> str:
        """The sign for *word*, or what stands for it where signs cannot be shown."""
        return _GLYPHS[word][0 if self.glyphs else 1]

    def length(self, text: str) -> int:
        """How many columns *text* takes, its colours apart."""
        return len(click.unstyle(text))

    def title(self, text: str) -> str:
        """A heading."""
        return click.style(text, bold=True) if self.colours else text


def _width(*, terminal: bool) -> int:
    """Columns to be filled: the terminal's; a pipe's are COLUMNS, or those of a printed page."""
    if not terminal and "COLUMNS" not in os.environ:
        return WIDTH
    return max(WIDTH, min(_WIDEST, shutil.get_terminal_size((WIDTH, 24)).columns))


def minute_text(us: int) -> str:
    """A time to the minute: `2025-11-06 05:10 UT`."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%d %H:%M} UT"


def microsecond_text(us: int) -> str:
    """A frame's time: `2025-11-06 05:10:00.123456 UT (2025-11-05 19:10 HST)`."""
    seconds, rest = divmod(us, 1_000_000)
    return time_text(seconds * 1_000_000).replace(" UT", f".{rest:06d} UT", 1)


def hst_text(us: int) -> str:
    """The same in Hawaii: `19:10 HST`."""
    return f"{datetime.fromtimestamp(us // 1_000_000, HST):%H:%M} HST"


def clock_text(us: int) -> str:
    """A time of about now: `05:10 UT`."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%H:%M} UT"


def record_json(record: Struct, *names: str) -> dict[str, Any]:
    """A record as JSON tells it: `NAME_us` is a time NAME, all else has its own name.

    *names*: of these fields, in this order; without them: of all. A field may be told under
    another name: `"since=changed_us"`.
    """
    told = {}
    for each in names or record.__struct_fields__:
        key, _, name = each.rpartition("=")
        value = getattr(record, name)
        if name.endswith("_us"):
            told[key or name.removesuffix("_us")] = time_json(value)
        else:
            told[key or name] = str(value) if isinstance(value, Path) else value
    return told


def time_json(us: int | None) -> str | None:
    """A time for programs: ISO 8601, UTC, microseconds."""
    if us is None:
        return None
    moment = datetime.fromtimestamp(us // 1_000_000, UTC) + timedelta(microseconds=us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def duration_text(us: int) -> str:
    """How long something took, in the unit that fits."""
    seconds = us / 1e6
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 100 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def size_text(size_bytes: int) -> str:
    """Bytes in the unit that fits; powers of ten, as disks are sold."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.3g} {unit}"
    return f"{size:.0f} TB"


def paragraph(label: str, text: str, width: int = WIDTH) -> str:
    """*text*, perhaps of several lines, behind *label*, within *width*.

    A command is not broken, so that it can be copied.
    """
    indent = " " * len(label)
    whole = COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), text)
    lines = [
        line.replace(_GLUE, " ")
        for part in whole.splitlines() or [""]
        for line in textwrap.wrap(
            part, width - len(label), break_long_words=False, break_on_hyphens=False
        )
        or [""]
    ]
    return "\n".join(f"{indent if number else label}{line}" for number, line in enumerate(lines))


def cause_json(cause: Cause | None) -> dict[str, Any]:
    """The code of a cause, and what its sentence names."""
    if cause is None:
        return {"code": None, "arguments": {}}
    return {"code": cause.code, "arguments": dict(cause.words)}


def echo_json(answer: Mapping[str, Any]) -> None:
    """Print *answer* for programs."""
    click.echo(json_text(answer))


def json_text(answer: Mapping[str, Any]) -> str:
    """*answer* for programs. `schema` tells them when a field changes its meaning."""
    return plain_json({"schema": 1, **answer}, indent=2)
