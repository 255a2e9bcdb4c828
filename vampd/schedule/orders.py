"""What operators order, carried out in the one process that writes.

Each order says what it does, or with `dry_run` would do, in sentences. Twice is once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vampd.errors import OperatorError, UsageError
from vampd.ledger import files, nights, outputs, tasks
from vampd.ledger.connection import Ledger, Row
from vampd.schedule import restoring
from vampd.states import FINAL, FileState, Kind, NightStatus, Stage, stages_from
from vampd.watch.rounds import reopen

RESTORED = "restored"
_BEING_RESTORED = "being restored; `vampd restore` finishes it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was done, in sentences, and whether anything changed."""

    lines: list[str]
    changed: bool


class Orders:
    """Carries orders out. *stop_work* kills the workers of a night."""

    def __init__(self, ledger: Ledger, stop_work: Callable[[int], None] | None = None) -> None:
        self._ledger = ledger
        self._stop_work = stop_work or (lambda _: None)
        self._known: dict[str, Callable[[Row, dict[str, Any]], Answer]] = {
            "close": self._close,
            "retry": self._retry,
            "restore": self._restore,
            "hold": self._hold,
            "release": self._release,
            "quarantine": self._quarantine,
            "abandon": self._abandon,
        }

    def carry_out(self, order: str, arguments: dict[str, Any], actor: str) -> dict[str, Any]:
        """Carry out *order* in the name of *actor*. OperatorError: it is refused."""
        if order not in self._known:
            msg = f"{order} is not an order that this vampd knows"
            raise UsageError(msg)
        night = nights.find_night(self._ledger, arguments["kind"], arguments["date"])
        before, self._ledger.actor = self._ledger.actor, actor
        try:
            answer = self._known[order](night, arguments)
        finally:
            self._ledger.actor = before
        return {"lines": answer.lines, "changed": answer.changed}

    def _close(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if night["closed_us"] is not None:
            return Answer(lines=["it is closed already"], changed=False)
        if not arguments["dry_run"]:
            self._ledger.update("night", night["id"], close_asked_by=self._ledger.actor)
        line = "it is taken as over, without waiting for its date or for quiet"
        return Answer(lines=[line], changed=True)

    def _retry(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if arguments.get("from"):
            return self._retry_from(night, arguments)
        troubled = self._ledger.value(
            "select count(*) from task where night = ? and (state = 'failed'"
            " or (state = 'pending' and due_us > 0))",
            [night["id"]],
        )
        if not troubled and night["hold"] is None:
            return Answer(lines=["nothing failed, and nothing waits for a retry"], changed=False)
        lines = [f"{troubled} tasks are tried again now"] if troubled else []
        if night["hold"] is not None:
            lines.append(f"it is released from its hold: {night['hold']}")
        if not arguments["dry_run"]:
            with self._ledger.transaction():
                self._release_hold(night, "retry")
                tasks.retry_failed(self._ledger, night["id"], "retry")
        return Answer(lines=lines, changed=True)

    def _retry_from(self, night: Row, arguments: dict[str, Any]) -> Answer:
        try:
            stages = stages_from(Kind(night["kind"]), Stage(arguments["from"]))
        except ValueError as error:
            msg = f"{nights.label(night)} has no stage {arguments['from']}"
            raise UsageError(msg) from error
        _refuse_finished(night, "redo it with `vampd restore --force`, then `vampd release`")
        if stages[0] is Stage.SYNC:
            answer = self._restore(night, {**arguments, "force": False, "prove": False})
            if not arguments["dry_run"]:
                self._release_hold(nights.get_night(self._ledger, night["id"]), "retry --from sync")
            return Answer(lines=[*answer.lines, "it is planned anew"], changed=True)
        if not arguments["dry_run"]:
            self._stop_work(night["id"])
            with self._ledger.transaction():
                tasks.make_pending(self._ledger, night["id"], stages, f"retry --from {stages[0]}")
                if Stage.TRANSFER in stages:
                    self._ledger.execute(
                        "update deliverable set sent_us = null, verified_us = null, resends = 0"
                        " where night = ?",
                        [night["id"]],
                    )
                self._release_hold(night, "retry")
        return Answer(lines=[f"{', '.join(stages)} are done again"], changed=True)

    def _restore(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if night["hold"] == RESTORED:
            return Answer(
                lines=["it is restored already; `vampd release` lets it go on"], changed=False
            )
        plan = restoring.plan_restore(self._ledger, night)
        if plan.nothing_to_do:
            return Answer(
                lines=["it was never processed: there is nothing to restore"], changed=False
            )
        _refuse_safe(night, force=bool(arguments.get("force")))
        lines = plan.lines()
        if arguments["dry_run"]:
            return Answer(lines=lines, changed=True)
        self._stop_work(night["id"])
        prove = bool(arguments.get("prove"))
        lines += restoring.prove_raw(self._ledger, night, digests=prove)
        # Held before the first file goes: a power cut must not leave a night that goes on.
        nights.hold(self._ledger, night["id"], _BEING_RESTORED)
        restoring.delete_derived(plan)
        with self._ledger.transaction():
            outputs.forget_plan(self._ledger, night["id"], RESTORED)
            tasks.forget_tasks(self._ledger, night["id"], RESTORED)
            self._ledger.update("night", night["id"], safe_us=None)
            self._ledger.update("night", night["id"], hold=RESTORED)
            _move_to_held(self._ledger, night)
        restoring.prove_raw(self._ledger, night, digests=prove)
        lines.append("it is held until `vampd release` or `vampd retry`; far copies stay")
        return Answer(lines=lines, changed=True)

    def _hold(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if night["hold"] is not None:
            return Answer(lines=[f"it is held already: {night['hold']}"], changed=False)
        if not arguments["dry_run"]:
            nights.hold(self._ledger, night["id"], arguments["why"])
        return Answer(lines=["no more work of it is begun; what runs is finished"], changed=True)

    def _release(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if night["hold"] is None:
            return Answer(lines=["it is not held"], changed=False)
        if not arguments["dry_run"]:
            self._release_hold(night, "release")
        return Answer(lines=[f"it goes on; it was held: {night['hold']}"], changed=True)

    def _release_hold(self, night: Row, why: str) -> None:
        """Let a night go on; after a restore it collects again, for its folder may have changed."""
        with self._ledger.transaction():
            self._ledger.update("night", night["id"], hold=None, **self._ledger.stamp(why))
            night = nights.get_night(self._ledger, night["id"])
            has_tasks = self._ledger.value(
                "select count(*) from task where night = ?", [night["id"]]
            )
            if night["closed_us"] is not None and not has_tasks:
                reopen(self._ledger, night["id"], why)

    def _quarantine(self, night: Row, arguments: dict[str, Any]) -> Answer:
        row = self._ledger.row(
            "select * from raw_file where night = ? and path = ?", [night["id"], arguments["path"]]
        )
        if row is None:
            msg = f"{nights.label(night)}: vampd knows no file {arguments['path']}"
            raise OperatorError(msg)
        is_in = row["state"] == FileState.QUARANTINED
        if (arguments["action"] == "add") == is_in:
            return Answer(lines=[f"{row['path']} is {row['state']} already"], changed=False)
        planned = self._ledger.value("select count(*) from output where night = ?", [night["id"]])
        if planned:
            msg = f"{nights.label(night)} is planned; `vampd restore` first, then quarantine"
            raise OperatorError(msg)
        if not arguments["dry_run"]:
            self._move_quarantine(row, arguments)
        return Answer(lines=[f"{row['path']} and its partner: {arguments['action']}"], changed=True)

    def _move_quarantine(self, row: Row, arguments: dict[str, Any]) -> None:
        with self._ledger.transaction():
            for twin in files.twins(self._ledger, row):
                if arguments["action"] == "add":
                    why = arguments.get("why") or "on an operator's word"
                    files.set_state(self._ledger, twin["id"], FileState.QUARANTINED, why)
                else:
                    files.set_state(
                        self._ledger, twin["id"], FileState.ARRIVING, "to be judged anew"
                    )

    def _abandon(self, night: Row, arguments: dict[str, Any]) -> Answer:
        if night["status"] == NightStatus.ABANDONED:
            return Answer(lines=["it is abandoned already"], changed=False)
        _refuse_finished(night, "there is nothing to abandon")
        if not arguments["dry_run"]:
            self._stop_work(night["id"])
            self._ledger.update("night", night["id"], hold=None)
            night = nights.get_night(self._ledger, night["id"])
            nights.set_status(self._ledger, night, NightStatus.ABANDONED, arguments["why"])
        return Answer(lines=["nothing more is done for it; its raw files stay"], changed=True)


def _refuse_finished(night: Row, advice: str) -> None:
    if night["status"] in FINAL:
        msg = f"{nights.label(night)} is {night['status']}; {advice}"
        raise OperatorError(msg)


def _refuse_safe(night: Row, *, force: bool) -> None:
    if night["status"] in {NightStatus.SAFE, NightStatus.RECLAIMED} and not force:
        msg = (
            f"{nights.label(night)} is safe at the far end; restoring would undo that (use --force)"
        )
        raise OperatorError(msg)


def _move_to_held(ledger: Ledger, night: Row) -> None:
    night = nights.get_night(ledger, night["id"])
    nights.set_status(ledger, night, NightStatus.HELD, RESTORED)
