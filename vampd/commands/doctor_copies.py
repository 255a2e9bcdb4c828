"""What `vampd admin doctor` says of the copies of the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vampd.commands.findings import Finding, bad, ok, warn
from vampd.commands.screen import time_text
from vampd.io.clock import SystemClock
from vampd.ledger import ledger_copies
from vampd.ledger.copy_files import copies_in
from vampd.ledger.ledger_copies import HERE
from vampd.ledger.reading import has_ledger, reading
from vampd.settings.sections import Config
from vampd.views.copy_conditions import copy_conditions
from vampd.views.limits import limits


def examined(config: Config) -> Iterator[Finding]:
    """Whether there are copies, how old the newest is here and at each destination."""
    if not config.ledger_copies.enabled:
        yield warn("the ledger is not copied: ledger_copies.enabled is false", "set it to true")
        return
    reachable = os.access(config.state_dir, os.X_OK)
    if not reachable or not has_ledger(config.state_dir, config.reading_socket):
        return
    now_us = SystemClock().now_us()
    with reading(config.state_dir, config.reading_socket) as ledger:
        known = ledger_copies.everywhere(ledger)
        problems = list(copy_conditions(ledger, limits(config).copies, now_us))
    for problem in problems:
        text = problem.text.rpartition(": ")[0]
        told = bad if problem.name == "ledger" else warn
        yield told(text, "mend that; a copy is tried again every hour")
    for copy in known:
        if copy.made_us is not None:
            where = copy.place or str(config.copies_folder)
            yield ok(f"the ledger was copied at {time_text(copy.made_us)}, to {where}")
    lost = any(copy.place == HERE and copy.name for copy in known)
    folder = config.copies_folder
    if lost and os.access(folder.parent, os.X_OK) and not copies_in(folder, now_us):
        yield warn(f"{folder}: its copies of the ledger are gone", "the next night makes another")
