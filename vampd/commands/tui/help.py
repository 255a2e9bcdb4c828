"""What the keys of the full screen do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from vampd.commands.tui.lines import Line, Piece, Tone, line, wrapped
from vampd.commands.tui.offers import OFFERS
from vampd.commands.tui.paint import content

_MOVES: Mapping[str, str] = {
    "j k, arrows": "move; g G, home end: to the ends; space: a page on",
    "enter": "read the chosen night (on a narrow terminal it takes the whole width)",
    "esc": "back to the list, out of a search",
    "tab": "on to the next part: list, night, log",
    "/": "seek by date, kind, status or cause",
    "f": "show the nights that are at rest, or fold them",
    "?": "this; any of esc, enter, q, ? closes it",
    "q, ctrl-c": "leave; the daemon goes on",
}
_SIGNS = (
    "First what needs somebody, the worst first; then what is under way; what is at rest is"
    " folded. It looks again every 2 s. What the mouse selects is the terminal's to copy. An order"
    " is carried out as by the command that stands in its box; one that is faint below does nothing"
    " to the chosen night, and its key tells why."
)


class HelpScreen(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark", "dismiss", show=False)
    ]

    def compose(self) -> ComposeResult:
        """A box with the words."""
        with Vertical(classes="box"):
            yield Static(content(_lines()), markup=False)


def _lines() -> Iterator[Line]:
    yield line("keys", Tone.TITLE)
    for offer in OFFERS:
        yield [(f"{offer.key:<12} ", Tone.COMMAND), (f"{offer.order} the chosen night", Tone.PLAIN)]
    for keys, does in _MOVES.items():
        yield [(f"{keys:<12} ", Tone.COMMAND), (does, Tone.PLAIN)]
    yield []
    yield from wrapped("", _SIGNS, 70)


def foot(acting: Collection[str]) -> Line:
    """The keys in short; *acting*: the orders that would do something now."""
    pieces: list[Piece] = []
    for offer in OFFERS:
        is_faint = offer.order not in acting
        pieces.append((f"{offer.key} ", Tone.FAINT if is_faint else Tone.COMMAND))
        pieces.append((f"{offer.order}  ", Tone.FAINT if is_faint else Tone.PLAIN))
    for key, does in (("/", "seek"), ("f", "fold"), ("tab", "part"), ("?", "keys"), ("q", "leave")):
        pieces += [(f"{key} ", Tone.COMMAND), (f"{does}  ", Tone.PLAIN)]
    return pieces
