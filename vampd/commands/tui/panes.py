"""The parts of the full screen that take keys: the list of nights, and what scrolls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from vampd.commands.tui.lines import Line, Tone
from vampd.commands.tui.listing import Row
from vampd.commands.tui.paint import content


class Room(Message):
    """A part has another room than it had: its lines are to be broken anew."""


class Nights(OptionList):
    """The list. What is chosen stays so when the list is another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="nights", markup=False)
        self._rows: Sequence[Row] = ()
        self._marked: int | None = None

    @property
    def row(self) -> Row | None:
        """The row that is chosen."""
        place = self.highlighted
        return self._rows[place] if place is not None and place < len(self._rows) else None

    def on_resize(self) -> None:
        """Tell that there is other room."""
        self.post_message(Room())

    def show(self, rows: Sequence[Row]) -> None:
        """Show these *rows*; only those that changed are painted anew."""
        before, self._rows = self._rows, rows
        if [row.key for row in rows] == [row.key for row in before]:
            for place, (row, old) in enumerate(zip(rows, before, strict=True)):
                if row.line != old.line:
                    self._paint(place)
            return
        chosen, scrolled = self.highlighted, self.scroll_offset.y
        key = None if chosen is None else before[chosen].key
        self._marked = None
        self.set_options(Option(content([row.line]), disabled=row.is_heading) for row in rows)
        self._choose(key)
        self.scroll_to(y=scrolled, animate=False)

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Mark the chosen row by reversing it: in every terminal's colours, and without any."""
        super().watch_highlighted(highlighted)
        changed = (self._marked, highlighted)
        self._marked = highlighted
        for place in changed:
            if place is not None and place < len(self._rows):
                self._paint(place)

    def _paint(self, place: int) -> None:
        shown = content([self._rows[place].line])
        if place == self._marked:
            room = self.scrollable_content_region.width - shown.cell_length
            shown = shown.pad_right(max(0, room)).stylize("reverse")
        self.replace_option_prompt_at_index(place, shown)

    def _choose(self, key: str | None) -> None:
        """The row of *key*, or the first that can be chosen."""
        places = [place for place, row in enumerate(self._rows) if not row.is_heading]
        same = [place for place in places if self._rows[place].key == key]
        self.highlighted = next(iter(same or places), None)


class Scrolling(VerticalScroll, can_focus=True):
    """Text that is longer than its place."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
        Binding("space", "page_down", show=False),
    ]

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._text = Static(id=f"{name}-text", markup=False)
        self._shown = Content()

    def compose(self) -> ComposeResult:
        """The text alone."""
        yield self._text

    def on_resize(self) -> None:
        """Tell that there is other room."""
        self.post_message(Room())

    def show(self, lines: Sequence[Line]) -> bool:
        """Show these *lines*; False: they are what is there."""
        found = content(lines)
        if found.is_same(self._shown):
            return False
        self._shown = found
        self._text.update(found)
        return True


class Pane(Vertical):
    """Something that scrolls, under its title."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(id=f"{name}-pane")
        self._title = Static(id=f"{name}-title", classes="title", markup=False)
        self._rule = rule
        self.scrolling = Scrolling(name)

    def compose(self) -> ComposeResult:
        """The title, and what scrolls."""
        yield self._title
        yield self.scrolling

    def show(self, title: Line, lines: Sequence[Line], *, anew: bool) -> None:
        """Show *lines*; *anew*: they are of something else, and begin at their beginning."""
        self._entitle(title)
        if self.scrolling.show(lines) and anew:
            self.scrolling.scroll_home(animate=False)

    def show_end(self, title: Line, lines: Sequence[Line]) -> None:
        """Show *lines*, of which the last ones matter, unless somebody reads further up."""
        self._entitle(title)
        was_at_end = self.scrolling.is_vertical_scroll_end
        if self.scrolling.show(lines) and (was_at_end or not self.scrolling.has_focus):
            self.call_after_refresh(self.scrolling.scroll_end, animate=False)

    def _entitle(self, title: Line) -> None:
        """The title, and a rule to the end of the line."""
        room = self.size.width - sum(len(text) for text, _ in title) - 1
        rule: Line = [(f" {self._rule * max(0, room)}", Tone.FAINT)]
        self._title.update(content([[*title, *rule]]))
