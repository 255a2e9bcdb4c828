"""Every chore, in the order in which they are asked whether they are due."""

from __future__ import annotations

from vampd.schedule import hooks, proofs
from vampd.schedule.chores import Chore

CHORES: tuple[Chore, ...] = (hooks.CHORE, proofs.CHORE)
