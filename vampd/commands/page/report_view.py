"""A night as one HTML file that needs no other: no server, no network, no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vampd import __version__
from vampd.commands import plots
from vampd.commands.page import exposure_table
from vampd.commands.page.cube_pictures import cube_picture
from vampd.commands.page.night_view import night_context
from vampd.commands.page.templates import render
from vampd.commands.page.wall import Card, card
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.layout import SMALL_PICTURE
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.exposures import exposures
from vampd.views.quick_looks import of_cubes

_EVERY = 1_000_000  # more cubes than a night has


def report(config: Config, ledger: Reader, night: Night, *, most_cubes: int) -> str:
    """A night as one HTML file, with pictures of at most so many cubes.

    Without matplotlib it has no plots.
    """
    context = night_context(ledger, night, config, now_us=SystemClock().now_us())
    style = (Path(__file__).parent / "assets/page.css").read_text(encoding="utf-8")
    cards, cubes = _cards(ledger, night, most_cubes)
    context |= {
        "plot_images": _plots(ledger, night),
        "plots": plots.PLOTS,
        "cards": cards,
        "cubes": cubes,
        "shots": exposures(ledger, night.id),
        "columns": exposure_table.COLUMNS,
        "style": style,
        "version": __version__,
        "title": f"{night}",
    }
    return render("report.html", context)


def _plots(ledger: Reader, night: Night) -> dict[str, dict[str, bytes]]:
    """Each plot by its name, for light and for dark paper."""
    try:
        return {
            name: {
                theme: plots.plot_png(ledger, night, name, dark=theme == "dark")
                for theme in ("light", "dark")
            }
            for name in plots.PLOTS
        }
    except OperatorError:  # matplotlib is not installed
        return {}


def _cards(ledger: Reader, night: Night, most: int) -> tuple[list[tuple[Card, Any]], int]:
    """The chosen cubes, each with the pictures of its tiles that are there; of how many."""
    groups, total = of_cubes(ledger, night.id, count=_EVERY)
    cards = chosen([card(group) for group in reversed(groups)], most)
    return [(each, _pictures(ledger, night, each)) for each in cards], total


def chosen(cards: Sequence[Card], most: int) -> list[Card]:
    """At most so many of *cards*, which are in the order of time.

    The first of every target and setting, and of the others some, evenly over the night.
    """
    changes = [
        number
        for number, each in enumerate(cards)
        if number == 0 or each.settings != cards[number - 1].settings
    ]
    others = [number for number in range(len(cards)) if number not in set(changes)]
    firsts = _evenly(changes, most)
    return [cards[number] for number in sorted(firsts + _evenly(others, most - len(firsts)))]


def _evenly(numbers: list[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return numbers
    return [numbers[place * len(numbers) // most] for place in range(most)]


def _pictures(ledger: Reader, night: Night, shown: Card) -> dict[tuple[str, str], bytes]:
    """By output and by what they show, those that can still be read."""
    found = {}
    for tile in (tile for tiles in shown.cameras.values() for tile in tiles):
        try:
            picture = cube_picture(ledger, night, tile.look.name, tile.what, SMALL_PICTURE)
        except OperatorError:  # deleted: nothing keeps them for ever
            continue
        found[tile.look.name, tile.what] = picture.content
    return found
