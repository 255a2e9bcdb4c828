"""Work that belongs to no night's stages: it goes on beside them, one of each kind at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vampd.ledger.connection import Ledger
from vampd.schedule.workers import Body, Outcome
from vampd.settings.sections import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundJob:
    """One kind of it. `vampd.background.table` lists all; the ledger tells when it is due."""

    name: str
    uses_network: bool  #: it takes the seat of transfers, not one of the builders'
    due: Callable[[Ledger, Config], Any | None]  #: its job, None: nothing to do. Asked every second
    body: Body  #: done in a worker
    record: Callable[[Ledger, Config, Any, Outcome], None]  #: the job, and how it ended
    is_light: bool = False  #: hardly any work: it takes no seat, and waits for none
