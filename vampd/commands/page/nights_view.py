"""All nights, gathered for their page: first what needs somebody, then who is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vampd.commands.status_broken import also_told
from vampd.commands.status_json import picture_json
from vampd.commands.status_picture import Picture
from vampd.states import Kind

#: Of nights at rest, so many of each kind stand open; the others are folded.
_RECENT = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """The nights of one kind, the newest first."""

    kind: Kind
    shown: Sequence[Mapping[str, Any]]
    folded: Sequence[Mapping[str, Any]]


def nights_context(picture: Picture) -> dict[str, Any]:
    """Everything that the page of all nights shows."""
    status = picture_json(picture)
    return {
        "status": status,
        "also_told": also_told(picture),
        "in_matters": {
            (night["kind"], night["date"])
            for matter in status["matters"]
            for night in matter["nights"]
        },
        "sections": list(sections(status["nights"])),
        "title": "nights",
    }


def sections(every: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    """*every* night, by kind; what is not at rest is never folded."""
    for kind in Kind:
        own = [night for night in every if night["kind"] == kind][::-1]
        if own:
            old = [night for night in own if night["at_rest"]][_RECENT:]
            dates = {night["date"] for night in old}
            shown = [night for night in own if night["date"] not in dates]
            yield Section(kind=kind, shown=shown, folded=old)
