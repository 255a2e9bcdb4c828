"""What operators order about the site's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.ledger import hooks
from vampd.ledger.connection import Row
from vampd.schedule.answers import Answer, Desk, Order
from vampd.states import HookState


def _again(desk: Desk, night: Row, arguments: Mapping[str, Any]) -> Answer:
    if arguments["dry_run"]:
        runs = hooks.runs(desk.ledger.connection, night["id"])
        failed = [run.command for run in runs if run.state is HookState.FAILED]
    else:
        failed = hooks.again(desk.ledger, night["id"], "hooks --again")
    if not failed:
        return Answer(lines=["no command failed"], changed=False)
    return Answer(lines=[f"runs again: {command}" for command in failed], changed=True)


ORDERS: dict[str, Order] = {"hooks_again": _again}
