"""What operators order about the site's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger import hooks
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order
from vampd.orders.standing import nothing_to_do
from vampd.states import HookState
from vampd.verbs import Verb


def _again(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.HOOKS)) is not None:
        return answer
    if arguments["dry_run"]:
        runs = hooks.runs(context.ledger.connection, night.id)
        failed = [run.command for run in runs if run.state is HookState.FAILED]
    else:
        failed = hooks.again(context.ledger, night.id, "hooks --again")
    return CommandResult(lines=[f"runs again: {command}" for command in failed], changed=True)


ORDERS: dict[str, Order] = {"hooks_again": _again}
