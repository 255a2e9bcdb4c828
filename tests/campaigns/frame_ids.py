"""Long runs of whatever may go wrong between vampd and those who deal frame IDs.

    python -m tests.campaigns.frame_ids [STEPS [SEED]]
    python -m tests.campaigns.frame_ids kills

Nights come, issuers lie, lose and burn, workers die, ledgers are lost, operators adopt and write
off. After each step: no number twice, none that was not dealt, none that was written off, no
question sent twice, and the same contents under the same numbers.

With "kills": a process that gives a night its numbers is killed at each change that it makes, and
then the ledger is kept, lost, or made again.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from collections import Counter as Tally
from datetime import date, timedelta
from pathlib import Path

from tests.stages.test_lost_numbers import AFTERWARDS, changes_survived, make_ledger_again
from tests.support.fake_ledger import reread
from tests.support.frame_id_counter import Fault
from tests.support.issuers import FOREIGN, Desk, desk
from tests.support.stage_steps import prepared
from vampd.ledger import nights, requests, tasks
from vampd.ledger.reading import reading
from vampd.ledger.records import Night
from vampd.stages import story
from vampd.states import Kind, Stage, TaskState
from vampd.views.frame_id_audit import chronology, incomplete, numberings

#: These close the ports of our Gen2 for good.
_FOR_GOOD = {Fault.DEAD, Fault.REFUSED}
#: Somebody would have to let it.
_NEVER = {Fault.SLOW}


class Campaign:
    """One issuer's run."""

    def __init__(self, made: Desk, dice: random.Random) -> None:
        self.desk = made
        self.dice = dice
        self.nights: list[Night] = []
        self.seen: Tally[str] = Tally()
        self.before: set[int] = set()  #: used when the last reply was written off

    def step(self) -> None:
        """Another night, something that goes wrong, and an operator until it has its numbers."""
        day = date(2025, 1, 1) + timedelta(days=len(self.nights))
        contents = [f"{day}-{number}" for number in range(self.dice.randint(1, 6))]
        night = self.desk.night(f"{day:%Y%m%d}", contents)
        self.nights.append(night)
        if self.dice.random() < 0.2:
            self._die_asking(night)
        for _ in range(20):
            self._attempt(night)
            self.check()
            if self.desk.task(night).state == TaskState.DONE:
                if self.dice.random() < 0.2:
                    self._lose_ledger(contents)
                return
        error = self.desk.task(night).error
        msg = f"night {night.date} never got its numbers: {error}"
        raise AssertionError(msg)

    def _attempt(self, night: Night) -> None:
        faults = [
            fault
            for fault in set(Fault) - _NEVER
            if self.desk.issuer == "command" or fault not in _FOR_GOOD
        ]
        fault = self.dice.choice([*sorted(faults), *[Fault.NONE] * 6])
        self.seen[fault] += 1
        self.desk.set(fault=fault)
        waits = fault in {Fault.LATE, Fault.SHORT, Fault.TORN, Fault.MALFORMED}
        self.desk.be_impatient((2.0 if self.desk.issuer == "command" else 0.6) if waits else 20)
        self.desk.clock.pass_seconds(4000)
        before = len(self.desk.counter.dealt)
        self.desk.attempt(night)
        self._decide(night, self.desk.counter.dealt[before:])

    def _decide(self, night: Night, dealt: list[int]) -> None:
        request = requests.open_request(self.desk.ledger, night.id)
        if request is None:
            return
        may_adopt = 0 < len(dealt) <= request.count
        if may_adopt and self.dice.random() < 0.5:
            ids = f"{dealt[0]}..{dealt[-1]}"
            self.desk.order("ids-adopt", night, ids=ids)
            self.seen["adopted"] += 1
        else:
            rows = self.desk.ledger.rows("select number from frame_id")
            self.before |= {row["number"] for row in rows}
            self.desk.order("ids-void", night)
            self.seen["written off"] += 1

    def _die_asking(self, night: Night) -> None:
        """The daemon is killed after the request was written down, and before it was recorded."""
        ledger = self.desk.ledger
        ledger.update("night", night.id, ids_looked_us=ledger.now_us())
        task = tasks.claim(ledger, self.desk.task(night).id)
        assert task is not None
        work = prepared(ledger, self.desk.config, reread(ledger, night), task)
        if self.dice.random() < 0.5:
            work()
        tasks.reap(ledger, "killed")
        self.seen["killed"] += 1

    def _lose_ledger(self, contents: list[str]) -> None:
        """Of the last night only the paper of its numbers is left; of the others, all papers."""
        bound = {night.date: self.desk.bound(night) for night in self.nights}
        for night in self.nights[:-1]:
            story.write_story(
                story.prepare_records(self.desk.ledger, reread(self.desk.ledger, night))
            )
        self.desk.ledger.close()
        make_ledger_again(self.desk)
        ledger = self.desk.ledger
        ledger.execute("pragma synchronous = off")
        self.nights = [nights.find_night(ledger, Kind.ARCHIVE, date) for date in bound]
        last = self.nights[-1]
        tasks.add_task(ledger, last.id, Stage.FRAME_IDS)
        self.desk.plan(last, contents)
        task = self.desk.attempt(last)
        assert task.state == TaskState.DONE, task.error
        for night in self.nights:
            assert self.desk.bound(night) == bound[night.date], "other numbers than before"
        self.seen["ledgers lost"] += 1

    def check(self) -> None:
        rows = self.desk.ledger.rows("select * from frame_id")
        used = {row["number"] for row in rows}
        counter = self.desk.counter
        assert used <= set(counter.dealt), "a number that nobody dealt"
        for number in used & requests.written_off(self.desk.ledger):
            assert number in self.before, "a number that was written off"  # told again: used before
        asked = self.desk.ledger.value("select count(*) from frame_request")
        assert counter.questions <= asked, "a question was sent twice"
        bound = [row["content_key"] for row in rows if row["state"] == "bound"]
        assert len(bound) == len(set(bound)), "two numbers for one content"

    def finish(self) -> str:
        with reading(self.desk.folder / "state") as ledger:
            every = numberings(ledger)
            problems, exceptions = chronology(ledger, every)
            problems += [text for night in every for text in incomplete(night)]
        assert problems == [], problems
        assert exceptions == [], exceptions
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self.seen.items()))
        used = self.desk.ledger.value("select count(*) from frame_id where state = 'bound'")
        return (
            f"{len(self.nights)} nights, {used} of {len(self.desk.counter.dealt)} dealt: {counts}"
        )


def kill_everywhere() -> None:
    """At each change, for each issuer, with each thing that may become of the ledger."""
    logging.disable(logging.WARNING)
    for issuer in ("local", "command"):
        for afterwards in AFTERWARDS:
            with tempfile.TemporaryDirectory() as folder:
                survived = changes_survived(Path(folder), issuer, afterwards, 1, 1)
            print(f"{issuer}, {afterwards.__name__}: killed at each of {survived} changes")


def main(steps: int, seed: int) -> None:
    logging.disable(logging.WARNING)  # what goes wrong here is meant to
    for issuer in FOREIGN:
        with tempfile.TemporaryDirectory() as folder, desk(Path(folder), issuer) as made:
            campaign = Campaign(made, random.Random(f"{issuer} {seed}"))
            for _ in range(steps):
                campaign.step()
            print(f"{issuer}: {campaign.finish()}")


if __name__ == "__main__":
    if sys.argv[1:] == ["kills"]:
        kill_everywhere()
        sys.exit()
    words = [int(word) for word in sys.argv[1:]]
    main(words[0] if words else 40, words[1] if len(words) > 1 else 1)
