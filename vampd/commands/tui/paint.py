"""How lines look on the full screen: what each tone is, and the sheet that places the parts.

The terminal's own colours alone, on its own background: they are those that whoever sits there
can read. What matters is said by a sign or a word as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.content import Content

from vampd.commands.tui.lines import Line, Tone, flat

_STYLES: Mapping[Tone, str] = {
    Tone.PLAIN: "",
    Tone.TITLE: "bold",
    Tone.COMMAND: "bold ansi_cyan",
    Tone.FAINT: "dim",
    Tone.GOOD: "ansi_green",
    Tone.RUNS: "ansi_cyan",
    Tone.WARN: "ansi_yellow",
    Tone.HELD: "ansi_magenta",
    Tone.BAD: "bold ansi_red",
}

SHEET = """
Screen { layout: vertical; }
#head { height: auto; max-height: 4; }
#trouble { height: auto; max-height: 6; color: ansi_red; text-style: bold; display: none; }
#trouble.-told { display: block; }
#body { height: 1fr; }
#left { width: 28; border-right: solid ansi_default; }
#right { width: 1fr; padding: 0 0 0 1; }
.-wide #left { width: 40; }
.-ascii #left { border-right: ascii ansi_default; }
.-zoomed #left { display: none; }
.title { height: 1; text-style: bold; }
#left:focus-within #nights-title, #detail-pane:focus-within #detail-title,
#log-pane:focus-within #log-title { text-style: bold reverse; }
#nights { height: 1fr; border: none; padding: 0; background: transparent; scrollbar-size: 1 1; }
#nights:focus { border: none; background-tint: transparent; }
#nights > .option-list--option { padding: 0; }
#nights > .option-list--option-highlighted, #nights:focus > .option-list--option-highlighted {
    color: ansi_default; background: ansi_default;
}
#nights > .option-list--option-disabled { color: ansi_default; text-style: bold; }
#arriving { height: auto; padding: 1 0 0 0; }
#detail-pane { height: 2fr; }
#log-pane { height: 1fr; }
.-short #log-pane { height: 5; }
#detail, #log { height: 1fr; scrollbar-size: 1 1; scrollbar-gutter: stable; }
#detail-text, #log-text { height: auto; }
#foot { height: 1; }
#sought { height: 1; border: none; padding: 0; display: none; }
OrderScreen, HelpScreen { align: center middle; }
.box {
    width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
    border: solid ansi_default; background: ansi_default;
}
.-ascii .box { border: ascii ansi_default; }
.box Static { height: auto; }
.box Input { height: 1; border: none; padding: 0; margin: 1 0 0 0; display: none; }
Input { background: ansi_default; text-style: underline; }
Input:focus { border: none; }
"""


def content(lines: Iterable[Line]) -> Content:
    """*lines* as the screen takes them; whatever they hold is text."""
    pieces: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if number:
            pieces.append(("\n", ""))
        pieces += [(flat(text), _STYLES[tone]) for text, tone in line]
    return Content.assemble(*pieces)
