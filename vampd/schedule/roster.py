"""Every chore, in the order in which they are asked whether they are due."""

from __future__ import annotations

from vampd.schedule import alerts, headers, hooks, mail, papers, proofs, reclaim, reverify
from vampd.schedule.chores import Chore

CHORES: tuple[Chore, ...] = (
    mail.CHORE,
    alerts.CHORE,
    hooks.CHORE,
    proofs.CHORE,
    papers.CHORE,
    headers.CHORE,
    reclaim.CHORE,
    reverify.CHORE,
)
