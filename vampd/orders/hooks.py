"""What operators order about the site's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger import hooks
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order
from vampd.states import HookState


def _again(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    if arguments["dry_run"]:
        runs = hooks.runs(context.ledger.connection, night.id)
        failed = [run.command for run in runs if run.state is HookState.FAILED]
    else:
        failed = hooks.again(context.ledger, night.id, "hooks --again")
    if not failed:
        return CommandResult(lines=["no command failed"], changed=False)
    return CommandResult(lines=[f"runs again: {command}" for command in failed], changed=True)


ORDERS: dict[str, Order] = {"hooks_again": _again}
