"""Long runs of whatever may go wrong between vampd and those who deal frame IDs.

    python -m tests.campaign_frame_ids [STEPS [SEED]]

Nights come, issuers lie, lose and burn, workers die, operators adopt and write off. After each
step: no number twice, none that was not dealt, none that was written off, no question sent twice.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from collections import Counter as Tally
from datetime import date, timedelta
from pathlib import Path

from tests.frame_id_counter import Fault
from tests.schedule.made import reread
from tests.stages.issuers import FOREIGN, Desk, desk
from vampd.ledger import requests, tasks
from vampd.ledger.connection import Row
from vampd.ledger.numberings import chronology, incomplete, numberings
from vampd.ledger.reading import reading
from vampd.schedule.rooms import ROOMS
from vampd.states import Stage, TaskState

#: These close the ports of our Gen2 for good.
_FOR_GOOD = {Fault.DEAD, Fault.REFUSED}


class Campaign:
    """One issuer's run."""

    def __init__(self, made: Desk, dice: random.Random) -> None:
        self.desk = made
        self.dice = dice
        self.nights: list[Row] = []
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
            if self.desk.task(night)["state"] == TaskState.DONE:
                return
        msg = f"night {night['date']} never got its numbers"
        raise AssertionError(msg)

    def _attempt(self, night: Row) -> None:
        faults = [
            fault for fault in Fault if self.desk.issuer == "command" or fault not in _FOR_GOOD
        ]
        fault = self.dice.choice([*faults, *[Fault.NONE] * 6])
        self.seen[fault] += 1
        self.desk.set(fault=fault)
        waits = fault in {Fault.LATE, Fault.SHORT, Fault.TORN, Fault.MALFORMED}
        self.desk.be_impatient((2.0 if self.desk.issuer == "command" else 0.6) if waits else 20)
        self.desk.clock.pass_seconds(4000)
        before = len(self.desk.counter.dealt)
        self.desk.attempt(night)
        self._decide(night, self.desk.counter.dealt[before:])

    def _decide(self, night: Row, dealt: list[int]) -> None:
        request = requests.open_request(self.desk.ledger, night["id"])
        if request is None:
            return
        may_adopt = 0 < len(dealt) <= request["count"]
        if may_adopt and self.dice.random() < 0.5:
            ids = f"{dealt[0]}..{dealt[-1]}"
            self.desk.order("ids-adopt", night, ids=ids)
            self.seen["adopted"] += 1
        else:
            rows = self.desk.ledger.rows("select number from frame_id")
            self.before |= {row["number"] for row in rows}
            self.desk.order("ids-void", night)
            self.seen["written off"] += 1

    def _die_asking(self, night: Row) -> None:
        """The daemon is killed after the request was written down, and before it was recorded."""
        ledger = self.desk.ledger
        ledger.update("night", night["id"], ids_looked_us=ledger.now_us())
        tasks.claim(ledger, self.desk.task(night)["id"])
        room = ROOMS[Stage.FRAME_IDS]
        job = room.prepare(ledger, self.desk.config, reread(ledger, night), "")
        if self.dice.random() < 0.5:
            room.body(job)
        tasks.reap(ledger, "killed")
        self.seen["killed"] += 1

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


def main(steps: int, seed: int) -> None:
    logging.disable(logging.WARNING)  # what goes wrong here is meant to
    for issuer in FOREIGN:
        with tempfile.TemporaryDirectory() as folder, desk(Path(folder), issuer) as made:
            campaign = Campaign(made, random.Random(f"{issuer} {seed}"))
            for _ in range(steps):
                campaign.step()
            print(f"{issuer}: {campaign.finish()}")


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(words[0] if words else 40, words[1] if len(words) > 1 else 1)
