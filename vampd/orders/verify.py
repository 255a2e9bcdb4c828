"""What operators order about copies: that they are read again, and on which disk they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vampd.errors import OperatorError, UsageError
from vampd.ledger import destination_markers, verifications
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll
from vampd.orders.standing import nothing_to_do
from vampd.remote.destination_marker import Marked
from vampd.remote.location import Location
from vampd.settings.sections import Config
from vampd.verbs import Verb

_MARKER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _verify(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.VERIFY)) is not None:
        return answer
    if not arguments["dry_run"]:
        verifications.ask(context.ledger, night.id)
    line = "every copy is read through again by the daemon; `vampd show` tells when it was done"
    return CommandResult(lines=[line], changed=True)


def _claim_far(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """`place`, `marker`: by this marker the disk of a far folder is known from now on."""
    place, marker = str(Location.parse(str(arguments["place"]))), arguments["marker"]
    if place not in _far_folders(context.config):
        msg = f"{place} is no far folder of the daemon's settings"
        raise OperatorError(msg)
    known = destination_markers.marker_of(context.ledger, place)
    lines = [f"{place}: its disk is the one that bears the marker {marker or '(a new one)'}"]
    if known is not None:
        lines.append(f"until now it was the one that bears {known}, which stays on record")
    if marker == known:
        return CommandResult(
            lines=[f"{place}: its disk is known by that marker already"], changed=False
        )
    if not arguments["dry_run"]:
        if not isinstance(marker, str) or _MARKER.fullmatch(marker) is None:
            msg = f"{marker!r} is no marker of a far disk"
            raise UsageError(msg)
        with context.ledger.transaction():
            why = "vampd admin doctor --claim"
            destination_markers.record(
                context.ledger, [Marked(place=place, marker=marker, why=why)]
            )
            waiting = destination_markers.go_on(context.ledger, place)
        if waiting:
            lines.append("what waited for it is tried again now")
    return CommandResult(lines=lines, changed=True)


def _far_folders(config: Config) -> set[str]:
    deliveries = [config.delivery.of(root.kind) for root in config.roots]
    return {
        str(place)
        for delivery in deliveries
        if delivery is not None
        for place in (delivery.destination, delivery.safe_base())
        if place is not None
    }


ORDERS: dict[str, Order] = {"verify": _verify}
ORDERS_OF_ALL: dict[str, OrderOfAll] = {"claim_far": _claim_far}
