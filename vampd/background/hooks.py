"""Runs the site's own commands once a night is safe.

Each command runs once for every batch of a night that became safe after vampd first saw the
command. A run that died with its worker or with the daemon is begun again, so a command must bear
to be run twice. Whatever becomes of it, the night stays safe.
"""

from __future__ import annotations

import logging
import shlex
from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict

from vampd.errors import RetryableError
from vampd.io.process import printable, run
from vampd.ledger import hooks
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.states import ErrorClass, HookState

log = logging.getLogger(__name__)

_LINES = 100
_LINE_BYTES = 500


class HookJob(Struct, frozen=True, kw_only=True):
    """One run of a command."""

    run: int
    night: str  #: for messages, e.g. "archive 20251106"
    date: str
    command: list[str]
    deadline_seconds: float


class HookResult(Struct, frozen=True, kw_only=True):
    """How it ended, and the last that it said: of its output, then of its errors."""

    code: int | None  #: None: it was ended
    error: str | None
    output: str


def _due(ledger: Ledger, config: Config) -> HookJob | None:
    for words in config.hooks.after_safe:
        night = hooks.claim(ledger, shlex.join(words))
        if night is not None:
            values = {key: str(getattr(night, column)) for key, column in _VALUES.items()}
            return HookJob(
                run=night.run,
                night=f"{night.kind} {night.date}",
                date=night.date,
                command=[_filled(word, values) for word in words],
                deadline_seconds=config.hooks.deadline_minutes * 60,
            )
    return None


def run_command(command: Sequence[str], deadline_seconds: float) -> HookResult:
    """Run *command* to its end, or until its deadline. OperatorError: there is no such program."""
    lines: deque[bytes] = deque(maxlen=_LINES)
    try:
        done = run(
            command,
            deadline_seconds=deadline_seconds,
            on_line=lambda line: lines.append(line[:_LINE_BYTES]),
        )
    except RetryableError as error:  # the deadline; nothing of what it did is known
        return HookResult(code=None, error=str(error), output=_output(lines, ""))
    why = None if done.code == 0 else f"{command[0]} exited {done.code}"
    return HookResult(code=done.code, error=why, output=_output(lines, done.stderr_tail))


def _output(lines: deque[bytes], errors: str) -> str:
    said = printable(b"\n".join(lines))
    return "\n".join(part for part in (said, errors) if part)


def _work(job: HookJob) -> HookResult:
    return run_command(job.command, job.deadline_seconds)


def _record(ledger: Ledger, config: Config, job: HookJob, outcome: Outcome[HookResult]) -> None:
    del config
    if outcome.crashed:
        log.warning("%s: %s: %s", job.night, job.command[0], outcome.error)
        return  # its claim stays: it is begun again
    if outcome.error_class is ErrorClass.RESOURCE:  # of this machine: no word about the command
        log.warning("%s: %s: %s", job.night, job.command[0], outcome.error)
        hooks.put_back(ledger, job.run, outcome.error or "")
        return
    found = outcome.result or HookResult(code=None, error=outcome.error, output="")
    state = HookState.DONE if found.error is None else HookState.FAILED
    hooks.finish(ledger, job.run, state, **asdict(found))
    log.log(
        logging.INFO if state is HookState.DONE else logging.ERROR,
        "%s: %s %s%s",
        job.night,
        shlex.join(job.command),
        state,
        f": {found.error}" if found.error else "",
        extra={"NIGHT": job.date},
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
    work=_work,
    result=HookResult,
    record=_record,
)
