"""What stops nothing and somebody should know, as `vampd status` tells it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vampd.commands.logger_words import toll_text
from vampd.commands.screen import Screen, count_text, paragraph
from vampd.commands.status_picture import Picture
from vampd.states import LoggerFault
from vampd.views import advice
from vampd.views.causes import name_of
from vampd.views.summaries import Summary, is_at_rest

#: Of what is odd, so many lines a sort.
_ODD_LINES = 5


def odd(picture: Picture, screen: Screen) -> Iterator[str]:
    """What stops nothing and somebody should know."""
    sorts: tuple[tuple[Callable[[Summary], int], str, str, str], ...] = (
        (lambda each: each.quarantined_untold, "cube", "quarantined", "vampd quarantine"),
        (lambda each: each.late, "cube", "held for its supplement", "vampd explain"),
        (lambda each: each.elsewhere, "file", "not moved on yet at the far end", "vampd show"),
    )
    for summary in picture.summaries:
        if summary.night.batch > 1 and not is_at_rest(summary.night):
            number = summary.night.batch - 1
            yield f"{summary.night}: its supplement {number} is under way: cubes that came late"
    if picture.to_be_mailed:
        yield note(*_to_be_mailed(picture.to_be_mailed), screen)
    for ids, place in picture.strange_ids[:_ODD_LINES]:
        yield note(
            f"{ids} stands in {place}, too far up to be believed:",
            "vampd archive ids audit",
            screen,
        )
    both = advice.both_kinds(picture.summaries)
    for count, noun, what, command in sorts:
        found = [summary for summary in picture.summaries if count(summary)]
        for summary in found[-_ODD_LINES:]:
            name = name_of(summary, both_kinds=summary.night.date in both)
            text = f"{summary.night}: {count_text(count(summary), noun)} {what}:"
            yield note(text, f"{command} {name}", screen)
        if len(found) > _ODD_LINES:
            more = count_text(len(found) - _ODD_LINES, "older night")
            yield f"and {noun}s {what} in {more}"
    yield from _logger_faults(picture, screen)
    yield from _oddities(picture, screen)


def _logger_faults(picture: Picture, screen: Screen) -> Iterator[str]:
    """What the cameras' logger did to cubes."""
    both = advice.both_kinds(picture.summaries)
    for fault in LoggerFault:
        found = [summary for summary in picture.summaries if fault in summary.tolls]
        for summary in found[-_ODD_LINES:]:
            name = name_of(summary, both_kinds=summary.night.date in both)
            text = f"{summary.night}: {toll_text(fault, summary.tolls[fault])}:"
            yield note(text, f"vampd show {name}", screen)
        if len(found) > _ODD_LINES:
            more = count_text(len(found) - _ODD_LINES, "older night")
            yield f"and the same ({fault}) in {more}"


def _oddities(picture: Picture, screen: Screen) -> Iterator[str]:
    """What of a night nobody takes, and what else is odd of it; then what lies beside nights."""
    both = advice.both_kinds(picture.summaries)
    told = [
        (summary, [each for each in summary.oddities if each.is_told])
        for summary in picture.summaries
    ]
    found = [(summary, odd) for summary, odd in told if odd]
    for summary, odd in found[-_ODD_LINES:]:
        name = name_of(summary, both_kinds=summary.night.date in both)
        for each in odd[:_ODD_LINES]:
            yield note(
                _paragraph(f"{summary.night}: {each.text}:", screen), f"vampd show {name}", screen
            )
    if len(found) > _ODD_LINES:
        more = count_text(len(found) - _ODD_LINES, "older night")
        yield f"and what is odd of {more}"
    for beside in picture.beside[:_ODD_LINES]:
        yield _paragraph(f"beside the nights, and nobody takes it: {beside.text}", screen)


def _paragraph(text: str, screen: Screen) -> str:
    return (
        text
        if len(text) <= screen.width
        else paragraph("", text, screen.width).replace("\n", "\n  ")
    )


def _to_be_mailed(dates: Sequence[str]) -> tuple[str, str]:
    """That the archive is to be told, and by which command; one mail tells of several nights."""
    first, last = dates[0], dates[-1]
    span = last if first == last else f"{first}..{last}"
    who = f"archive {last}" if first == last else count_text(len(dates), "archive night")
    return f"{who}: the archive is not told yet:", f"vampd archive manifest {span} --send"


def note(text: str, next_command: str, screen: Screen) -> str:
    """On one line if it fits; a command is never broken, so that it can be copied."""
    one = f"{text} {next_command}"
    return one if len(one) <= screen.width else f"{text}\n  {next_command}"
