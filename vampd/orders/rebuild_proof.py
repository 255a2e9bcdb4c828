"""What people order about the proof that raw files can be rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger import proofs
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order


def _prove(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """The order "prove": forget what was proved or failed, so that all of it is done anew."""
    if arguments["dry_run"]:
        known = context.ledger.value(
            "select count(*) from rebuild_proof where night = ?", [night.id]
        )
    else:
        known = proofs.forget(context.ledger, night.id, "to be proved anew")
    line = "every raw file is rebuilt again, without being kept, once the night is safe"
    return CommandResult(lines=[line], changed=bool(known))


ORDERS: dict[str, Order] = {"prove": _prove}
