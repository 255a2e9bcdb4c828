"""One output, gathered for its page: pictures, measures, header, where its frames come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vampd.commands import trace_screen
from vampd.commands.page.wall import has_difference
from vampd.commands.screen import Screen
from vampd.commands.tracer import Tracer
from vampd.errors import OperatorError, UsageError
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.exposures import exposure, neighbours, siblings
from vampd.views.quick_looks import LookedAt, looked_at
from vampd.views.summaries import nights

_TRACE = Screen(colours=False, glyphs=True, width=100)


def cube_context(
    ledger: Reader,
    config: Config,
    night: Night,
    name: str,
    cards: Callable[[Night, str], list[tuple[str, Any]]],
) -> dict[str, Any]:
    """Everything that the page of an output shows. OperatorError: there is none such."""
    shot = exposure(ledger, night.id, name)
    if shot is None:
        msg = f"{night}: no output is called {name}"
        raise OperatorError(msg)
    found = shot.exposure
    others = [exposure(ledger, night.id, other) for other in siblings(ledger, found)]
    look = looked_at(ledger, found.output)
    before, after = neighbours(ledger, found)
    return {
        "night": night,
        "shot": shot,
        "look": look,
        "pictures": _pictures(ledger, look, [each.exposure.output for each in others if each]),
        "siblings": [each for each in others if each],
        "before": before,
        "after": after,
        "cards": cards(night, f"{OUTPUT_FOLDER}/{found.file_name}{OUTPUT_ENDING}"),
        "trace": _trace(ledger, config, night, found.file_name),
        "title": f"{found.file_name} of {night}",
    }


def _trace(ledger: Reader, config: Config, night: Night, name: str) -> str:
    """What `vampd data trace` says, or why it says nothing: names of an earlier pipeline differ."""
    try:
        trace = Tracer(ledger, config, nights(ledger)).trace(name, [night])
    except (OperatorError, UsageError) as error:
        return str(error)
    return "\n".join(trace_screen.lines(trace, _TRACE))


def _pictures(ledger: Reader, look: LookedAt | None, others: list[int]) -> list[str]:
    """Which of `vampd.views.quick_looks.PICTURES` were made."""
    if look is None:
        return []
    looks = [each for other in others if (each := looked_at(ledger, other)) is not None]
    return ["mean", "highest", *(["a-b"] if has_difference(look, looks) else [])]
