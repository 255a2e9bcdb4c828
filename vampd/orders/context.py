"""What an order is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.settings.sections import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """What was done, or with `dry_run` would be, in sentences; and whether anything changed."""

    lines: list[str]
    changed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandContext:
    """What an order may use. *stop_work* kills the workers of a night."""

    ledger: Ledger
    config: Config
    stop_work: Callable[[int], None]


Order: TypeAlias = Callable[[CommandContext, Night, Mapping[str, Any]], CommandResult]
"""An order about one night: context, the night's row, arguments."""

OrderOfAll: TypeAlias = Callable[[CommandContext, Mapping[str, Any]], CommandResult]
"""An order about no night in particular: context, arguments."""
