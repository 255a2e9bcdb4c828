"""The list of nights on the full screen: what needs somebody first, what is well folded. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from vampd.commands.screen import Screen
from vampd.commands.status_broken import Broken, also_told, machine
from vampd.commands.status_grid import shortened
from vampd.commands.status_odd import odd
from vampd.commands.status_picture import Picture
from vampd.commands.tui.lines import OF_STATUS, Line, Tone, flat, line
from vampd.ledger.alerts import Condition
from vampd.states import Kind, NightStatus, TaskState
from vampd.value_words import count_text
from vampd.views import advice
from vampd.views.matters import matters
from vampd.views.summaries import Summary, is_at_rest

#: From so many columns on there is room for whole words.
_ROOMY = 34

_SIGNS = {
    NightStatus.COLLECTING: TaskState.PENDING,
    NightStatus.READY: TaskState.PENDING,
    NightStatus.RUNNING: TaskState.RUNNING,
    NightStatus.WAITING: NightStatus.WAITING,
    NightStatus.FAILED: TaskState.FAILED,
    NightStatus.HELD: NightStatus.HELD,
    NightStatus.SAFE: TaskState.DONE,
}
#: Kinds where there is little room.
SHORT = {Kind.ARCHIVE: "arch", Kind.ENGINEERING: "eng"}


class Row(Struct, frozen=True, kw_only=True):
    """A line of the list. *key*: the same as long as it is the same thing."""

    key: str
    line: Line
    night: int | None = None
    broken: Broken | None = None  #: of the machine, not of a night
    told: Condition | None = None
    is_odd: bool = False  #: all that is odd
    folds: bool = False  #: it opens and closes what is at rest
    is_heading: bool = False


_NO_NIGHT = Row(key="no night", line=line("no night yet", Tone.FAINT), is_heading=True)


def rows(
    picture: Picture, screen: Screen, *, unfolded: bool = False, sought: str = ""
) -> list[Row]:
    """The whole list; of the nights alone those in which *sought* occurs."""
    if sought:
        found = [each for each in _in_order(picture) if sought.lower() in _words(each)]
        nights = [_night(each, screen) for each in found]
        return [_heading(f"{sought}: {count_text(len(found), 'night')}", screen), *nights]
    if not picture.summaries:
        return [*_section("needs somebody", list(_needing(picture, screen)), screen), _NO_NIGHT]
    return [
        *_section("needs somebody", list(_needing(picture, screen)), screen),
        *_section("told", list(_also(picture, screen)), screen),
        *_section("under way", [_night(each, screen) for each in _under_way(picture)], screen),
        *_at_rest(picture, screen, unfolded=unfolded),
    ]


def _section(title: str, found: Sequence[Row], screen: Screen) -> Iterator[Row]:
    if found:
        yield _heading(title, screen)
        yield from found


def _heading(title: str, screen: Screen) -> Row:
    text = shortened(flat(title), screen.width)
    return Row(key=f"heading {title}", line=line(text, Tone.TITLE), is_heading=True)


def _needing(picture: Picture, screen: Screen) -> Iterator[Row]:
    """What is in the one list: of the machine, then of the nights."""
    for each in machine(picture):
        text = shortened(flat(f"! {each.title}"), screen.width)
        yield Row(key=each.title, line=line(text, Tone.BAD), broken=each)
    yield from (_night(summary, screen) for summary in _needed(picture))


def _also(picture: Picture, screen: Screen) -> Iterator[Row]:
    """What stops no night: each thing that `vampd check` tells, and all that is odd in one row."""
    for each in also_told(picture):
        text = shortened(flat(f"! {each.text}"), screen.width)
        yield Row(key=f"told {each.name}", line=line(text, Tone.WARN), told=each)
    if count := len(list(odd(picture, screen))):
        yield Row(
            key="odd", line=line(f"? {count_text(count, 'line')} on what is odd"), is_odd=True
        )


def _needed(picture: Picture) -> list[Summary]:
    return [summary for matter in matters(picture.summaries) for summary in matter.summaries]


def _under_way(picture: Picture) -> list[Summary]:
    """Nights that go on by themselves, the newest first."""
    needed = {summary.night.id for summary in _needed(picture)}
    return [
        each
        for each in reversed(picture.summaries)
        if not is_at_rest(each.night) and each.night.id not in needed
    ]


def _resting(picture: Picture) -> list[Summary]:
    needed = {summary.night.id for summary in _needed(picture)}
    return [
        each
        for each in reversed(picture.summaries)
        if is_at_rest(each.night) and each.night.id not in needed
    ]


def _in_order(picture: Picture) -> list[Summary]:
    return [*_needed(picture), *_under_way(picture), *_resting(picture)]


def _at_rest(picture: Picture, screen: Screen, *, unfolded: bool) -> Iterator[Row]:
    found = _resting(picture)
    count = len(found) + picture.left_out
    if not count:
        return
    sign = "-" if unfolded else "+"
    text = f"{sign} {count_text(count, 'night')} at rest"
    if not unfolded and screen.width >= _ROOMY:
        text += " (enter shows)"
    yield Row(key="at rest", line=line(text, Tone.TITLE), folds=True)
    if unfolded:
        yield from (_night(each, screen) for each in found)


def _night(summary: Summary, screen: Screen) -> Row:
    night = summary.night
    sign = screen.sign(_SIGNS[night.status]) if screen.glyphs and night.status in _SIGNS else " "
    kind = f"{night.kind:<11}" if screen.width >= _ROOMY else f"{SHORT[night.kind]:<4}"
    tone = OF_STATUS.get(night.status, Tone.PLAIN)
    pieces = [(f"{sign} ", tone), (f"{night.date} {kind} ", Tone.PLAIN), (str(night.status), tone)]
    return Row(key=f"night {night.id}", line=pieces, night=night.id)


def _words(summary: Summary) -> str:
    """What is sought in: all that the list and the first lines beside it say of a night."""
    night = summary.night
    cause = advice.cause_of(summary) or ""
    return f"{night.kind} {night.date} {night.status} {cause}".lower()
