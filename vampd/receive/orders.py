"""What people order of the receiver: through it where it runs, else instead of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vampd import __version__
from vampd.errors import OperatorError, UsageError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock, holder
from vampd.ledger.connection import Ledger
from vampd.orders.socket import ask
from vampd.receive import ledger as books
from vampd.receive import ledger_steps
from vampd.receive.records import NightRow
from vampd.receive.settings import ReceiveConfig


def act(
    config: ReceiveConfig, order: str, arguments: dict[str, Any], *, actor: str
) -> dict[str, Any]:
    """Have *order* carried out; return its `lines`, and whether anything `changed`.

    OperatorError: it was refused. DaemonUnreachableError: a receiver runs and does not answer.
    """
    if holder(config.state_dir) is not None:
        return ask(config.socket, order, arguments, "the receiver runs, and does not answer")
    with StateLock.acquire(config.state_dir):
        ledger = books.opened(config.state_dir, version=__version__, clock=SystemClock())
        try:
            return Orders(ledger, config, lambda _night: None).carry_out(order, arguments, actor)
        finally:
            ledger.close()


class Orders:
    """Carries out what is ordered. *hint* is told of each night of which something changed."""

    def __init__(self, ledger: Ledger, config: ReceiveConfig, hint: Callable[[int], None]) -> None:
        self._ledger = ledger
        self.config = config
        self._hint = hint

    def carry_out(self, order: str, arguments: dict[str, Any], actor: str) -> dict[str, Any]:
        """Do it as *actor*. UsageError: there is no such order. OperatorError: it is refused."""
        orders: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
            "retry": self._retry,
            "reprocess": self._reprocess,
            "claim": self._claim,
        }
        if order not in orders:
            msg = f"the receiver knows no order {order!r}"
            raise UsageError(msg)
        before, self._ledger.actor = self._ledger.actor, actor
        try:
            with self._ledger.transaction():
                changes = self._ledger.changes
                lines = orders[order](arguments)
                return {"lines": lines, "changed": self._ledger.changes != changes}
        finally:
            self._ledger.actor = before

    def _retry(self, arguments: Mapping[str, Any]) -> list[str]:
        night = self._night(arguments["kind"], arguments["date"])
        count = books.judge_again(self._ledger, night.id, "an operator: retry")
        steps = ledger_steps.force(self._ledger, night.id, None, "an operator: retry")
        self._hint(night.id)
        return [
            f"{count} files are read again, and what is awaited is looked for at once",
            *(f"the step {step} is begun again" for step in steps),
        ]

    def _reprocess(self, arguments: Mapping[str, Any]) -> list[str]:
        step = arguments["from"]
        names = [each.name for each in self.config.step]
        if step is not None and step not in names:
            msg = f"there is no step {step!r}; there are: {', '.join(names) or 'none'}"
            raise OperatorError(msg)
        lines = []
        for kind, date in arguments["nights"]:
            night = self._night(kind, date)
            for each in [step] if step else names:
                done = ledger_steps.force(self._ledger, night.id, each, "an operator: reprocess")
                lines += [f"{kind} {date}: the step {what} is done again" for what in done]
            self._hint(night.id)
        return lines or ["nothing to be done again: no step of these nights was done yet"]

    def _night(self, kind: str, date: str) -> NightRow:
        night = books.find_night(self._ledger, kind, date)
        if night is None:
            msg = f"nothing of {kind} {date} ever came"
            raise OperatorError(msg)
        return night

    def _claim(self, arguments: Mapping[str, Any]) -> list[str]:
        place = arguments["place"]
        if place not in {str(inbox.base()) for inbox in self.config.inbox}:
            msg = f"{place} is no folder to which nights are moved on"
            raise OperatorError(msg)
        books.forget_marker(self._ledger, place)
        return [f"the disk at {place} is taken as it is now"]
