"""From the inbox to where nights belong: looks, decides, hands out, records.

The decisions are `plan`'s, the work is done by `look` and `carry` in processes of their own, and
the ledger keeps what is known. A night is carried by one process at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from vampd.back_off import pause_us
from vampd.errors import IntegrityError
from vampd.ledger.barrier import words_of
from vampd.ledger.connection import Ledger
from vampd.receive import carry, look, plan
from vampd.receive import ledger as books
from vampd.receive.carry import Carried, CarryFile, CarryJob, Verdict
from vampd.receive.desk import Desk
from vampd.receive.look import Looked, SeenFile
from vampd.receive.records import NightRow
from vampd.receive.settings import Inbox, ReceiveConfig
from vampd.receive.states import OPEN, FileState, NightState
from vampd.schedule.executor import Outcome
from vampd.stages.delivery_list import digest_in_name, read_list
from vampd.time_units import HOUR_US, SECOND_NS, SECOND_US

log = logging.getLogger(__name__)

LOOK, CARRY = "a look", "moving on"

#: How often what is awaited is looked for where it belongs: somebody may have moved it by hand.
_SEARCH_US = HOUR_US


class Rounds:
    """Receives nights. All methods are for one thread, the receiver's."""

    def __init__(self, ledger: Ledger, config: ReceiveConfig, desk: Desk) -> None:
        self._ledger = ledger
        self.config = config
        self._desk = desk
        self._seen: dict[int, list[SeenFile]] = {}
        self._looked_ns: int | None = None
        self._is_hinted = True
        self._changes = 0  # how often anything may have changed
        self._quiet = -1  # at which of these a look found nothing to be done
        self.looks = 0  #: how often the inboxes were looked through
        self.folders: list[Path] = []  #: of the nights that the last look found
        self._began: set[int] = set()  # nights that were carried since the look began
        self._searched_us: dict[int, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether a look that began after the last change found nothing to be done."""
        return self._quiet == self._changes and not self._desk.count(CARRY)

    def hint(self, night: int | None = None) -> None:
        """Something may have changed; of *night*, what is awaited is looked for, too."""
        self._is_hinted = True
        self._changes += 1
        if night is not None:
            self._searched_us.pop(night, None)

    def hand_out(self) -> None:
        """Look, if it is time; move on what is due, as far as there are processes."""
        if self._is_time_to_look():
            self._look()
        for row in books.nights(self._ledger):
            if self._desk.count(CARRY) >= self.config.workers.processes:
                return
            self._carry_night(row)

    def _is_time_to_look(self) -> bool:
        if self._desk.count(LOOK):
            return False
        since_ns = self._ledger.clock.monotonic_ns() - (self._looked_ns or 0)
        is_due = since_ns >= self.config.look.scan_seconds * SECOND_NS
        return self._is_hinted or self._looked_ns is None or is_due

    def _look(self) -> None:
        self._is_hinted = False
        self._looked_ns = self._ledger.clock.monotonic_ns()
        self._began.clear()
        inboxes = [(str(inbox.kind), str(inbox.folder)) for inbox in self.config.inbox]
        looked = partial(self._looked, self._changes)
        self._desk.start(LOOK, "the inboxes", look.work, inboxes, looked)

    def _looked(self, changes: int, outcome: Outcome[Looked]) -> None:
        self.looks += 1
        problems = {"the inboxes": outcome.error or "nobody looked"}
        if outcome.result is None:
            books.note_problems(self._ledger, problems)
            return
        self.folders = [Path(folder) for folder in outcome.result.folders]
        unseen = outcome.result.problems
        books.note_problems(self._ledger, unseen)
        seen = {(night.kind, night.date): night.files for night in outcome.result.nights}
        with self._ledger.transaction():
            for kind, date in seen:
                books.night_of(self._ledger, kind, date)
            for row in books.nights(self._ledger):
                if self._is_unseen(row, unseen):
                    self._seen.pop(row.id, None)  # what lies there is not known, nor what not
                elif row.id not in self._began:  # else it is not what the look saw any more
                    self._decide(row, seen.get((row.kind, row.date), []))
            if not any(self._seen.values()) and not books.any_arriving(self._ledger):
                self._quiet = changes

    def _is_unseen(self, row: NightRow, problems: Mapping[str, str]) -> bool:
        """Whether the night's folder could not be looked into, or nobody looked."""
        inbox = self.config.inbox_of(row.kind)
        return inbox is None or not problems.keys().isdisjoint(
            {str(inbox.folder), str(inbox.folder / row.date)}
        )

    def _decide(self, row: NightRow, files: Sequence[SeenFile]) -> None:
        if not files and row.state == NightState.RECEIVED:
            return
        decision = plan.decide(
            files,
            books.known_files(self._ledger, row.id),
            now_us=self._ledger.now_us(),
            settle_us=self._settle_us,
        )
        books.remark(self._ledger, row.id, decision.remarks)
        self._seen[row.id] = list(decision.carry)
        self._judge(row.id, None if row.state != NightState.WAITING else row.cause)

    @property
    def _settle_us(self) -> int:
        return round(self.config.look.settle_seconds * SECOND_US)

    def _carry_night(self, row: NightRow) -> None:
        inbox = self.config.inbox_of(row.kind)
        is_due = row.due_us <= self._ledger.now_us()
        if inbox is None or not is_due or self._desk.is_at_work(CARRY, str(row)):
            return
        steady_us = self._ledger.clock.monotonic_ns() // 1000
        is_search = self._is_search_due(row, steady_us)
        if not (self._seen.get(row.id) or is_search):
            return
        known = books.known_files(self._ledger, row.id)
        files = [
            _carry_file(file.path, known.get(file.path))
            for file in plan.batch(self._seen.get(row.id, []))
        ]
        if is_search:
            self._searched_us[row.id] = steady_us
            files += self._awaited(row, known)
        if files:
            self._began.add(row.id)
            job = self._job(row, inbox, files)
            self._desk.start(
                CARRY, str(row), carry.work, job, lambda outcome: self._carried(row, outcome)
            )

    def _is_search_due(self, row: NightRow, steady_us: int) -> bool:
        searched_us = self._searched_us.get(row.id)
        is_long_ago = searched_us is None or steady_us - searched_us >= _SEARCH_US
        return row.state != NightState.RECEIVED and is_long_ago

    def _awaited(self, row: NightRow, known: Mapping[str, plan.Known]) -> list[CarryFile]:
        """What is awaited, to be looked for where it belongs: a killed worker may have moved it."""
        seen = {file.path for file in self._seen.get(row.id, [])}
        return [
            _carry_file(path, each)
            for path, each in known.items()
            if each.state is FileState.AWAITED and path not in seen and each.digests
        ]

    def _job(self, row: NightRow, inbox: Inbox, files: list[CarryFile]) -> CarryJob:
        base = inbox.base()
        return CarryJob(
            night=str(row),
            inbox=str(inbox.folder),
            date=row.date,
            base=str(base),
            place=str(inbox.place(row.date).relative_to(base)),
            marker=books.marker_of(self._ledger, str(base)),
            keep_free_bytes=round(self.config.disk.keep_free_gb * 1e9),
            files=files,
        )

    def _carried(self, row: NightRow, outcome: Outcome[Carried]) -> None:
        result = outcome.result or Carried(marker=None, verdicts=[])
        with self._ledger.transaction():
            self._keep_marker(row, result.marker)
            self._keep_verdicts(row, result.verdicts)
            waits = self._after_error(row, outcome, went_on=bool(result.verdicts))
            self._judge(row.id, waits)
        self.hint()

    def _keep_marker(self, row: NightRow, marker: str | None) -> None:
        inbox = self.config.inbox_of(row.kind)
        if inbox is not None and marker is not None:
            books.keep_marker(self._ledger, str(inbox.base()), marker)

    def _keep_verdicts(self, row: NightRow, verdicts: Sequence[Verdict]) -> None:
        done = {verdict.path for verdict in verdicts}
        seen = self._seen.get(row.id, [])
        self._seen[row.id] = [file for file in seen if file.path not in done]
        books.record(self._ledger, row.id, verdicts, settle_us=self._settle_us)
        for verdict in verdicts:
            if verdict.content is not None:
                self._take_list(row, verdict.path, verdict.content)
        _log(row, verdicts)

    def _take_list(self, row: NightRow, path: str, content: str) -> None:
        digests: Mapping[str, str] = {}
        try:
            digests = read_list(path, content.encode("ascii", "replace"))
            log.info("%s: a list of %d files came", row, len(digests))
        except IntegrityError as error:
            log.error("%s: %s", row, words_of(error))  # noqa: TRY400 - no traceback
        books.take_list(self._ledger, row.id, {**digests, path: digest_in_name(path)})

    def _after_error(
        self, row: NightRow, outcome: Outcome[Carried], *, went_on: bool
    ) -> str | None:
        """Put the night off, if work of it went wrong; why it waits, in words.

        Where it *went_on* with other files all the same, that was no failure after a failure.
        """
        if outcome.error is None:
            books.put_off(self._ledger, row.id, 0, failures=0)
            return None
        retry = self.config.retry
        failures = 0 if went_on else books.get_night(self._ledger, row.id).failures
        pause = pause_us(retry.first_seconds, retry.longest_seconds, failures=failures)
        books.put_off(self._ledger, row.id, self._ledger.now_us() + pause, failures=failures + 1)
        return outcome.error

    def _judge(self, night: int, waits: str | None) -> None:
        counts = books.counts_of(self._ledger, night)
        if not any(counts.get(state) for state in OPEN) and not self._seen.get(night):
            waits = None
        state, cause = plan.judge_night(counts, waits)
        if books.settle(self._ledger, night, state, cause):
            row = books.get_night(self._ledger, night)
            log.info("%s: %s%s", row, state, f": {cause}" if cause else "")


def _carry_file(path: str, known: plan.Known | None) -> CarryFile:
    if plan.is_new_list(path, known):
        return CarryFile(path=path, digests=[digest_in_name(path)], ours=None, is_list=True)
    assert known is not None, path
    return CarryFile(path=path, digests=known.digests, ours=known.sha256)


def _log(row: NightRow, verdicts: Sequence[Verdict]) -> None:
    right = [verdict for verdict in verdicts if verdict.word in {"placed", "there already"}]
    if right:
        size = sum(verdict.size_bytes or 0 for verdict in right) / 1e9
        log.info("%s: %d files verified and moved on, %.3f GB", row, len(right), size)
    for verdict in verdicts:
        if verdict.word in {"in the way", "odd"}:
            log.error("%s: %s: %s", row, verdict.path, verdict.why)
