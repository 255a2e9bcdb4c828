"""What `vampd admin doctor` says of builders on other hosts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from vampd.commands.findings import Finding
from vampd.ledger.builders import roster_of
from vampd.ledger.reading import has_ledger, reading
from vampd.settings.sections import Config
from vampd.states import BuilderState

_START = "dask worker {scheduler} --nthreads 1, on that host, in vampd's own environment"


def examined(config: Config) -> Iterator[Finding]:
    """Builders as the daemon last saw them; nothing where all work is done here."""
    if config.workers.executor == "local":
        return
    if importlib.util.find_spec("distributed") is None:
        yield Finding(
            state="bad",
            what="workers.executor is dask, and Dask is not installed",
            advice="install.sh --extras dask",
        )
        return
    if not has_ledger(config.state_dir, config.reading_socket):
        return
    with reading(config.state_dir, config.reading_socket) as ledger:
        roster = roster_of(ledger)
    scheduler = config.workers.dask_scheduler
    if roster is None:
        yield Finding(
            state="warn", what=f"no daemon looked for builders at {scheduler} yet", advice=""
        )
        return
    if roster.away is not None:
        yield Finding(
            state="warn",
            what=f"{scheduler} did not answer the daemon: {roster.away}",
            advice="begin the scheduler there; nights wait, and go on by themselves",
        )
    elif not roster.builders:
        start = _START.format(scheduler=scheduler)
        yield Finding(state="warn", what=f"no builder has joined {scheduler}", advice=start)
    for each in roster.builders:
        name = f"builder {each.host} ({each.address})"
        if each.state is BuilderState.REFUSED:
            advice = f"mend that, and begin it again: {_START.format(scheduler=scheduler)}"
            yield Finding(state="bad", what=f"{name} is refused: {each.why}", advice=advice)
        else:
            is_ready = each.state is BuilderState.READY
            what = "is ready" if is_ready else "was there, and is not any more"
            yield Finding(state="ok" if is_ready else "warn", what=f"{name} {what}", advice="")
