"""What people order about the proof that raw files can be rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger import proofs
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order
from vampd.orders.standing import nothing_to_do
from vampd.verbs import Verb


def _prove(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """The order "prove": forget what was proved or failed, so that all of it is done anew."""
    if (answer := nothing_to_do(context.ledger, night, Verb.PROVE)) is not None:
        return answer
    if not arguments["dry_run"]:
        proofs.forget(context.ledger, night.id, "to be proved anew")
    line = "every raw file is rebuilt again, without being kept, once the night is safe"
    return CommandResult(lines=[line], changed=True)


ORDERS: dict[str, Order] = {"prove": _prove}
