"""An order on the full screen: what it would do, the words that it needs, yes or no, its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from vampd.commands import acting
from vampd.commands.tui.lines import Line, Tone, line, wrapped
from vampd.commands.tui.offers import Offer
from vampd.commands.tui.paint import content
from vampd.errors import VampdError
from vampd.ledger.records import Night
from vampd.settings.sections import Config

_WIDTH = 70


class Step(Enum):
    """Where the conversation is."""

    LOOKING = auto()  #: what it would do is being asked
    ASKING = auto()  #: for the words that it needs
    CONFIRMING = auto()  #: yes or no
    DOING = auto()
    OVER = auto()  #: refused, or done: the answer stands there


class OrderScreen(ModalScreen[None]):
    """One order about one night. Nothing is done before somebody says yes.

    *name*: the night as commands take it. *done* is called once something was changed. *why_not*:
    it does nothing in the night's present state, and why; then that is told, and no more.
    """

    AUTO_FOCUS = ""  # what is typed goes nowhere before it is asked for
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", show=False),
        Binding("n", "leave", show=False),
        Binding("escape", "leave", show=False),
        Binding("enter", "close", show=False),
        Binding("q", "leave", show=False),
    ]

    def __init__(
        self,
        config: Config,
        night: Night,
        name: str,
        offer: Offer,
        done: Callable[[], None],
        *,
        why_not: str | None = None,
    ) -> None:
        super().__init__()
        self._config = config
        self._night = night
        self._name_of_night = name
        self._offer = offer
        self._done = done
        self._step = Step.LOOKING if why_not is None else Step.OVER
        self._said = [] if why_not is None else [why_not]
        self._word = ""
        self._is_done = False

    def compose(self) -> ComposeResult:
        """A box with the words, and a line to type into."""
        with Vertical(classes="box"):
            yield Static(id="order-text", markup=False)
            yield Input(id="order-words")
            yield Static(id="order-keys", markup=False)

    def on_mount(self) -> None:
        """Ask at once what it would do."""
        self._paint()
        if self._step is Step.LOOKING:
            self.run_worker(self._look())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the words, where there are any."""
        if self._step is not Step.ASKING:
            return
        self._word = event.value.strip()
        if self._word or not self._offer.is_needed:
            self._go_to(Step.CONFIRMING)

    def action_agree(self) -> None:
        """Do it."""
        if self._step is Step.CONFIRMING:
            self._go_to(Step.DOING)
            self.run_worker(self._do())

    def action_leave(self) -> None:
        """Leave it, unless it is being done."""
        if self._step is not Step.DOING:
            self.dismiss()

    def action_close(self) -> None:
        """Close what is over."""
        if self._step is Step.OVER:
            self.dismiss()

    async def _look(self) -> None:
        self._said, changed = await self._answer(dry_run=True)
        if not changed:
            self._go_to(Step.OVER)
        else:
            self._go_to(Step.ASKING if self._offer.asks else Step.CONFIRMING)

    async def _do(self) -> None:
        self._said, self._is_done = await self._answer(dry_run=False)
        if self._is_done:
            self._said += filter(None, [acting.no_daemon_text(self._config)])
            self._done()
        self._go_to(Step.OVER)

    async def _answer(self, *, dry_run: bool) -> tuple[list[str], bool]:
        """What the order says, and whether it changes anything: as of the command."""
        arguments: dict[str, Any] = {
            **self._offer.given,
            "kind": self._night.kind.value,
            "date": self._night.date,
            "dry_run": dry_run,
        }
        if self._offer.asks:
            arguments[self._offer.asks] = self._word or None
        try:
            answer = await asyncio.to_thread(
                acting.give_order, self._config, self._offer.order, arguments
            )
        except (VampdError, OSError) as error:
            return [f"refused: {error}"], False
        return list(answer["lines"]), bool(answer["changed"])

    def _go_to(self, step: Step) -> None:
        self._step = step
        words = self.query_one("#order-words", Input)
        words.display = step is Step.ASKING
        self.set_focus(words if step is Step.ASKING else None)
        self._paint()

    def _paint(self) -> None:
        self.query_one("#order-text", Static).update(content(self._lines()))
        self.query_one("#order-keys", Static).update(content([[], line(_KEYS[self._step])]))

    def _lines(self) -> list[Line]:
        found: list[Line] = [
            [(f"{self._offer.order} ", Tone.TITLE), (str(self._night), Tone.TITLE)],
            line(f"as: {self._offer.typed(self._name_of_night)}", Tone.FAINT),
            [],
        ]
        if self._said:
            found.append(line(self._heading()))
        for text in self._said:
            found += wrapped("  ", text, _WIDTH)
        if self._step is Step.ASKING:
            found += [[], line(self._offer.question)]
        elif self._word:
            found += wrapped(f"  {self._offer.asks}: ", self._word, _WIDTH)
        return found

    def _heading(self) -> str:
        """What is said below it."""
        if self._step is not Step.OVER:
            return "What it will do:"
        return "Done:" if self._is_done else "Nothing was done:"


_KEYS = {
    Step.LOOKING: "looking what it would do ...   esc leaves it",
    Step.ASKING: "enter goes on   esc leaves it",
    Step.CONFIRMING: "May it be done?   y yes   n no (esc)",
    Step.DOING: "being done ...",
    Step.OVER: "enter closes",
}
