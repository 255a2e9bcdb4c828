"""Runs the site's own commands once a night is safe.

Each command runs once for every batch of a night that became safe after vampd first saw the
command. A run that died with its worker or with the daemon is begun again, so a command must bear
to be run twice. Whatever becomes of it, the night stays safe.
"""

from __future__ import annotations

import logging
import shlex
from typing import Any

from vampd.background import hook_command
from vampd.ledger import hooks
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.states import HookState

log = logging.getLogger(__name__)


def _due(ledger: Ledger, config: Config) -> dict[str, Any] | None:
    for words in config.hooks.after_safe:
        night = hooks.claim(ledger, shlex.join(words))
        if night is not None:
            values = {key: str(getattr(night, column)) for key, column in _VALUES.items()}
            return {
                "run": night.run,
                "night": f"{night.kind} {night.date}",
                "date": night.date,
                "command": [_filled(word, values) for word in words],
                "deadline_seconds": config.hooks.deadline_minutes * 60,
            }
    return None


def _record(
    ledger: Ledger, config: Config, job: dict[str, Any], outcome: Outcome[dict[str, Any]]
) -> None:
    del config
    if outcome.crashed:
        log.warning("%s: %s: %s", job["night"], job["command"][0], outcome.error)
        return  # its claim stays: it is begun again
    found = outcome.result or {"code": None, "error": outcome.error, "output": ""}
    state = HookState.DONE if found["error"] is None else HookState.FAILED
    hooks.finish(ledger, job["run"], state, **found)
    log.log(
        logging.INFO if state is HookState.DONE else logging.ERROR,
        "%s: %s %s%s",
        job["night"],
        shlex.join(job["command"]),
        state,
        f": {found['error']}" if found["error"] else "",
        extra={"NIGHT": job["date"]},
    )


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word


#: What a command may name in braces, and the night's column that it becomes.
_VALUES = {"night": "date", "kind": "kind", "folder": "folder", "batch": "batch"}

JOB = BackgroundJob(
    name="hooks",
    seat=Seat.NONE,
    due=_due,
    work=hook_command.work,
    result=dict,
    record=_record,
)
