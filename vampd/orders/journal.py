"""Who ordered what, for the journal: the events tell what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vampd.plain_text import plain_text

log = logging.getLogger(__name__)


def tell(order: str, arguments: Mapping[str, Any], actor: str, what: str) -> None:
    """*what* came of an *order* of *actor*; a question what an order would do is none."""
    if arguments.get("dry_run"):
        return
    date = str(arguments.get("date", ""))
    about = f" of {arguments.get('kind')} {date}" if date else ""
    text = plain_text(f"{actor} orders {order}{about}: {what}")
    log.info("%s", text, extra={"NIGHT": date, "ACTOR": actor, "ORDER": order})
