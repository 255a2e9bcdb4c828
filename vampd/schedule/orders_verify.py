"""What operators order about copies: that they are read through again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vampd.errors import OperatorError
from vampd.ledger.connection import Row
from vampd.ledger.nights import label
from vampd.schedule.answers import Answer, Desk, Order
from vampd.schedule.reverify import AT_REST


def _verify(desk: Desk, night: Row, arguments: Mapping[str, Any]) -> Answer:
    if night["status"] not in AT_REST:
        msg = (
            f"{label(night)} is {night['status']}: its stage verify records every digest; without "
            "--record, `vampd verify` tells at once what lies at the far end"
        )
        raise OperatorError(msg)
    if night["verify_asked_by"] is not None:
        return Answer(lines=["it is being verified again already: `vampd show`"], changed=False)
    if not arguments["dry_run"]:
        desk.ledger.update(
            "night",
            night["id"],
            verify_since_us=desk.ledger.now_us(),
            verify_tried_us=None,
            verify_asked_by=desk.ledger.actor,
        )
    line = "every copy is read through again by the daemon; `vampd show` tells when it was done"
    return Answer(lines=[line], changed=True)


ORDERS: dict[str, Order] = {"verify": _verify}
