"""The site's own commands in the ledger: for which nights they ran, and how that ended."""

from __future__ import annotations

from msgspec import Struct

from vampd.ledger.connection import Ledger, Row
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.states import HookState

_MOST_ATTEMPTS = 3  # that ended with a dead worker or daemon

_NEXT = """
    select night.id, night.kind, night.date, night.folder, night.batch,
        run.id as run, run.state as run_state, run.attempts
    from night left join hook_run as run
        on run.night = night.id and run.batch = night.batch and run.command = :command
    where night.status in ('safe', 'reclaimed') and night.safe_us >= :since_us
        and (run.id is null or run.state in ('pending', 'running'))
    order by night.safe_us, night.id limit 1
"""


class NightOfRun(Night, frozen=True, kw_only=True):
    """A night for which a hook's command runs."""

    run: int


class HookRun(Struct, frozen=True, kw_only=True):
    """One command's run for one batch of a night. Times are microseconds since the epoch, UTC."""

    command: str
    batch: int
    state: HookState
    attempts: int
    code: int | None  #: exit status, where it ended by itself
    error: str | None
    output: str | None  #: the last that it said
    started_us: int | None
    finished_us: int | None


def runs(ledger: Reader, night: int) -> list[HookRun]:
    """Every run for *night*, in the order in which they were first due."""
    return fetch_all(HookRun, ledger, "select * from hook_run where night = ? order by id", [night])


def claim(ledger: Ledger, command: str) -> NightOfRun | None:
    """The next night for which *command* is due, claimed as running in column `run`; or None.

    A claim that is still there was a dead worker's, for there is one of these at a time.
    """
    with ledger.transaction():
        since_us = _known_since_us(ledger, command)
        while True:
            row = ledger.row(_NEXT, {"command": command, "since_us": since_us})
            if row is None or (row["attempts"] or 0) < _MOST_ATTEMPTS:
                break
            error = f"its worker or the daemon died while it ran, {row['attempts']} times"
            finish(ledger, row["run"], HookState.FAILED, error=error)
        return None if row is None else _running(ledger, row, command)


def finish(
    ledger: Ledger,
    run: int,
    state: HookState,
    *,
    code: int | None = None,
    error: str | None = None,
    output: str | None = None,
) -> None:
    """Write down how *run* ended."""
    ledger.update(
        "hook_run",
        run,
        state=state,
        code=code,
        error=error,
        output=output,
        finished_us=ledger.now_us(),
        **ledger.stamp(error),
    )


def put_back(ledger: Ledger, run: int, why: str) -> None:
    """It was not begun, or cut short for want of something here: that was no attempt."""
    ledger.execute(
        "update hook_run set state = 'pending', attempts = attempts - 1, changed_us = :changed_us,"
        " changed_by = :changed_by, why = :why where id = :run",
        {**ledger.stamp(why), "run": run},
    )


def again(ledger: Ledger, night: int, why: str) -> list[str]:
    """Let the commands that failed for *night* be due again; return them."""
    failed = ledger.rows("select * from hook_run where night = ? and state = 'failed'", [night])
    for row in failed:
        ledger.update(
            "hook_run", row["id"], state=HookState.PENDING, attempts=0, **ledger.stamp(why)
        )
    return [row["command"] for row in failed]


def _known_since_us(ledger: Ledger, command: str) -> int:
    ledger.execute(
        "insert into hook (command, since_us) values (?, ?) on conflict do nothing",
        [command, ledger.now_us()],
    )
    since_us: int = ledger.value("select since_us from hook where command = ?", [command])
    return since_us


def _running(ledger: Ledger, row: Row, command: str) -> NightOfRun:
    started = {"state": HookState.RUNNING, "started_us": ledger.now_us(), **ledger.stamp()}
    if row["run"] is None:
        ledger.insert(
            "hook_run",
            night=row["id"],
            batch=row["batch"],
            command=command,
            attempts=1,
            **started,
        )
    else:
        ledger.update("hook_run", row["run"], attempts=row["attempts"] + 1, **started)
    claimed = fetch_one(
        NightOfRun,
        ledger,
        "select night.*, run.id as run from night join hook_run as run on run.night = night.id"
        " and run.batch = night.batch where night.id = ? and run.command = ?",
        [row["id"], command],
    )
    assert claimed is not None
    return claimed
