"""The full screen itself: it looks again and again, paints what it saw, and takes keys."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import ClassVar

from msgspec.structs import replace
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from vampd.allowed import Outcome
from vampd.commands.screen import Screen, time_text
from vampd.commands.status_screen import top
from vampd.commands.tui.help import HelpScreen, foot
from vampd.commands.tui.lines import Line, Tone, line, wrapped
from vampd.commands.tui.listing import rows
from vampd.commands.tui.look import Look, Looker, NightLook, Wanted
from vampd.commands.tui.offers import OFFERS
from vampd.commands.tui.order import OrderScreen
from vampd.commands.tui.paint import SHEET, content
from vampd.commands.tui.panes import Nights, Pane, Room
from vampd.commands.tui.words import beside, inflow_lines, log_lines
from vampd.io.clock import Clock, SystemClock
from vampd.settings.sections import Config

#: How often it looks; one that takes long is the rarer, so that it takes a tenth of the time.
EVERY_SECONDS = 2.0
_REST_OF_A_LOOK = 9
_MOST_SECONDS = 15.0

#: A key that is held down comes more often than this.
_REST_SECONDS = 0.12

#: From so many columns on the list has room for whole words.
_WIDE = 110

_SEEK = "date, kind, status or cause; enter keeps, esc ends"

#: With fewer lines the log has but a few.
_TALL = 30

#: What ends it from without leaves the terminal as it was, too.
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Tui(App[None]):
    """The full screen. *screen*: what the terminal can show."""

    CSS = SHEET
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("question_mark", "keys", show=False),
        Binding("slash", "seek", show=False),
        Binding("f", "fold", show=False),
        Binding("escape", "to_list", show=False),
        *(Binding(offer.key, f"order({offer.order!r})", show=False) for offer in OFFERS),
    ]

    def __init__(self, config: Config, screen: Screen, clock: Clock | None = None) -> None:
        super().__init__(ansi_color=True)  # said at once: by it NO_COLOR takes all colours away
        self.theme = "ansi-dark"
        self._config = config
        self._shows = replace(screen, colours=False, height=0)
        self._clock = clock or SystemClock()
        self._looker = Looker(config)
        self._look = Look(now_us=self._clock.now_us())
        self._again = asyncio.Event()
        self._unfolded = False
        self._sought = ""
        self._beside = ""
        self._resting: Timer | None = None
        rule = "─" if screen.glyphs else "-"
        self._head = Static(id="head", markup=False)
        self._trouble = Static(id="trouble", markup=False)
        self._nights = Nights()
        self._arriving = Static(id="arriving", markup=False)
        self._detail_pane = Pane("detail", rule)
        self._log_pane = Pane("log", rule)
        self._seek = Input(id="sought", placeholder=_SEEK)
        self._foot = Static(id="foot", markup=False)

    def compose(self) -> ComposeResult:
        """What there is, from the top down."""
        yield self._head
        yield self._trouble
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Static("nights", id="nights-title", classes="title", markup=False)
                yield self._nights
                yield self._arriving
            with Vertical(id="right"):
                yield self._detail_pane
                yield self._log_pane
        yield self._seek
        yield self._foot

    def on_mount(self) -> None:
        """Begin to look, and to listen to signals."""
        for number in _ENDS:
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.set_class(not self._shows.glyphs, "-ascii")
        self._nights.focus()
        self.run_worker(self._keep_looking())

    def on_resize(self, event: events.Resize) -> None:
        """Place the parts as there is room for them."""
        self.default_screen.set_class(event.size.width >= _WIDE, "-wide")
        self.default_screen.set_class(event.size.height < _TALL, "-short")

    def on_room(self, _: Room) -> None:
        """Break the lines anew, once all parts have their new sizes."""
        self.call_after_refresh(self._paint)

    def on_option_list_option_highlighted(self, _: OptionList.OptionHighlighted) -> None:
        """Another row is chosen: tell of that one, once nobody moves on at once."""
        self._paint_night()
        self._look_soon()

    def on_option_list_option_selected(self, _: OptionList.OptionSelected) -> None:
        """Open the chosen row."""
        row = self._nights.row
        if row is not None and row.folds:
            self.action_fold()
            return
        self.query_one("#body").set_class(self.size.width < _WIDE, "-zoomed")
        self._detail_pane.scrolling.focus()
        self.call_after_refresh(self._paint)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Seek while it is typed."""
        if event.input is not self._seek:
            return  # that of an order's box
        self._sought = event.value.strip()
        self._paint_list()
        self._look_soon()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was sought, and go to it."""
        if event.input is self._seek:
            self._nights.focus()

    def action_seek(self) -> None:
        """Open the line to seek by."""
        self.action_to_list()
        self._seek.display = True
        self.screen.set_focus(self._seek)  # at once: what is typed next is what is sought

    def action_to_list(self) -> None:
        """Back to the list: all of it."""
        self._seek.display = False
        self._seek.value = ""
        self.query_one("#body").remove_class("-zoomed")
        self.screen.set_focus(self._nights)
        self.call_after_refresh(self._paint)

    def action_fold(self) -> None:
        """Show what is at rest, or fold it."""
        self._unfolded = not self._unfolded
        self._paint_list()
        self._again.set()

    def action_keys(self) -> None:
        """Tell the keys."""
        self.push_screen(HelpScreen())

    def action_order(self, order: str) -> None:
        """Ask about an order for the chosen night; say why, where it does nothing."""
        night = self._night()
        if night is None:
            self.bell()
            return
        offer = next(offer for offer in OFFERS if offer.order == order)
        verdict = night.verdicts[order]
        self.push_screen(
            OrderScreen(
                self._config,
                night.explained.summary.night,
                night.explained.name,
                offer,
                self._again.set,
                why_not=None if verdict.outcome is Outcome.ACTS else verdict.why,
            )
        )

    def _wanted(self) -> Wanted:
        row = self._nights.row
        return Wanted(
            night=None if row is None else row.night,
            everything=self._unfolded or bool(self._sought),
        )

    def _night(self) -> NightLook | None:
        """The chosen night, once it was looked at."""
        row, night = self._nights.row, self._look.night
        if row is None or night is None or row.night != night.explained.summary.night.id:
            return None
        return night

    def _look_soon(self) -> None:
        """Look again, once no key comes any more."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST_SECONDS, self._again.set)

    async def _keep_looking(self) -> None:
        """Look, paint, rest; again at once where something else is wanted by then."""
        while True:
            began, wanted = time.monotonic(), self._wanted()
            now_us = self._clock.now_us()
            self._look = await asyncio.to_thread(self._looker.look, wanted, now_us=now_us)
            took = time.monotonic() - began
            seconds = min(_MOST_SECONDS, max(EVERY_SECONDS, _REST_OF_A_LOOK * took))
            self._paint()
            if self._wanted() == wanted:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._again.wait(), seconds)
            self._again.clear()

    def _paint(self) -> None:
        self._paint_top()
        self._paint_list()
        self._paint_night()
        self._paint_log()

    def _paint_top(self) -> None:
        look, width = self._look, self.size.width
        lines: list[Line] = []
        if look.picture is not None:
            is_bad = not look.picture.daemon_runs
            for number, text in enumerate(top(look.picture, replace(self._shows, width=width))):
                tone = Tone.BAD if is_bad and number == 1 else Tone.PLAIN
                lines.append(line(text, tone if number else Tone.TITLE))
        self._head.update(content(lines))
        self._trouble.set_class(look.trouble is not None, "-told")
        if look.trouble is not None:
            seen = "" if look.picture is None else f"; seen last {time_text(look.picture.now_us)}"
            self._trouble.update(
                content(wrapped("", f"not to be read: {look.trouble}{seen}", width))
            )

    def _paint_list(self) -> None:
        picture = self._look.picture
        if picture is not None:
            screen = self._for(self._nights)
            self._nights.show(rows(picture, screen, unfolded=self._unfolded, sought=self._sought))
        screen = self._for(self._arriving)
        lines = [
            each for inflow in self._look.arriving[:1] for each in inflow_lines(inflow, screen)
        ]
        self._arriving.update(content(lines))
        self._arriving.display = bool(lines)

    def _paint_night(self) -> None:
        row = self._nights.row
        screen = self._for(self._detail_pane.scrolling)
        title, lines = beside(row, self._look, self._night(), screen)
        self._detail_pane.show(title, lines, anew=row is None or row.key != self._beside)
        self._beside = "" if row is None else row.key
        self._foot.update(content([foot(self._acting())]))

    def _paint_log(self) -> None:
        night, screen = self._look.night, self._for(self._log_pane.scrolling)
        name = "all nights" if night is None else str(night.explained.summary.night)
        lines = log_lines(self._look.log, screen, of_night=night is not None)
        self._log_pane.show_end(line(f"log of {name}"), lines)

    def _acting(self) -> list[str]:
        """The orders that would do something to the chosen night."""
        night = self._night()
        verdicts = {} if night is None else night.verdicts
        return [order for order, each in verdicts.items() if each.outcome is Outcome.ACTS]

    def _for(self, widget: Widget) -> Screen:
        """What *widget* can show."""
        return replace(self._shows, width=max(20, widget.scrollable_content_region.width))
