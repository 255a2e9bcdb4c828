"""What an order is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.settings.sections import Config


class CommandResult(Struct, frozen=True, kw_only=True):
    """What was done, or with `dry_run` would be, in sentences; and whether anything changed."""

    lines: list[str]
    changed: bool
    batches: tuple[tuple[int, int], ...] = ()  #: night and batch of which a mail goes out


class CommandContext(Struct, frozen=True, kw_only=True):
    """What an order may use.

    *stop_work* kills the workers of a night. *beat* is called again and again by what takes long:
    whoever waits for the daemon's sign of life would kill it in the middle of an order.
    """

    ledger: Ledger
    config: Config
    stop_work: Callable[[int], None]
    beat: Callable[[], None] = lambda: None


Order: TypeAlias = Callable[[CommandContext, Night, Mapping[str, Any]], CommandResult]
"""An order about one night: context, the night's row, arguments."""

OrderOfAll: TypeAlias = Callable[[CommandContext, Mapping[str, Any]], CommandResult]
"""An order about no night in particular: context, arguments."""
