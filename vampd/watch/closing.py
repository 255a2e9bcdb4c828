"""The end of a night: what is to be done of it, or that there is nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from vampd.causes import Cause
from vampd.ledger import cubes, live, nights, tasks, unseen
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.states import NightStatus, Stage, WaitCode

log = logging.getLogger(__name__)


def close(ledger: Ledger, night: Night, stages: Iterable[Stage]) -> None:
    """Close a night all of whose files are judged: its *stages* are due, or it is empty."""
    by = night.close_asked_by or "vampd"
    nights.mark_closed(ledger, night.id, by)
    live.close(ledger, night.id)
    night = nights.get_night(ledger, night.id)
    is_planned = live.is_unconfirmed(ledger, night)
    if not is_planned and not cubes.cubes_of(ledger, night.id):
        _close_empty(ledger, night)
        return
    for stage in stages:
        if stage is not Stage.BUILD:
            tasks.add_task(ledger, night.id, stage)
    nights.set_status(ledger, night, NightStatus.READY, None, f"closed by {by}")
    log.info("%s is over", nights.label(night), extra={"NIGHT": night.date})


def _close_empty(ledger: Ledger, night: Night) -> None:
    """Nothing of the batch can be used: then there is none, and earlier ones stay safe."""
    if night.batch == 1:
        left = [row.text for row in unseen.unseen_of(ledger, night.id)]
        why = "; ".join(["no cube that could be used", *left])
        nights.set_status(ledger, night, NightStatus.EMPTY, Cause(WaitCode.EMPTY, {"why": why}))
        return
    nights.drop_batch(ledger, night)
    why = "of the late files, no cube could be used"
    nights.set_status(ledger, night, NightStatus.SAFE, None, why)
